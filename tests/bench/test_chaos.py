"""A bounded part of the fault campaign: every kind of fault twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import chaos
from chaos_faults import FAULTS, forked

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(shared_home))


def test_the_same_command_finishes_after_every_kind_of_fault(tmp_path: Path) -> None:
    numbers = range(2 * len(FAULTS))
    kept = tmp_path / "kept.jsonl"
    passed, failed = chaos.campaign(numbers, 7, kept)
    assert failed == []
    assert passed == dict.fromkeys(FAULTS, 2)
    assert len(kept.read_text(encoding="utf-8").splitlines()) == len(numbers)
    again, _ = chaos.campaign(numbers, 7, kept)
    assert again == passed


def test_a_campaign_notices_a_store_that_believes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.store._whole", lambda record: True)
    monkeypatch.setattr("bench.store.sha256", lambda path: "0" * 64)
    places = [number for number in range(80) if list(FAULTS)[number % len(FAULTS)] == "predictions"]
    _, failed = chaos.campaign(places, 7, say=lambda line: None)
    assert failed


def test_a_signal_of_a_child_is_told() -> None:
    assert forked(lambda: 5) == 5
