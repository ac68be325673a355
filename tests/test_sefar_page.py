"""docs/sefar.md: its table comes from a results table, and lists the toggles that there are."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.suite import load_suite
from methods.config import build
from sefar.method import SeFAR
from sefar.official import SeFAROfficial

DOCS = Path(__file__).parent.parent / "docs"
SUITE = load_suite("paper/departures").suite.sections["embedded"]


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("make_sefar", DOCS / "make_sefar.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


make_sefar = _script()


def _config(label: str) -> dict[str, Any]:
    entry = next(entry for entry in SUITE.entries if entry.label == label)
    values = {**SUITE.shared, **entry.config}
    return dataclasses.asdict(build(SeFAROfficial.Config, values, label))


def _differences(label: str, base: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _config(label).items() if value != base[name]}


def test_every_departure_is_a_toggle_a_row_of_the_suite_and_nothing_else() -> None:
    released = {field.name: field.default for field in dataclasses.fields(SeFAROfficial.Config)}
    own = released.keys() - {field.name for field in dataclasses.fields(SeFAR.Config)}
    assert {each.toggle for each in make_sefar.DEPARTURES} == own
    base = _config(make_sefar.BASE)
    for each in make_sefar.DEPARTURES:
        assert str(base[each.toggle]).lower() == each.paper
        assert _differences(each.entry, base) == {each.toggle: released[each.toggle]}
    assert _differences(make_sefar.ALL, base) == {name: released[name] for name in own}


def test_the_suite_is_of_the_same_kind_as_the_leaderboard() -> None:
    main = load_suite("fine_grained").suite.sections["embedded"]
    for field in ("backbone", "protocol", "shared"):
        assert getattr(SUITE, field) == getattr(main, field), field


def _results(path: Path, rows: list[tuple[str, int, str, float]]) -> Path:
    lines = ["entry,seed,status,top1", *(f"{e},{s},{status},{top1}" for e, s, status, top1 in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_effects_are_paired_by_seed_with_an_interval(tmp_path: Path) -> None:
    rows = [("intended", seed, "done", 0.5 + 0.1 * seed) for seed in range(3)]
    rows += [
        ("reversal", seed, "done", 0.5 + 0.1 * seed - drop) for seed, drop in enumerate((0.01, 0.02, 0.03))
    ]
    rows += [("reversal", 3, "done", 0.0), ("partners", 0, "done", 0.4), ("channels", 0, "failed", 0.1)]
    block = make_sefar.table(make_sefar.read_scores(_results(tmp_path / "results.csv", rows)))
    line = next(line for line in block.splitlines() if line.startswith("| 4.1 |"))
    assert "-2.0 [-4.5, +0.5], 3 seeds" in line  # 4.303 · 1 / sqrt(3) = 2.48 points to each side
    for item in ("4.2", "4.6", "4.13"):
        row = next(line for line in block.splitlines() if line.startswith(f"| {item} |"))
        assert make_sefar.UNMEASURED in row
    assert "60.0 (3 seeds)" in block


def test_a_table_without_the_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no finished trial of the entry 'intended'"):
        make_sefar.read_scores(_results(tmp_path / "results.csv", [("reversal", 0, "done", 0.5)]))


def test_the_committed_page_lists_the_toggles() -> None:
    assert make_sefar.main(["--check"]) == 0
