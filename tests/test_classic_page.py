"""The section of docs/methods.md about the suite `classic`: its figures, and a reason for each row below."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from bench.suite import load_suite

DOCS = Path(__file__).parent.parent / "docs"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_classic", DOCS / "make_classic.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_classic = _script()


@pytest.fixture(scope="module")
def filed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "classic.json").read_text(encoding="utf-8"))
    return found


def test_every_entry_of_the_suite_has_a_row_with_all_its_seeds(filed: dict[str, Any]) -> None:
    section = load_suite("classic").suite.sections["embedded"]
    rows = {row["entry"]: row for row in filed["rows"]}
    assert set(rows) == {entry.label for entry in section.entries}
    assert {len(row["scores"]) for row in rows.values()} == {5}
    for row in rows.values():
        assert row["mean"] == pytest.approx(sum(row["scores"].values()) / 5, abs=1e-5)


def test_every_row_below_the_baseline_has_a_reason_and_no_other(filed: dict[str, Any]) -> None:
    reasons = yaml.safe_load((DOCS / "classic_reasons.yaml").read_text(encoding="utf-8"))
    means = {row["entry"]: row["mean"] for row in filed["rows"]}
    below = {entry for entry, mean in means.items() if mean < means[filed["baseline"]]}
    assert set(reasons) == below
    page = (DOCS / "methods.md").read_text(encoding="utf-8")
    assert all(f"- **{entry}** " in page for entry in below)


def test_controls_are_of_rows_and_seeds_of_the_run(filed: dict[str, Any]) -> None:
    rows = {row["entry"]: row for row in filed["rows"]}
    with (DOCS / "classic_controls.csv").open(encoding="utf-8") as file:
        controls = list(csv.DictReader(file))
    assert "fixmatch" in {control["entry"] for control in controls}, "the reference of all rows"
    for control in controls:
        row = rows[control["entry"]]
        assert control["seed"] in row["scores"] and control["field"] in row["config"]
        assert control["value"] != str(row["config"][control["field"]]).lower()
        assert 0 < float(control["top1"]) < 1


def test_pseudo_labels_are_described_by_both_ends_of_the_training() -> None:
    def step(number: int) -> dict[str, float]:
        return {"step": number, "pseudo/accuracy": number / 10, "pseudo/used": 0.0 if number < 5 else 1.0}

    log = [{"step": 0, "loss/supervised": 1.0}, *(step(n) for n in range(10))]
    log[-1]["pseudo/precision"] = 0.9  # where no clip is used, no precision is logged
    found = make_classic.quality([log, log])
    assert found == {"accuracy": [0.05, 0.85], "used": [0.0, 1.0], "precision": 0.9}
    assert make_classic.quality([[{"step": 0, "loss/supervised": 1.0}]]) is None
