"""A worker that runs many trials: each as if it were alone, nothing left for the next, memory given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import store
from bench.plan import Choice, plan_section
from bench.schedule import reuse
from bench.schedule.reuse import Reuse, free_memory, own_memory_mib
from bench.schedule.worker import Answer, Worker
from bench.spec import TrialSpec
from bench.suite import load_suite
from datasets.synthgym import SynthGymTiny

DONE = {"status": "done"}


@pytest.fixture
def specs(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrialSpec]:
    """Two short trials that differ in method, threads, precision and determinism."""
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(shared_home))
    SynthGymTiny().prepare()
    planned = plan_section(load_suite("smoke"), "embedded", Choice(seeds=(3,)))
    settings: tuple[dict[str, Any], ...] = (
        {"steps": 3, "threads": 1},
        {"steps": 3, "threads": 2, "precision": "bfloat16", "deterministic": False},
    )
    return [
        trial.spec.model_copy(update={"protocol": trial.spec.protocol.model_copy(update=changes)})
        for trial, changes in zip(planned, settings, strict=True)
    ]


def _job(spec: TrialSpec, folder: Path) -> dict[str, Any]:
    return {"environment": {}, "spec": spec.canonical(), "folder": str(folder)}


def test_a_trial_gives_the_same_bits_whoever_was_before_it(specs: list[TrialSpec], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        for name, order in (("one", specs), ("other", specs[::-1])):
            worker = Worker()
            for spec in order:
                assert worker.work(_job(spec, tmp_path / name / spec.id)) == Answer()
    finally:
        torch.set_num_threads(before)
    for spec in specs:
        for file in (store.PREDICTIONS, store.METRICS):
            one, other = (tmp_path / name / spec.id / file for name in ("one", "other"))
            assert one.read_bytes() == other.read_bytes(), (spec.method, file)


def test_what_a_trial_changes_for_others_makes_its_worker_unfit(tmp_path: Path) -> None:
    worker = Reuse()
    assert worker.reason_against(DONE) == ""
    torch.set_default_dtype(torch.float64)
    try:
        assert "torch's default type" in worker.reason_against(DONE)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        assert "grad mode" in worker.reason_against(DONE)
    with np.errstate(all="raise"):
        assert "numpy's errors" in worker.reason_against(DONE)
    assert worker.reason_against(DONE) == ""
    assert "failed" in worker.reason_against({"status": "failed"})
    assert "failed" in worker.reason_against(None)


def test_a_worker_that_keeps_memory_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Reuse()
    held = iter([300.0, 300.0 + reuse.GROWTH_MIB, 301.0 + reuse.GROWTH_MIB])
    monkeypatch.setattr(reuse, "own_memory_mib", lambda: next(held))
    assert worker.reason_against(DONE) == worker.reason_against(DONE) == ""
    assert "513 MiB more" in worker.reason_against(DONE)


def test_freed_memory_goes_back_to_the_system() -> None:
    free_memory()
    before = own_memory_mib()
    kept = [torch.ones(1000) for _ in range(25_000)]  # small enough to come from the heap
    assert own_memory_mib() > before + 50
    del kept
    free_memory()
    assert own_memory_mib() < before + 30


@pytest.mark.slow
def test_memory_returns_after_every_one_of_many_trials(specs: list[TrialSpec], tmp_path: Path) -> None:
    """What torch and the rest make once and keep is there after the first trial of each kind."""
    before, worker, held = torch.get_num_threads(), Worker(), []
    try:
        for number in range(8):
            assert worker.work(_job(specs[number % 2], tmp_path / str(number))) == Answer()
            held.append(own_memory_mib())
    finally:
        torch.set_num_threads(before)
    assert max(held[2:]) < held[1] + 16, [round(each) for each in held]
