"""The summary over data sets, against its formulas."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from synthetic_runs import on_data, suite, write_run

from bench.board import build_boards
from bench.records import load_run
from bench.render.over_data import sentences
from bench.stats import nemenyi_cd
from bench.summary import summaries, summarize
from datasets.errors import UserError

ENTRIES = {"supervised": "baseline", "better": "competitor", "same": "competitor", "full": "bound"}
MEANS = {"supervised": 0.60, "better": 0.75, "same": 0.60, "full": 0.98}


def made(tmp_path, *names, labels=("2",), outcome=None, **options):
    loaded = on_data(suite(ENTRIES), *names, labels=labels)
    run = load_run(write_run(loaded, tmp_path / "run", outcome or (lambda e, b, s: MEANS[e]), **options))
    boards = build_boards(run.records, loaded.suite)
    return summarize(boards), boards, run.records, loaded.suite


def row(summary, label):
    return next(row for row in summary.ranked if row.entry.label == label)


def test_two_data_sets_alike_halve_the_variance_and_double_the_degrees_of_freedom(tmp_path):
    summary, (board, _), _, _ = made(tmp_path, "one", "two")
    mine, alone = row(summary, "better"), next(r for r in board.ranked if r.entry.label == "better")
    assert summary.data == ("one", "two") and summary.seeds["two"] == (0, 1, 2, 3, 4)
    assert mine.to_baseline.estimate == pytest.approx(alone.to_baseline.estimate)
    # The comparison is seen from "better"; its test from "supervised", which comes first in the suite.
    assert mine.to_baseline.test.se == pytest.approx(alone.to_baseline.test.se / np.sqrt(2))
    assert mine.to_baseline.test.df == pytest.approx(2 * alone.to_baseline.test.df)
    assert mine.mean.estimate == pytest.approx(alone.mean.estimate)
    assert mine.ranks == (1, 1) and mine.bold and mine.record == (10, 0, 0)
    assert mine.flips.p == pytest.approx(2 / 2**10) and mine.flips.floor == pytest.approx(2 / 2**10)
    assert "full" not in summary.order


def test_holm_is_over_the_families_of_the_summary(tmp_path):
    summary, *_ = made(tmp_path, "one", "two")
    assert len(summary.families.pairs) == 3 and len(summary.families.against_baseline) == 2
    for c in [*summary.families.pairs.values(), *summary.families.against_baseline.values()]:
        assert c.adjusted_p >= c.p


def test_label_budgets_are_averaged_and_are_no_further_data_sets(tmp_path):
    def outcome(entry, labels, seed):
        return MEANS[entry] + (0.1 if labels == "4" and entry != "full" else 0.0)

    summary, boards, *_ = made(tmp_path, "one", "two", labels=("2", "4"), outcome=outcome)
    of_one = [next(r for r in b.ranked if r.entry.label == "better") for b in boards if b.data == "one"]
    expected = np.mean([np.mean(list(r.scores.values())) for r in of_one])
    assert row(summary, "better").scores["one"] == pytest.approx(expected)
    assert summary.cells == ("one@2", "one@4", "two@2", "two@4") and len(summary.data) == 2
    assert sum(row(summary, "better").record) == 10  # blocks are data set x seed
    assert summary.new is None


def test_pinned_boards_stay_out_and_one_data_set_has_no_summary(tmp_path):
    summary, *_ = made(tmp_path / "a", "one", "two", labels=("2", "list"))
    assert summary.cells == ("one@2", "two@2")
    assert made(tmp_path / "b", "one", labels=("2", "4"))[0] is None


def test_an_entry_that_misses_a_data_set_is_listed_unranked(tmp_path):
    _, _, records, known = made(tmp_path, "one", "two")
    kept = [r for r in records if not (r.planned.entry == "same" and r.planned.cell == "two@2")]
    (summary,) = summaries(build_boards(kept, known))
    assert summary.unranked == {"same": ("two@2",)}
    assert summary.order == ("supervised", "better") and row(summary, "better").to_baseline.size == 1


def test_entries_of_one_budget_are_ranked_in_a_summary_of_that_budget(tmp_path):
    _, _, records, known = made(tmp_path, "one", "two", labels=("2", "4"))
    kept = [r for r in records if not (r.planned.entry == "same" and r.planned.cell.endswith("@4"))]
    whole, two = summaries(build_boards(kept, known))
    assert (whole.labels, two.labels) == ("", "2")
    assert whole.order == ("supervised", "better") and set(whole.unranked) == {"same"}
    assert two.order == ("supervised", "better", "same") and two.unranked == {}
    assert two.cells == ("one@2", "two@2") and len(two.families.pairs) == 3
    alone = summarize([b for b in build_boards(kept, known) if b.labels == "2"])
    assert [r.mean for r in two.ranked] == [r.mean for r in alone.ranked]
    (all_meet,) = summaries(build_boards(records, known))
    assert all_meet.labels == "", "no entry is left out, so one summary says everything"


def test_too_few_seeds_make_no_summary_claim_and_say_so(tmp_path):
    _, _, records, known = made(tmp_path, "one", "two")
    kept = [r for r in records if r.planned.seed < 2 or r.planned.cell == "one@2"]
    (summary,) = summaries(build_boards(kept, known))
    assert summary.ranked == () and summary.families is None
    assert summary.reason == "fewer than two entries have 3 finished seeds on all data sets"


def test_six_data_sets_allow_a_claim_about_new_ones(tmp_path):
    names = ("a", "b", "c", "d", "e", "f")
    summary, *_ = made(tmp_path, *names, clips=96, outcome=lambda e, b, s: MEANS[e] if s < 3 else "missing")
    new = summary.new
    index = summary.order.index("better")
    mine = new.against_baseline[index]
    assert mine.a == index and mine.estimate > 0.1
    assert mine.test.p == pytest.approx(2 / 2**6) and mine.test.sufficient
    assert mine.adjusted_p >= mine.test.p and len(new.pairs) == 3
    assert new.omnibus.p < 0.05
    assert new.critical_difference == pytest.approx(nemenyi_cd(3, 6, 0.05))
    assert made(tmp_path / "five", *names[:5], clips=96)[0].new is None


def test_budgets_with_different_test_clips_are_refused(tmp_path):
    _, _, records, known = made(tmp_path, "one", "two", labels=("2", "4"))
    other = dataclasses.replace(records[0].scored, digest="other")
    changed = [dataclasses.replace(r, scored=other) if r.planned.cell == "one@4" else r for r in records]
    with pytest.raises(UserError, match=r"budgets of 'one' \(2, 4\) were scored on different clips"):
        summaries(build_boards(changed, known))


def test_the_order_of_records_changes_nothing(tmp_path):
    summary, _, records, known = made(tmp_path, "one", "two")
    shuffled = list(records)
    random.Random(1).shuffle(shuffled)
    (again,) = summaries(build_boards(shuffled, known))
    assert [(r.entry.label, r.mean, r.to_baseline, r.flips) for r in again.ranked] == [
        (r.entry.label, r.mean, r.to_baseline, r.flips) for r in summary.ranked
    ]


def test_mean_per_class_is_summarised_with_weights(tmp_path):
    _, _, records, known = made(tmp_path, "one", "two", clips=250)
    (summary,) = summaries(build_boards(records, known, "mean_class"))
    mine = [r.metrics["mean_class"] for r in records if r.planned.entry == "better" and r.spec.data == "one"]
    assert row(summary, "better").scores["one"] == pytest.approx(np.mean(mine))


def test_data_sets_with_clips_of_one_name_are_named(tmp_path):
    """Gym99 and Gym288 share most of their test clips; a mean over both counts these twice."""
    summary, boards, *_ = made(tmp_path, "one", "two")
    clips = len(boards[0].scored.clips)
    assert summary.shared == (("one", "two", clips),)
    said = next(text for text in sentences(summary) if text.startswith("Not independent"))
    assert f"{clips} test clips of one and two have the same name" in said and "too narrow" in said
    renamed = tuple(f"b/{clip}" for clip in boards[1].scored.clips)
    other = dataclasses.replace(boards[1], scored=dataclasses.replace(boards[1].scored, clips=renamed))
    assert summarize([boards[0], other]).shared == ()
