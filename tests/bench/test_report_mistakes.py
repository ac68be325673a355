"""`bench report` on tables and predictions that cannot be: one sentence with place and cure, status 1."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic_runs import suite, write_run

from bench import cli
from bench.records import load_run
from bench.render.results_csv import results_csv

LOADED = suite({"supervised": "baseline", "fixmatch": "competitor"}, seeds="0-2")


@pytest.fixture
def place(tmp_path):
    """A folder with suite, runs and their results table."""
    (tmp_path / "tiny.yaml").write_text(
        yaml.safe_dump(LOADED.suite.model_dump(mode="json")), encoding="utf-8"
    )
    run = write_run(LOADED, tmp_path / "runs" / "tiny", lambda e, labels, s: 0.7, clips=48)
    table = results_csv(load_run(run).records)
    (tmp_path / "results.csv").write_text(table, encoding="utf-8")
    return tmp_path


@pytest.fixture
def report(place, capsys, monkeypatch):
    """`bench report` with more arguments: (status, standard error)."""
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments):
        capsys.readouterr()
        to = ["--suite", str(place / "tiny.yaml"), "--out", str(place / "runs"), "--to", str(place / "to")]
        status = cli.invoke(["report", *to, "--format", "csv", *map(str, arguments)])
        return status, capsys.readouterr().err

    return run


def rewritten(path, change):
    with path.open(encoding="utf-8", newline="") as file:
        rows = change(list(csv.reader(file)))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def without(column):
    return lambda rows: [[c for name, c in zip(rows[0], row, strict=True) if name != column] for row in rows]


def with_cell(column, line, value):
    def change(rows):
        rows[line - 1][rows[0].index(column)] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (without("top1"), ["results.csv:1", "lacks the column 'top1'", "render the table again"]),
        (lambda rows: [*rows, rows[1]], ["results.csv:8", "a second row for gymlike@2 fixmatch seed=0",
                                         "the first is line 2", "delete one"]),
        (with_cell("nll", 1, "nl"), ["results.csv:1", "no metric or column 'nl'", "Did you mean 'nll'"]),
        (with_cell("top1", 2, "nan"), ["results.csv:2", "'top1' cannot be 'nan'", "render the table again"]),
        (with_cell("code_hash", 2, "feed"), ["results.csv:2", "says code_hash feed", "--out"]),
        (with_cell("section", 2, "embeded"), ["no section 'embeded'", "Did you mean 'embedded'"]),
    ],
)  # fmt: skip
def test_a_results_table(place, report, change, parts):
    rewritten(place / "results.csv", change)
    status, err = report("--results", place / "results.csv")
    assert status == 1 and err.count("\n") == 1 and all(part in err for part in parts), err


def change_predictions(place, change):
    """Rewrites the predictions of one trial, and what its record says of them."""
    record = load_run_of(place)[0]
    path = record.folder.path / "predictions.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    done = record.folder.path / "done.json"
    size = f'"predictions_bytes": {path.stat().st_size}'
    old = f'"predictions_bytes": {record.done["predictions_bytes"]}'
    done.write_text(done.read_text(encoding="utf-8").replace(old, size), encoding="utf-8")
    return path


def load_run_of(place):
    from bench.store import RunFolder

    return load_run(RunFolder(place / "runs" / "tiny")).records


def test_predictions_of_different_clips_within_a_block(place, report):
    change_predictions(place, lambda table: table.replace({"clip": {table["clip"][0]: "elsewhere.mp4"}}))
    status, err = report()
    assert status == 1 and err.count("\n") == 1
    assert "were scored on different clips" in err and "plan and run again" in err


def test_probabilities_that_are_nan(place, report):
    def change(table):
        table.loc[3, "confidence"] = np.nan
        return table

    path = change_predictions(place, change)
    status, err = report()
    assert status == 1 and err.count("\n") == 1
    assert f"{path}: row 4" in err and "NaN" in err and "delete the trial's folder" in err


def test_the_records_of_another_suite(place, report):
    plan = place / "runs" / "tiny" / "plan.json"
    plan.write_text(plan.read_text(encoding="utf-8").replace("{", '{"suite": "other",', 1), encoding="utf-8")
    status, err = report()
    assert status == 1 and "is the plan of suite 'other', not of 'tiny'" in err and "never mixed" in err


def test_from_the_table_the_report_has_the_same_bytes(place, report):
    for formats in ("html,latex,csv,json", "md"):
        pages = []
        for arguments in ((), ("--results", place / "results.csv")):
            assert report(*arguments, "--format", formats)[0] == 0
            pages.append({
                path.name: path.read_bytes()
                for path in (place / "to").rglob("*") if path.is_file() and path.name[0] != "."
            })  # fmt: skip
        assert pages[0] == pages[1] and len(pages[0]) >= 4
