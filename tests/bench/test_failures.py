"""Failures by kind, what is told about them, and which are tried again."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import failures
from bench.evaluate import DivergedError
from bench.failure_table import failure_lines
from bench.failures import classify
from bench.plan import PlannedTrial
from bench.schedule import worker
from bench.schedule.worker import MachineError, Worker
from bench.spec import TrialSpec
from bench.store import RunFolder
from methods.supervised import Supervised

SPEC = TrialSpec.model_validate(
    {
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
            "augmentations": {"labeled": {}, "test": {}},
            "steps": 1,
            "batch": {"labeled": 8, "unlabeled": 24, "warmup": 8, "accumulate": 2},
            "optimizer": {"name": "adamw", "lr": 0.01},
        },
    }
)
PLANNED = PlannedTrial(section="s", entry="supervised", role="baseline", cell=SPEC.cell, seed=0, spec=SPEC)


@pytest.mark.parametrize(
    ("error", "kind", "again"),
    [
        (DivergedError("loss is nan"), "diverged", False),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory", False),
        (MemoryError(), "out of memory", False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory", False),
        (failures.TimedOutError("it took longer"), "time-out", False),
        (failures.UndecodableSetError("not one"), "undecodable set", False),
        (OSError(errno.EIO, "Input/output error"), "storage", True),
        (OSError(errno.ESTALE, "Stale file handle"), "storage", True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "lost device", True),
        (FileNotFoundError(errno.ENOENT, "no such file"), "exception", False),
        (ValueError("the third wheel came off"), "exception", False),
    ],
)
def test_a_failure_has_a_kind(error: Exception, kind: str, again: bool) -> None:
    found, message = classify(error, SPEC)
    assert found == kind
    assert str(error).split("\n", maxsplit=1)[0] in message
    assert (kind in failures.INFRASTRUCTURE) is again


def test_out_of_memory_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    _, message = classify(MemoryError("no more"), SPEC)
    assert "accumulate: 4, labeled: 4, unlabeled: 12" in message
    monkeypatch.setattr(Supervised, "separable", False)
    _, message = classify(MemoryError("no more"), SPEC)
    assert "protocol.batch.unlabeled (24)" in message and "bfloat16" in message and "not separable" in message


def _work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record: dict[str, Any]) -> Any:
    monkeypatch.setattr(worker, "run_trial", lambda *_: record)
    return Worker().work({"environment": {}, "spec": SPEC.canonical(), "folder": str(tmp_path)})


def test_only_failures_of_the_machine_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _work(monkeypatch, tmp_path, {"status": "done"}) == worker.Answer()
    answer = _work(monkeypatch, tmp_path, {"status": "failed", "kind": "exception", "message": "x"})
    assert answer.told == "" and "failed" in answer.unfit
    with pytest.raises(MachineError, match="storage: x"):
        _work(monkeypatch, tmp_path, {"status": "failed", "kind": "storage", "message": "x"})


@pytest.mark.parametrize(("kind", "cure"), [("exception", "--retry-failed"), ("lost worker", "same command")])
def test_the_table_of_failures_names_each_log(tmp_path: Path, kind: str, cure: str) -> None:
    run = RunFolder(tmp_path)
    assert failure_lines([PLANNED], run) == []
    folder = run.trial(SPEC.id)
    with folder.attempt() as attempt:
        record = {"status": "failed", "kind": kind, "message": "the third\nwheel " + "x" * 500}
        folder.publish_failed(attempt, record, "Traceback")
    head, what, log, last = failure_lines([PLANNED, PLANNED], run)
    assert head == "1 trials failed:"
    assert f"{PLANNED.line}: {kind}: the third wheel x" in what and len(what) < 250
    assert log.strip() == f"log: {folder.path / 'error.txt'}"
    assert cure in last
