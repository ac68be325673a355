"""Known leaks: every command that trains refuses them, and a board says who has accepted them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import leaks
from datasets.audit import AuditFinding

LEAK = AuditFinding("leak", "same bytes", 1, "1 test clips have the same bytes as training clips", ("t.mp4",))
ONE = ("--seeds", "0", "--methods", "supervised")


@pytest.fixture
def leaky(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line where the rendered data are known to have a leak."""
    monkeypatch.setattr(leaks, "known_findings", lambda name: [LEAK])
    return bench


def plan_of(bench: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bench.folder / "runs/tiny/plan.json").read_text(encoding="utf-8"))
    return found


def page_of(bench: Any) -> str:
    page = (bench.folder / "runs/tiny/report/leaderboard.md").read_text(encoding="utf-8")
    return str(page.replace("\\_", "_"))


def test_an_export_and_its_trials_need_consent(leaky: Any) -> None:
    what = ("plan", "--suite", leaky.suite(), *ONE)
    assert leaky(*what).status == 0  # it only shows
    assert "--accept-leak synthgym_tiny" in leaky(*what, "--export", "jobs").sentence
    assert not (leaky.folder / "jobs").exists() and not (leaky.folder / "runs/tiny/plan.json").exists()
    answer = leaky(*what, "--export", "jobs", "--accept-leak", "synthgym_tiny")
    assert answer.status == 0, answer.err
    assert "--accept-leak synthgym_tiny" in (leaky.folder / "jobs/array.sbatch").read_text(encoding="utf-8")
    assert plan_of(leaky)["accepted"] == ["synthgym_tiny"]
    job = ("trial", "jobs/00001.json", "--out", "runs")
    assert "1 test clips have the same bytes" in leaky(*job).sentence
    assert leaky(*job, "--accept-leak", "synthgym_tiny").status == 0
    assert leaky("report", "--suite", leaky.folder / "tiny.yaml").status == 0
    assert "Leak in synthgym_tiny, accepted for this run: 1 test clips" in page_of(leaky)


def test_a_search_needs_consent(leaky: Any) -> None:
    what = ("tune", "--suite", leaky.suite(), "--configs", "1", "--methods", "supervised", "--to", "t.yaml")
    assert "--accept-leak synthgym_tiny" in leaky(*what).sentence
    assert leaky.executed == []
    answer = leaky(*what, "--accept-leak", "synthgym_tiny")
    assert answer.status == 0, answer.err


def test_a_plan_without_consent_on_record_says_so(leaky: Any) -> None:
    suite = leaky.suite()
    assert leaky("run", "--suite", suite, *ONE, "--accept-leak", "synthgym_tiny").status == 0
    plan = plan_of(leaky)
    assert plan.pop("accepted") == ["synthgym_tiny"]  # as plans were before the field
    (leaky.folder / "runs/tiny/plan.json").write_text(json.dumps(plan), encoding="utf-8")
    assert leaky("report", "--suite", suite).status == 0
    assert "Leak in synthgym_tiny, which nobody is known to have accepted: 1 test clips" in page_of(leaky)
    assert "accepted for this run" not in page_of(leaky)


def test_consent_stays_in_the_plan_of_trials_that_stay(leaky: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = leaky.suite()
    assert leaky("run", "--suite", suite, *ONE, "--accept-leak", "synthgym_tiny").status == 0
    monkeypatch.setattr(leaks, "known_findings", lambda name: [])
    assert leaky("run", "--suite", suite, "--seeds", "1", "--methods", "supervised").status == 0
    assert plan_of(leaky)["accepted"] == ["synthgym_tiny"]
