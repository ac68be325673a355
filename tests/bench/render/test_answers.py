"""`answers.parquet` suffices to redo the statistics of a board without this package's records."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import suite, write_run

from bench.render.report import write_report
from bench.stats import board_tests

ROLES = {"supervised": "baseline", "fixmatch": "competitor", "softmatch": "competitor", "full": "bound"}
MEANS = {"supervised": 0.6, "fixmatch": 0.7, "softmatch": 0.65, "full": 0.95}


@pytest.fixture
def written(tmp_path):
    """The folder of a report with all that is needed."""
    loaded = suite(ROLES, seeds="0-4")
    run = write_run(loaded, tmp_path / "run", lambda entry, labels, seed: MEANS[entry], clips=120)
    write_report(loaded, run, tmp_path / "to", ("answers", "csv", "json"))
    return tmp_path / "to"


def test_accuracies_and_tests_come_out_again(written):
    answers = pd.read_parquet(written / "answers.parquet")
    answers["right"] = answers.label == answers.predicted
    again = answers.groupby("trial", observed=True).right.mean()
    results = pd.read_csv(written / "results.csv").set_index("trial").top1
    assert len(again) == len(results)
    pd.testing.assert_series_equal(again.sort_index(), results.sort_index(), check_names=False, rtol=1e-5)

    for board in json.loads((written / "stats.json").read_text(encoding="utf-8"))["boards"]:
        data, _, labels = board["cell"].rpartition("@")
        mine = answers[(answers.data == data) & (answers.labels.astype(str) == labels)]
        rows = sorted(row["entry"] for row in board["rows"] if row["role"] != "bound")
        cube = np.stack(
            [
                mine[mine.entry == row].pivot(index="seed", columns="clip", values="right").to_numpy(bool)
                for row in rows
            ]
        )
        tests = board_tests(cube)
        for claim in board["tests"]:
            pair = rows.index(claim["a"]), rows.index(claim["b"])
            found = tests[min(pair), max(pair)]
            sign = 1 if pair[0] < pair[1] else -1
            assert sign * found.estimate == pytest.approx(claim["estimate"])
            assert found.p == pytest.approx(claim["p"])


def test_the_same_run_gives_the_same_bytes_and_few_of_them(written, tmp_path):
    answers = written / "answers.parquet"
    rows = len(pd.read_parquet(answers))
    assert answers.stat().st_size < rows + 20_000  # about a byte a row beside what columns and texts take
    loaded = suite(ROLES, seeds="0-4")
    run = write_run(loaded, tmp_path / "again", lambda entry, labels, seed: MEANS[entry], clips=120)
    write_report(loaded, run, tmp_path / "to-again", ("answers",))
    assert (tmp_path / "to-again/answers.parquet").read_bytes() == answers.read_bytes()


def test_it_is_made_only_where_it_is_asked_for(tmp_path):
    loaded = suite(ROLES, seeds="0-1")
    run = write_run(loaded, tmp_path / "run", lambda entry, labels, seed: 0.5, clips=24)
    write_report(loaded, run, tmp_path / "to")
    assert not (tmp_path / "to/answers.parquet").exists()
    assert (tmp_path / "to/results.csv").exists()
