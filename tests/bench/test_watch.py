"""Where a run is, from its folder alone: while it works, after a crash, when it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_failures import SPEC

from bench import lease, live, pulse, ticker
from bench.plan import PlannedTrial
from bench.store import RunFolder, write_json
from bench.ticker import Ticker
from bench.watch import Watch, last_line

STEPS = 100


def _trial(entry: str, seed: int) -> PlannedTrial:
    protocol = SPEC.protocol.model_copy(update={"steps": STEPS})
    spec = SPEC.model_copy(update={"seed": seed, "protocol": protocol, "method": entry})
    return PlannedTrial(section="s", entry=entry, role="competitor", cell=spec.cell, seed=seed, spec=spec)


TRIALS = [_trial(entry, seed) for entry in ("supervised", "fixmatch") for seed in (0, 1)]


def _finish(run: RunFolder, trial: PlannedTrial, top1: float = 0.5, seconds: float = 50.0) -> dict[str, Any]:
    folder = run.trial(trial.spec.id).path
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "status": "done",
        "spec": trial.spec.model_dump(mode="json"),
        "metrics": {"top1": top1},
        "train_seconds": seconds,
    }
    write_json(folder / "done.json", record)
    return record


def _fail(run: RunFolder, trial: PlannedTrial) -> None:
    folder = run.trial(trial.spec.id).path
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "failed.json", {"status": "failed", "kind": "exception", "message": "no"})


def _beat(attempt: Path, **values: float) -> None:
    beat = {"step": 40, "first": 0, "seconds": 10.0, "train_seconds": 8.0, "wait_seconds": 2.0, **values}
    (attempt / pulse.NAME).write_text(json.dumps(beat), encoding="utf-8")
    log = [{"step": 20, "lr": 0.1, "loss/a": 9.0}, {"step": 30, "loss/a": 1.5, "loss/b": 0.25}]
    log[1]["pseudo/accuracy"] = 0.75
    lines = "".join(json.dumps(line) + "\n" for line in log)
    (attempt / "metrics.jsonl").write_text(lines + '{"step": 4', encoding="utf-8")


def test_a_folder_tells_what_is_done_running_failed_and_left(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    watch = Watch(TRIALS, run)
    seen = watch.look()
    assert (seen.total, seen.done, seen.waiting, seen.left, seen.driver) == (4, 0, 4, None, None)
    first, second, third, fourth = TRIALS
    with run.lock(), run.trial(third.spec.id).attempt() as attempt:
        (preparing,) = watch.look().running
        assert (preparing.step, preparing.loss, preparing.wait) == (None, None, None)
        _beat(attempt)
        (running,) = watch.look().running
        assert (running.planned, running.step, running.steps) == (third, 40, STEPS)
        assert (running.loss, running.accuracy, running.wait) == (1.75, 0.75, 0.25)
        assert running.where.endswith(f":{_pid()}")
        # Nothing finished tells of time, so the trial's own pace does: 60 of its steps and three trials.
        assert watch.look().left == pytest.approx(0.25 * (60 + 300))
        _finish(run, first, 0.5)
        _fail(run, second)
        seen = watch.look()
        assert (seen.done, seen.failed, len(seen.running), seen.waiting) == (1, 1, 1, 1)
        assert [(row.entry, row.done, row.failed, row.top1) for row in seen.rows] == [
            ("supervised", 1, 1, 0.5),
            ("fixmatch", 0, 0, None),
        ]
        # A finished trial took half a second per step, whatever the method: 60 steps here and 100 there.
        assert seen.left == pytest.approx(0.5 * (60 + 100))
        assert seen.driver is not None
        assert live.head(seen) == "1 of 4 trials done, 1 failed, 1 running, 1 to do, about 1:20 left"
    (run.trial(third.spec.id).path / "checkpoint-0000000040-0123456789abcdef.pt").touch()
    crashed = watch.look()
    assert (crashed.running, crashed.waiting, crashed.interrupted, crashed.driver) == ((), 2, 1, None)
    assert live.head(crashed) == "1 of 4 trials done, 1 failed, 2 to do (1 with a checkpoint)"
    for trial in (second, third, fourth):
        (run.trial(trial.spec.id).path / "failed.json").unlink(missing_ok=True)
        _finish(run, trial, 0.7)
    over = watch.look()
    assert (over.done, over.failed, over.waiting, over.left) == (4, 0, 0, 0.0)
    assert [row.top1 for row in over.rows] == [pytest.approx(0.6), 0.7]


def _pid() -> int:
    return lease._me().pid


def test_trials_that_run_again_do_not_count_by_what_they_were(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    _finish(run, TRIALS[0])
    _fail(run, TRIALS[1])
    time.sleep(0.01)
    watch = Watch(TRIALS, run, anew=[trial.spec.id for trial in TRIALS])
    assert (watch.look().done, watch.look().failed, watch.look().waiting) == (0, 0, 4)
    _finish(run, TRIALS[0])
    assert (watch.look().done, watch.look().failed) == (1, 0)


def test_a_dead_holder_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    with run.trial(TRIALS[0].spec.id).attempt() as attempt:
        _beat(attempt)
        monkeypatch.setattr(lease, "_lives", lambda holder: False)
        seen = Watch(TRIALS, run).look()
        assert (seen.running, seen.waiting) == ((), 4)


def test_damaged_files_stop_nobody_who_looks(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.trial(TRIALS[0].spec.id).attempt() as attempt:
        (attempt / pulse.NAME).write_text('{"step": ', encoding="utf-8")
        (attempt / "metrics.jsonl").write_bytes(b"\xff\x00\n")
        folder = run.trial(TRIALS[1].spec.id).path
        folder.mkdir(parents=True)
        (folder / "done.json").write_text("{}", encoding="utf-8")
        seen = Watch(TRIALS, run).look()
        assert (seen.done, len(seen.running), seen.running[0].step) == (0, 1, None)
    assert last_line(tmp_path / "nothing") == {}


def test_a_small_screen_shows_what_is_under_way(tmp_path: Path) -> None:
    trials = [_trial(f"entry{i}", 0) for i in range(40)]
    run = RunFolder(tmp_path)
    _fail(run, trials[33])
    _finish(run, trials[2])
    console = Console(width=90, height=24, record=True, file=(tmp_path / "screen").open("w"))
    console.print(live.screen(Watch(trials, run).look(), console))
    text = console.export_text()
    assert "entry33" in text and "entry2 " in text
    assert text.count("\n") <= 24
    assert "and 28 more rows" in text


def _ticker(tmp_path: Path) -> tuple[Ticker, RunFolder]:
    run = RunFolder(tmp_path)
    return Ticker(0, 4, Watch(TRIALS, run, 1, anew=[trial.spec.id for trial in TRIALS])), run


def test_off_a_terminal_a_line_per_trial_with_the_time_that_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, run = _ticker(tmp_path)
    with shown.shown():
        record: Mapping[str, Any] = _finish(run, TRIALS[0], 0.542, 32.0)
        shown.finished(TRIALS[0], record)
        for trial in TRIALS[1:3]:
            shown.finished(trial, _finish(run, trial, 0.25, 32.0))
        failed = {"status": "failed", "kind": "exception", "message": "no\nwheel"}
        _fail(run, TRIALS[3])
        shown.finished(TRIALS[3], failed)
    cell = SPEC.cell
    assert capsys.readouterr().out.splitlines() == [
        f"[1/4] {cell} supervised seed=0 top1 54.2 0:32 (1:36 left)",
        f"[2/4] {cell} supervised seed=1 top1 25.0 0:32 (1:04 left)",
        f"[3/4] {cell} fixmatch seed=0 top1 25.0 0:32 (0:32 left)",
        f"[4/4] {cell} fixmatch seed=1 FAILED (exception): no wheel",
    ]


def test_off_a_terminal_a_long_silence_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "QUIET_SECONDS", 0.05)
    shown, run = _ticker(tmp_path)
    with run.lock(), run.trial(TRIALS[2].spec.id).attempt() as attempt:
        _beat(attempt)
        out = ""
        with shown.shown():
            end = time.monotonic() + 60
            while "\n" not in out and time.monotonic() < end:
                time.sleep(0.01)
                out += capsys.readouterr().out
    assert out.startswith(
        "0 of 4 trials done, 1 running, 3 to do, about 1:30 left; "
        f"{SPEC.cell} fixmatch seed=0 step 40/100 loss 1.75 pseudo-labels 75 % right data wait 25 %\n"
    )
