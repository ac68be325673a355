"""What a plan says about the time to come, and from what it learned that."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from test_failures import PLANNED, SPEC

from bench import forecast as forecasts
from bench import index, run_places
from bench.environment import processor
from bench.forecast import Past, forecast, forecast_lines, longest_first, past_of_machine, past_trials
from bench.plan import PlannedTrial
from bench.store import DONE, PREDICTIONS, RunFolder, read_json, write_json

HERE = Past(
    "supervised", "shiftnet", "synthgym_tiny", "cpu", steps=10, per_step=2.0, around=10.0, bytes=1 << 20
)


def test_nothing_known_is_said() -> None:
    (line,) = forecast_lines(forecast([PLANNED], [], cpus=2, gpus=0))
    assert "unknown" in line and "no finished trial" in line


def test_time_is_steps_times_the_pace_of_the_most_similar_trials() -> None:
    slow = dataclasses.replace(HERE, data="other", per_step=100.0)
    gpu = dataclasses.replace(HERE, device="cuda", per_step=0.001)
    spec = SPEC.model_copy(update={"protocol": SPEC.protocol.model_copy(update={"steps": 50})})
    trials = [
        PLANNED.model_copy(update={"spec": spec.model_copy(update={"seed": seed})}) for seed in range(4)
    ]
    found = forecast([*trials, trials[0]], [slow, HERE, HERE, gpu], cpus=2, gpus=0)
    assert found.seconds == 4 * (50 * 2.0 + 10.0) / 2
    assert (found.at_once, found.gpu_hours, found.bytes) == (2, None, 4 << 20)
    assert "4 from trials of the same method and data" in found.basis
    assert forecast(trials[:1], [HERE], cpus=8, gpus=0).seconds == 110.0
    assert "of other methods" in forecast(trials, [dataclasses.replace(HERE, method="x")], 2, 0).basis


def test_short_trials_do_not_speak_for_long_ones() -> None:
    short = dataclasses.replace(HERE, steps=2, per_step=30.0)
    long = dataclasses.replace(HERE, steps=800, per_step=0.5)
    spec = SPEC.model_copy(update={"protocol": SPEC.protocol.model_copy(update={"steps": 800})})
    trial = PLANNED.model_copy(update={"spec": spec})
    assert forecast([trial], [short, short, short, long], cpus=1, gpus=0).seconds == 800 * 0.5 + 10.0


def _record(**more: Any) -> dict[str, Any]:
    """What a trial of this machine leaves."""
    here = {"processor": processor(), "python": "3"}
    return {"spec": SPEC.model_dump(mode="json"), "train_seconds": 3.0, "environment": here, **more}


def test_only_whole_records_of_this_machine_teach(tmp_path: Path) -> None:
    folder = tmp_path / "suite/trials/a"
    folder.mkdir(parents=True)
    record = _record(prepare_seconds=0.5)
    write_json(folder / "done.json", record)
    (past,) = past_trials(tmp_path)
    assert (past.method, past.per_step, past.around) == ("supervised", 3.0, 0.5)
    assert past.bytes == (folder / "done.json").stat().st_size
    write_json(folder / "done.json", {**record, "environment": {"processor": "another one"}})
    assert past_trials(tmp_path) == []
    (folder / "done.json").write_text("{", encoding="utf-8")
    assert past_trials(tmp_path) == []


def test_what_the_index_knows_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SETTLED_SECONDS", -60.0)
    run = RunFolder(tmp_path / "suite")
    for name, seconds in (("a", 3.0), ("b", 5.0)):
        with run.trial(name).attempt() as attempt:
            (attempt / PREDICTIONS).write_bytes(b"answers")
            record = _record(train_seconds=seconds, metrics={"top1": 0.5})
            run.trial(name).publish_done(attempt, record)
    read = past_trials(tmp_path)
    assert [past.per_step for past in read] == [3.0, 5.0]
    index.finished(run, ["a", "b"])
    folder = run.trial("b").path
    write_json(folder / DONE, {**read_json(folder / DONE), "train_seconds": 7.5})
    reads = []

    def noted(path: Path) -> Any:
        reads.append(path.parent.name)
        return read_json(path)

    monkeypatch.setattr(forecasts, "read_json", noted)
    again = past_trials(tmp_path)
    assert again[0] == read[0]
    assert (again[1].per_step, reads) == (7.5, ["b"])


def test_a_new_folder_of_runs_learns_from_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    record = _record(prepare_seconds=0.5)
    write_json(tmp_path / "old/suite/trials/a/done.json", record)
    new = tmp_path / "new"
    assert past_of_machine(new) == []
    for number in range(run_places.MOST):
        run_places.remember(tmp_path / f"gone{number}")
    run_places.remember(tmp_path / "old")
    run_places.remember(tmp_path / "old")
    assert [past.method for past in past_of_machine(new)] == ["supervised"]
    assert run_places.known(new) == [new, tmp_path / "old"]
    places = read_json(tmp_path / "home/run_places.json")
    assert len(places) == run_places.MOST and places.count(str(tmp_path / "old")) == 1
    (tmp_path / "home/run_places.json").write_text("{", encoding="utf-8")
    assert past_of_machine(new) == []


def test_what_is_no_run_folder_teaches_nothing(tmp_path: Path) -> None:
    (tmp_path / "suite/trials/empty").mkdir(parents=True)
    (tmp_path / "suite/trials/note.txt").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/trials").touch()
    assert past_trials(tmp_path) == past_trials(tmp_path / "none") == []


def _sized(seed: int, steps: int, unlabeled: int, **changes: str) -> PlannedTrial:
    protocol = SPEC.protocol.model_copy(
        update={
            "steps": steps,
            "batch": SPEC.protocol.batch.model_copy(update={"labeled": 8, "unlabeled": unlabeled}),
        }
    )
    spec = SPEC.model_copy(update={"seed": seed, "protocol": protocol, **changes})
    return PLANNED.model_copy(update={"spec": spec})


def test_the_longest_trials_run_first() -> None:
    short, large, long = _sized(0, 10, 8), _sized(1, 10, 92), _sized(2, 100, 8)
    slow = _sized(3, 12, 8, method="fixmatch")
    trials = [short, large, long, slow]
    assert longest_first(trials, []) == [long, slow, short, large]  # `supervised` uses labeled clips alone
    assert longest_first([long, short, long], []) == [long, long, short]
    past = dataclasses.replace(HERE, per_step=1.0, around=0.0)
    taught = [past, dataclasses.replace(past, method="fixmatch", per_step=50.0)]
    assert longest_first(trials, taught) == [slow, long, short, large]


def test_without_any_past_methods_with_slow_steps_run_first() -> None:
    names = ["supervised", "fixmatch", "sefar", "plugin"]
    trials = [_sized(seed, 100, 16, method=name) for seed, name in enumerate(names)]
    order = [trial.spec.method for trial in longest_first(trials, [])]
    assert order == ["sefar", "fixmatch", "plugin", "supervised"]  # nobody timed the plugin


def test_where_the_past_tells_of_some_trials_the_others_go_by_their_size() -> None:
    known, other = _sized(0, 100, 8), _sized(1, 300, 8).spec.backbone.model_copy(update={"name": "r3d_18"})
    spec = _sized(1, 300, 8).spec.model_copy(update={"backbone": other})
    larger = PLANNED.model_copy(update={"spec": spec})
    assert longest_first([known, larger], [HERE]) == [larger, known]
    smaller = PLANNED.model_copy(
        update={"spec": _sized(2, 50, 8).spec.model_copy(update={"backbone": other})}
    )
    assert longest_first([smaller, known, larger], [HERE]) == [larger, known, smaller]
