"""`bench ls costs`: the cost of a step of each entry, the same numbers as in the records."""

from __future__ import annotations

import json
from typing import Any

from bench.store import read_json


def _three_levels(content: dict[str, Any]) -> None:
    entry = {"label": "sefar", "method": "sefar", "config": {"levels": [2, 2, 4], "ema_start": "first_step"}}
    content["sections"]["embedded"]["entries"].append(entry)


def test_costs_are_those_of_the_records_and_levels_decode_no_more_frames(bench: Any) -> None:
    suite = bench.suite(_three_levels)
    shown = bench("ls", "costs", "--suite", suite, "--json")
    assert shown.status == 0, shown.err
    rows = {row["entry"]: row for row in json.loads(shown.out)}
    assert bench("run", "--suite", suite, "--methods", "sefar", "--seeds", "0").status == 0
    records = [read_json(file) for file in (bench.folder / "runs/tiny/trials").glob("*/done.json")]
    for record in records:
        row = rows[record["spec"]["method"]]
        assert {name: row[name] for name in record["step_cost"]} == record["step_cost"]
    assert {record["spec"]["method"] for record in records} == {"sefar", "supervised"}
    assert rows["sefar"]["frames"] == rows["fixmatch"]["frames"] == 8
    assert rows["sefar"]["frames_decoded"] == rows["fixmatch"]["frames_decoded"]
    assert rows["sefar"]["flops"] > rows["fixmatch"]["flops"] > rows["supervised"]["flops"]


def test_the_table_names_every_entry(bench: Any) -> None:
    shown = bench("ls", "costs", "--suite", bench.suite())
    assert shown.status == 0, shown.err
    for word in ("fixmatch", "supervised", "decoded", "GFLOP", "step_cost"):
        assert word in shown.out
