"""The committed leaderboard can be done again from the answers that are committed with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.stats import board_tests, holm

REPORTS = Path(__file__).resolve().parents[1] / "reports"


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    found = pd.read_parquet(REPORTS / "answers.parquet")
    return found.assign(right=found.label == found.predicted)


def test_every_accuracy_of_the_results_follows_from_the_answers(answers: pd.DataFrame) -> None:
    results = pd.read_csv(REPORTS / "results.csv").set_index("trial").top1
    again = answers.groupby(["entry", "data", "labels", "seed", "trial"]).right.mean()
    again = again.reset_index().drop_duplicates("trial").set_index("trial").right
    assert set(again.index) == set(results.index)
    for trial, top1 in results.groupby(level=0).first().items():
        assert again[trial] == pytest.approx(top1, abs=1e-6)


@pytest.mark.parametrize("cell", ["synthgym@2", "synthgym@4", "synthgym_order@2", "synthgym_order@4"])
def test_every_p_value_of_a_board_follows_from_the_answers(answers: pd.DataFrame, cell: str) -> None:
    boards = json.loads((REPORTS / "stats.json").read_text(encoding="utf-8"))["boards"]
    (board,) = (each for each in boards if each["cell"] == cell)
    data, _, labels = cell.rpartition("@")
    mine = answers[(answers.data == data) & (answers.labels == labels)]
    against = [claim for claim in board["tests"] if claim["family"] == "B"]
    rows = sorted({claim["a"] for claim in against} | {"supervised"})
    cube = np.stack(
        [
            mine[mine.entry == row].pivot(index="seed", columns="clip", values="right").to_numpy(bool)
            for row in rows
        ]
    )
    assert cube.shape == (len(rows), 10, 600)
    tests = board_tests(cube)
    raw = []
    for claim in against:
        pair = rows.index(claim["a"]), rows.index(claim["b"])
        found = tests[min(pair), max(pair)]
        sign = 1 if pair[0] < pair[1] else -1
        assert sign * found.estimate == pytest.approx(claim["estimate"], abs=1e-9)
        assert found.p == pytest.approx(claim["p"], rel=1e-6)
        raw.append(found.p)
    adjusted = [claim["adjusted_p"] for claim in against]
    assert list(holm(raw)) == pytest.approx(adjusted, rel=1e-6)
