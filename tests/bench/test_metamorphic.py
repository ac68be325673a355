"""What must not change a verdict, through the whole of it: from files to boards."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import CLASSES, predictions, reseal, suite, write_run

from bench.board import Board, build_boards
from bench.evaluate import metrics
from bench.records import load_run
from bench.store import write_json

ENTRIES = {"supervised": "baseline", "better": "competitor", "same": "competitor", "worse": "competitor"}
MEANS = {"supervised": 0.60, "better": 0.72, "same": 0.60, "worse": 0.50}
LOADED = suite(ENTRIES, seeds="0-3")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return write_run(LOADED, folder, lambda e, labels, s: MEANS[e], clips=120, per_video=2)


def board_of(run, loaded=LOADED) -> Board:
    (board,) = build_boards(load_run(run).records, loaded.suite)
    return board


def verdicts(board: Board, rename=lambda label: label) -> dict:
    """Everything that a page claims, by entry."""
    return {
        rename(row.entry.label): (
            row.ranks,
            row.letters,
            row.bold,
            row.record,
            *(
                None
                if c is None
                else tuple(round(v, 12) for v in (c.estimate, c.low, c.high, c.p, c.adjusted_p))
                for c in (row.to_baseline, row.to_best)
            ),
        )
        for row in board.ranked
    }


def rewritten(run, folder, change, plan=lambda plan: plan):
    """A copy of a run whose prediction tables and plan are changed."""
    again = type(run)(folder)
    text = plan(json.loads((run.path / "plan.json").read_text()))
    for trial in sorted((run.path / "trials").iterdir()):
        table = change(pd.read_parquet(trial / "predictions.parquet"))
        target = folder / "trials" / trial.name
        target.mkdir(parents=True)
        table.to_parquet(target / "predictions.parquet", index=False)
        shutil.copy(trial / "done.json", target)
        reseal(target, metrics=metrics(table, CLASSES))
    write_json(folder / "plan.json", text)
    return again


def test_order_of_rows_columns_and_plan(run, tmp_path):
    def shuffled(plan):
        random.Random(5).shuffle(plan["trials"])
        return plan

    again = rewritten(run, tmp_path, lambda t: t.sample(frac=1, random_state=3)[t.columns[::-1]], shuffled)
    assert verdicts(board_of(again)) == verdicts(board_of(run))


def test_a_further_column_changes_nothing(run, tmp_path):
    again = rewritten(run, tmp_path, lambda t: t.assign(label_again=t["label"], comment="x"))
    assert verdicts(board_of(again)) == verdicts(board_of(run))


def test_names_of_methods(run):
    names = {"supervised": "z base", "better": "a", "same": "B-2", "worse": "ω"}
    records = [
        dataclasses.replace(r, planned=r.planned.model_copy(update={"entry": names[r.planned.entry]}))
        for r in load_run(run).records
    ]
    renamed = suite({names[label]: role for label, role in ENTRIES.items()}, seeds="0-3")
    (board,) = build_boards(records, renamed.suite)
    assert verdicts(board) == verdicts(board_of(run), names.__getitem__)


def test_order_of_entries_in_the_suite(run):
    (board,) = build_boards(load_run(run).records, suite(dict(reversed(ENTRIES.items())), seeds="0-3").suite)
    assert verdicts(board) == verdicts(board_of(run))


def test_a_constant_added_to_all(run, tmp_path):
    """30 more clips that everybody gets wrong, or everybody right: all accuracies rise by the same."""

    def more(right):
        def change(table):
            extra = predictions(0.5, "extra", 0, clips=30)
            extra["clip"] = [f"extra/{i}" for i in range(30)]
            extra["group"] = extra["clip"]
            extra["predicted"] = extra["label"] if right else (extra["label"] + 1) % CLASSES
            return pd.concat([table, extra], ignore_index=True)

        return change

    low = board_of(rewritten(run, tmp_path / "low", more(False)))
    high = board_of(rewritten(run, tmp_path / "high", more(True)))
    assert high.ranked[0].mean.estimate - low.ranked[0].mean.estimate == pytest.approx(30 / 150)
    for one, two in zip(low.ranked, high.ranked, strict=True):
        assert (one.entry, one.ranks, one.letters, one.bold) == (two.entry, two.ranks, two.letters, two.bold)
        for c, d in ((one.to_baseline, two.to_baseline), (one.to_best, two.to_best)):
            assert (c is None) == (d is None)
            if c is not None:
                assert (c.estimate, c.adjusted_p) == pytest.approx((d.estimate, d.adjusted_p), rel=1e-9)


def test_an_adjusted_p_is_never_below_the_raw_one_and_a_larger_family_never_helps(run):
    board = board_of(run)
    b, a = board.families.against_baseline, board.families.pairs
    for c in [*b.values(), *a.values()]:
        assert c.p <= c.adjusted_p <= 1
    base = next(
        i for i, row in zip(board.families.groups.order, board.ranked, strict=True) if row.to_baseline is None
    )
    for index, c in b.items():  # the same raw p in the family of all pairs, which holds this family
        other = a[min(index, base), max(index, base)]
        assert other.p == c.p and other.adjusted_p >= c.adjusted_p - 1e-15


def test_the_measure_of_a_balanced_test_set_makes_no_difference(run):
    records = load_run(run).records
    (top1,), (mean_class,) = (build_boards(records, LOADED.suite, m) for m in ("top1", "mean_class"))
    for one, two in zip(top1.ranked, mean_class.ranked, strict=True):
        assert one.entry == two.entry and np.isclose(one.mean.estimate, two.mean.estimate)
        assert one.to_baseline is None or np.isclose(one.to_baseline.p, two.to_baseline.p)
