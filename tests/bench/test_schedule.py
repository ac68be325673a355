"""Scheduling without starting Ray: what trials ask for, what is drawn, what is read back and cleaned up."""

from __future__ import annotations

import math
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.address import check_answers
from bench.plan import PlannedTrial
from bench.schedule import (
    Settings,
    available_cpus,
    cluster,
    draw_configurations,
    driver,
    places,
    processes,
    resources,
    run_trials,
    settings,
)
from bench.schedule.outcome import Board, Enough
from bench.schedule.worker import Worker
from bench.spec import TrialSpec
from bench.store import RunFolder, write_json
from datasets.errors import UserError
from methods.config import Choices, Span

POLICIES: dict[str, Any] = {"labeled": {}, "weak": {}, "strong": {}, "test": {}}


def _spec(**changes: Any) -> TrialSpec:
    values = {
        "method": "supervised",
        "config": {},
        "data": "synthgym_tiny",
        "labels": "2",
        "split_hash": "0",
        "seed": 0,
        "backbone": {"name": "shiftnet"},
        "protocol": {
            "frames": 8,
            "short_side": 48,
            "size": 32,
            "normalize": "clip",
            "augmentations": POLICIES,
            "steps": 1,
            "batch": {"labeled": 2, "unlabeled": 2, "warmup": 2},
            "optimizer": {"name": "adamw", "lr": 0.01},
            "threads": 3,
        },
        **changes,
    }
    return TrialSpec.model_validate(values)


def _planned(**changes: Any) -> PlannedTrial:
    spec = _spec(**changes)
    return PlannedTrial(
        section="s", entry="supervised", role="baseline", cell=spec.cell, seed=spec.seed, spec=spec
    )


def test_a_trial_asks_for_its_threads_and_its_gpu() -> None:
    assert resources(_spec(), Settings()) == {"cpu": 3}
    assert resources(_spec(device="cuda"), Settings()) == {"cpu": 3, "gpu": 1}
    half = Settings(cpus_per_trial=0.5, gpus_per_trial=0.25)
    assert resources(_spec(device="cuda"), half) == {"cpu": 0.5, "gpu": 0.25}


def test_no_more_cpus_than_this_process_may_use() -> None:
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)


def test_nothing_to_run_starts_no_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = run_trials([], RunFolder(tmp_path), Settings(), lambda planned, record: None)
    assert (outcome.done, outcome.failed) == (0, 0)


def test_without_ray_the_sentence_names_the_way_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="bench trial"):
        run_trials([_planned()], RunFolder(tmp_path), Settings(), lambda planned, record: None)


def test_importing_the_scheduler_imports_no_ray() -> None:
    program = "import sys, bench.schedule, bench.runner, bench.tune; print('ray' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


RANGES = {"threshold": Choices((0.7, 0.8, 0.9)), "lr": Span(1e-4, 1e-1, log=True), "decay": Span(2.0, 3.0)}
SEEDS = {"threshold": 1, "lr": 2, "decay": 2**40 + 3}


def test_draws_lie_in_their_ranges_and_repeat() -> None:
    drawn = draw_configurations(RANGES, 40, SEEDS)
    assert drawn == draw_configurations(RANGES, 40, SEEDS)
    assert {each["threshold"] for each in drawn} == {0.7, 0.8, 0.9}
    assert all(1e-4 <= each["lr"] <= 1e-1 and 2 <= each["decay"] <= 3 for each in drawn)
    assert (
        0.25 < sum(each["lr"] < 10**-2.5 for each in drawn) / 40 < 0.75
    )  # log-uniform: the middle is 10^-2.5
    assert all(type(value) is float for each in drawn for value in each.values())


def test_more_draws_or_ranges_move_none_of_the_others() -> None:
    drawn = draw_configurations(RANGES, 5, SEEDS)
    assert draw_configurations(RANGES, 3, SEEDS) == drawn[:3]
    fewer = {name: given for name, given in RANGES.items() if name != "threshold"}
    assert [each["lr"] for each in draw_configurations(fewer, 5, SEEDS)] == [each["lr"] for each in drawn]


def _told(job: Mapping[str, Any]) -> str:
    return Worker().work({"environment": {}, **job}).told


def test_a_worker_hands_mistakes_of_the_user_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path))
    folder = tmp_path / "trial"
    told = _told({"spec": _spec(method="supervized").canonical(), "folder": str(folder)})
    assert "Did you mean 'supervised'" in told
    told = _told({"spec": _spec().canonical(), "folder": str(folder)})
    assert "has changed since" in told  # the split hash of the specification is not the data's
    assert not (folder / "failed.json").exists()


def test_a_worker_gets_the_variables_of_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEFAR_BENCH_HOME", "elsewhere")
    job = {"spec": _spec(method="x").canonical(), "folder": str(tmp_path)}
    Worker().work({**job, "environment": {"SEFAR_BENCH_HOME": str(tmp_path)}})
    assert os.environ["SEFAR_BENCH_HOME"] == str(tmp_path)


class _Answers:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, planned: PlannedTrial, record: Mapping[str, Any]) -> None:
        self.seen.append((planned.entry, record["status"]))


def test_records_are_the_truth_about_a_trial(tmp_path: Path) -> None:
    planned, run, answers = _planned(), RunFolder(tmp_path), _Answers()
    board = Board({planned.spec.id: planned}, run, answers)
    folder = run.trial(planned.spec.id)
    folder.path.mkdir(parents=True)
    write_json(folder.path / "failed.json", {"status": "failed", "kind": "exception", "message": "no"})
    board.ended(planned.spec.id, "")
    (folder.path / "predictions.parquet").write_bytes(b"1234")
    write_json(folder.path / "done.json", {"status": "done", "predictions_bytes": 4})
    board.ended(planned.spec.id, "")
    assert answers.seen == [("supervised", "failed"), ("supervised", "done")]
    assert (board.outcome.done, board.outcome.failed) == (1, 1)
    with pytest.raises(UserError, match="the disk is full"):
        board.ended(planned.spec.id, "the disk is full")


def test_a_worker_that_died_leaves_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    planned, run, answers = _planned(), RunFolder(tmp_path), _Answers()
    Board({planned.spec.id: planned}, run, answers).lost(planned.spec.id)
    failed = run.trial(planned.spec.id).failed()
    assert failed is not None and failed["kind"] == "lost worker"
    assert answers.seen == [("supervised", "failed")]


def test_ray_folders_of_dead_runs_are_swept_and_others_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "short_temporary", lambda: str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"sefar-ray-{pid}-abc/session").mkdir(parents=True)
    processes.sweep()
    assert [path.name for path in tmp_path.iterdir()] == [f"sefar-ray-{os.getpid()}-abc"]


def test_a_long_temporary_folder_is_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/a/very/long/name/of/a/folder/for/temporary/files")
    assert processes.short_temporary() == "/tmp"


def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=f"--address {address}: nobody answers"):
            run_trials([_planned()], RunFolder(tmp_path), Settings(address=address), lambda *_: None)


def test_a_cluster_that_is_noted_and_gone_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ray stop` and a crash leave the note; Ray itself would try for minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray/ray_current_cluster").write_text(address, encoding="utf-8")
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        with pytest.raises(UserError, match=rf"--address auto: nobody answers at {address}"):
            check_answers("auto", "127.0.0.1")


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:", "127.0.0.1:99999", "ray://"])
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(UserError, match=f"--address {address}: "):
        check_answers(address, "127.0.0.1")


def test_more_than_there_is_can_be_asked_for_but_not_had() -> None:
    with pytest.raises(UserError, match=r"2 GPUs and there are 0.*--gpus-per-trial"):
        cluster._check_resources({"CPU": 4.0}, {"x": {"cpu": 1, "gpu": 2}})
    cluster._check_resources({"CPU": 4.0}, {"x": {"cpu": 4}})


def test_stopping_asks_the_workers_and_not_rays_own_processes() -> None:
    """Without its agents Ray's local server ends, and takes the workers along before they have saved."""
    ours = ["ray::ResourceTrainable.train", "ray::OneTrial.train", "ray::work"]
    others = ["ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent", "raylet", "gcs_server", "python"]
    assert [name for name in (*ours, *others) if processes._is_worker(name)] == ours


def test_the_time_limit_and_the_first_failure_end_a_run(tmp_path: Path) -> None:
    planned, run, answers = _planned(), RunFolder(tmp_path), _Answers()
    board = Board({planned.spec.id: planned, "other": planned}, run, answers, deadline=0.0)
    with pytest.raises(Enough):
        board.look_at_the_clock()
    assert board.outcome.stopped == "time"
    early = Board({planned.spec.id: planned}, run, answers, deadline=math.inf)
    early.look_at_the_clock()
    Board({planned.spec.id: planned}, run, answers).look_at_the_clock()
    folder = run.trial(planned.spec.id)
    folder.path.mkdir(parents=True)
    write_json(folder.path / "failed.json", {"status": "failed", "kind": "exception", "message": "no"})
    fast = Board({planned.spec.id: planned, "other": planned}, run, answers, fail_fast=True)
    with pytest.raises(Enough):
        fast.ended(planned.spec.id, "")
    assert (fast.outcome.stopped, fast.outcome.failed, answers.seen[-1][1]) == ("failure", 1, "failed")
    last = Board({planned.spec.id: planned}, run, answers, fail_fast=True)
    last.ended(planned.spec.id, "")
    assert last.outcome.stopped is None, "nothing was left to stop"


def test_a_run_whose_time_is_over_starts_no_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = run_trials([_planned()], RunFolder(tmp_path), Settings(deadline=0.0), lambda *_: None)
    assert (outcome.done, outcome.failed, outcome.stopped) == (0, 0, "time")


class LowOnMemory:
    """Tune on a machine whose memory monitor kills its workers `times` times, after one trial each."""

    def __init__(
        self, times: int, said: str = "2 worker(s) were killed due to the node running low on memory"
    ) -> None:
        self.times, self.said = times, said
        self.asked: list[int] = []

    def __call__(self, board: Board, *_: Any) -> None:
        self.asked.append(len(board.left))
        board.counted.add(next(iter(board.left)))
        if len(self.asked) <= self.times:
            raise RuntimeError(self.said)


@pytest.mark.parametrize(("times", "retries", "asked"), [(2, 2, [4, 3, 2]), (3, 2, [4, 3, 2]), (1, 0, [4])])
def test_what_the_memory_monitor_left_runs_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, retries: int, asked: list[int]
) -> None:
    low = LowOnMemory(times)
    monkeypatch.setattr(driver, "_tune", low)
    monkeypatch.setattr(driver, "ray_for", lambda *_: nullcontext(tmp_path))
    trials = [_planned(seed=seed) for seed in range(4)]
    with (
        nullcontext()
        if times <= retries
        else pytest.raises(UserError, match="run fewer with --max-concurrent")
    ):
        run_trials(trials, RunFolder(tmp_path), Settings(max_retries=retries), lambda *_: None)
    assert low.asked == asked


def test_other_errors_of_tune_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_tune", LowOnMemory(1, "a wheel came off"))
    monkeypatch.setattr(driver, "ray_for", lambda *_: nullcontext(tmp_path))
    with pytest.raises(RuntimeError, match="a wheel came off"):
        run_trials([_planned()], RunFolder(tmp_path), Settings(), lambda *_: None)


def test_the_driver_stays_out_of_what_tune_files(tmp_path: Path) -> None:
    """Tune pickles its callbacks; the board holds locks, threads and terminals."""
    board = Board({}, RunFolder(tmp_path), lambda *_: None)
    assert pickle.loads(pickle.dumps(board)) is None


def test_as_many_trials_at_once_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "available_cpus", lambda: 7)
    monkeypatch.setattr(settings.torch.cuda, "device_count", lambda: 2)
    assert places([_spec()], Settings()) == 2  # three threads each
    assert places([_spec()], Settings(cpus_per_trial=0.5)) == 14
    assert places([_spec()], Settings(max_concurrent=9)) == 9
    assert places([_spec(device="cuda")], Settings(cpus_per_trial=1)) == 2
    assert places([_spec(device="cuda")], Settings(cpus_per_trial=1, gpus_per_trial=0.5)) == 4
    assert places([_spec(device="cuda")], Settings(cpus_per_trial=0.1, gpus_per_trial=0.1)) == 20
    assert places([_spec()], Settings(address="auto")) is None


def test_half_a_gpu_reaches_ray_under_its_own_names() -> None:
    need = resources(_spec(device="cuda"), Settings(gpus_per_trial=0.5))
    assert driver._bundle(need) == {"CPU": 3, "GPU": 0.5}
    assert driver._bundle(resources(_spec(), Settings())) == {"CPU": 3}


class _SlowRay:
    """Starts after some attempts; its node would start two servers."""

    def __init__(self, slow: int, says: str = "The current node timed out during startup. Or so.") -> None:
        self.slow, self.says, self.starts = slow, says, 0
        self.servers: list[str] = []

        class Node:
            start_monitor = partial(self.servers.append, "monitor")
            start_raylet = partial(self.servers.append, "raylet")

        self._private = SimpleNamespace(node=SimpleNamespace(Node=Node))

    def init(self, **options: Any) -> None:
        self.starts += 1
        self._private.node.Node.start_monitor(self)
        self._private.node.Node.start_raylet()
        if self.starts <= self.slow:
            raise Exception(self.says)

    def shutdown(self) -> None:
        pass


def test_a_busy_machine_gets_further_chances_to_start_ray() -> None:
    ray = _SlowRay(4)
    cluster._start_patiently(ray)
    assert ray.starts == 5
    assert ray.servers == ["raylet"] * 5  # and no monitor, which a run needs none of
    ray._private.node.Node.start_monitor()
    assert ray.servers[-1] == "monitor"
    with pytest.raises(UserError, match="the machine is too busy"):
        cluster._start_patiently(_SlowRay(9))
    with pytest.raises(Exception, match="no disk"):
        cluster._start_patiently(_SlowRay(1, "no disk"))
