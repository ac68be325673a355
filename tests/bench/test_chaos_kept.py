"""What a campaign of faults keeps: only what this code survived counts, and it reaches the page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import chaos_table
from chaos_kept import Kept


def test_rows_of_other_code_or_seeds_and_torn_lines_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    Kept(path, "code", 1).add({"number": 0, "kind": "kill"})
    Kept(path, "other", 1).add({"number": 1, "kind": "kill"})
    Kept(path, "code", 2).add({"number": 2, "kind": "kill"})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"code": "code", "seed": 1, "numb')
    assert [row["number"] for row in Kept(path, "code", 1).rows] == [0]
    assert Kept(None, "code", 1).rows == []


def test_the_table_counts_runs_that_completed_and_nothing_else() -> None:
    when = {"when": "2026-01-02 03:04:05", "seed": 7}
    plain = [{**when, "kind": "kill", "seconds": 90}, {**when, "kind": "kill"}, {**when, "kind": "preempt"}]
    ray = [
        {**when, "calm": "digest"},
        {**when, "run": 0, "hit": "driver"},
        {**when, "passed": 0},
        {**when, "run": 1, "hit": "raylet"},
    ]
    text = chaos_table.markdown(plain, ray)
    assert "Seed 7, 2026-01-02; 3 faults without Ray (2 minutes) and 1 through Ray survived" in text
    assert "| kill | 2 |" in text and "| driver killed (Ray) | 1 |" in text and "raylet" not in text


def test_a_page_takes_the_table_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{chaos_table.BEGIN}\nold\n{chaos_table.END}\nafter\n", encoding="utf-8")
    chaos_table.write(page, "new")
    chaos_table.write(page, "newer")
    assert page.read_text(encoding="utf-8") == (
        f"before\n{chaos_table.BEGIN}\nnewer\n{chaos_table.END}\nafter\n"
    )
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="has no"):
        chaos_table.write(page, "new")
