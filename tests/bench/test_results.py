"""A results table as the source of a report: refused by row where it cannot be."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from synthetic_runs import suite, write_run

from bench.records import load_run
from bench.render.results_csv import results_csv
from bench.results import load_results, read_results
from datasets.errors import UserError

LOADED = suite({"supervised": "baseline", "fixmatch": "competitor"}, seeds="0-2")


@pytest.fixture
def run(tmp_path):
    outcome = lambda e, labels, s: "diverged" if (e, s) == ("fixmatch", 1) else 0.7  # noqa: E731
    return write_run(LOADED, tmp_path / "run", outcome, clips=48)


@pytest.fixture
def table(run, tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(results_csv(load_run(run).records), encoding="utf-8")
    return path


def change(path, edit):
    """Rewrites the table from its rows, the header first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = edit(list(csv.reader(file)))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def cell(column, line, value):
    def edit(rows):
        rows[line - 1][rows[0].index(column)] = value
        return rows

    return edit


def test_the_table_gives_back_the_records_without_a_plan(run, table):
    before = {(r.planned.entry, r.planned.seed): r for r in load_run(run).records}
    (run.path / "plan.json").unlink()
    after = load_results(table, run).records
    assert len(after) == 6
    for record in after:
        same = before[record.planned.entry, record.planned.seed]
        assert record.status == same.status and record.planned == same.planned
        assert record.status != "done" or np.array_equal(record.correct, same.correct)
    assert results_csv(after) == table.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: [[*row[:-1], "9"] for row in rows], "no metric or column '9'"),
        (cell("seed", 1, "sed"), r"results\.csv:1: lacks the column 'seed'"),
        (cell("nll", 1, "nl"), r"results\.csv:1: there is no metric or column 'nl'\. Did you mean 'nll'"),
        (
            lambda rows: [*rows, rows[1]],
            r"results\.csv:8: a second row for gymlike@2 fixmatch seed=0 .* line 2",
        ),
        (lambda rows: [*rows, rows[1][:5]], r"results\.csv:8: has another number of columns"),
        (cell("top1", 2, "nan"), r"results\.csv:2: column 'top1' cannot be 'nan'"),
        (cell("top1", 2, "1.7"), r"results\.csv:2: column 'top1' cannot be '1.7'"),
        (cell("seed", 3, "x"), r"results\.csv:3: column 'seed' must be a whole number"),
        (cell("status", 2, "don"), r"results\.csv:2: there is no status 'don'\. Did you mean 'done'"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_line(table, edit, message):
    change(table, edit)
    with pytest.raises(UserError, match=message):
        read_results(table)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (cell("top1", 2, "0.100000"), r"results\.csv:2: says top1 0\.100000, but the folder of trial"),
        (cell("code_hash", 2, "feed"), "says code_hash feed, but the folder .* says code-fixmatch"),
        (cell("split_hash", 2, "feed"), "says split_hash feed"),
        (cell("status", 2, "failed"), "says status failed, but the folder .* says done"),
        (cell("trial", 2, "feed"), r"trial 'feed' has no readable specification in .*--out"),
    ],
)
def test_a_table_of_another_run_or_other_code_is_not_mixed_in(run, table, edit, message):
    change(table, edit)
    with pytest.raises(UserError, match=message):
        load_results(table, run)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"gone\.csv: there is no such file; .*--results"):
        read_results(tmp_path / "gone.csv")
