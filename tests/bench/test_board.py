"""What a board claims, from records whose correctness is chosen."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from synthetic_runs import suite, write_run

from bench.blocks import chance_pattern, common_seeds
from bench.board import build_boards
from bench.families import compare_all
from bench.records import load_run
from bench.stats import board_tests, holm
from datasets.errors import UserError

ENTRIES = {
    "supervised": "baseline",
    "better": "competitor",
    "same": "competitor",
    "full": "bound",
    "weak": "reference",
}
MEANS = {"supervised": 0.60, "better": 0.75, "same": 0.60, "full": 0.98, "weak": 0.3}


def board_of(tmp_path, outcome=None, loaded=None, **options):
    loaded = loaded or suite(ENTRIES)
    run = load_run(write_run(loaded, tmp_path / "run", outcome or (lambda e, labels, s: MEANS[e]), **options))
    return build_boards(run.records, loaded.suite), run


def row(board, label):
    return next(row for row in board.rows if row.entry.label == label)


def test_a_clear_leader_is_significant_in_both_families_and_alone_at_the_top(tmp_path):
    (board,), _ = board_of(tmp_path)
    leader = row(board, "better")
    assert board.ranked[0] is leader
    assert leader.to_baseline.significant(0.05)
    assert leader.to_baseline.estimate == pytest.approx(0.15, abs=0.03)
    assert leader.ranks == (1, 1) and leader.record == (5, 0, 0) and leader.bold
    assert [r.bold for r in board.ranked[1:]] == [False, False]


def test_families_are_those_of_the_statistics_with_holm_over_their_own_size(tmp_path):
    (board,), run = board_of(tmp_path)
    by = {(r.planned.entry, r.planned.seed): r.correct for r in run.records}
    labels = ["supervised", "better", "same"]
    tests = board_tests(np.array([[by[label, s] for s in range(5)] for label in labels]))
    a = holm([tests[0, 1].p, tests[0, 2].p, tests[1, 2].p])
    b = holm([tests[0, 1].p, tests[0, 2].p])
    assert row(board, "better").to_baseline.adjusted_p == pytest.approx(b[0])
    assert row(board, "same").to_baseline.adjusted_p == pytest.approx(b[1])
    assert row(board, "supervised").to_best.adjusted_p == pytest.approx(a[0])
    assert row(board, "same").to_best.adjusted_p == pytest.approx(a[2])
    assert row(board, "better").to_baseline.low == pytest.approx(-tests[0, 1].high)


def test_bounds_and_references_are_in_no_family(tmp_path):
    (board,), _ = board_of(tmp_path)
    assert [r.entry.label for r in board.bounds] == ["full"]
    assert [r.entry.label for r in board.references] == ["weak"]
    assert len(board.families.pairs) == 3 and len(board.families.against_baseline) == 2
    assert row(board, "full").to_baseline is None and row(board, "weak").ranks is None
    assert row(board, "weak").gap == pytest.approx(-0.3, abs=0.03)


def test_the_order_of_records_and_of_rows_in_a_file_changes_nothing(tmp_path):
    (board,), run = board_of(tmp_path)
    shuffled = list(run.records)
    random.Random(3).shuffle(shuffled)
    (again,) = build_boards(shuffled, suite(ENTRIES).suite)
    assert [(r.entry.label, r.mean, r.to_baseline, r.letters) for r in again.rows] == [
        (r.entry.label, r.mean, r.to_baseline, r.letters) for r in board.rows
    ]


def test_swapping_methods_flips_the_sign():
    rng = np.random.default_rng(0)
    correct = rng.random((2, 4, 60)) < np.array([0.7, 0.5])[:, None, None]
    one, two = compare_all(correct, 1), compare_all(correct[::-1], 1)
    assert one.pairs[0, 1].estimate == pytest.approx(-two.pairs[0, 1].estimate)
    assert one.pairs[0, 1].p == pytest.approx(two.pairs[0, 1].p)


def test_two_seeds_make_no_claim(tmp_path):
    (board,), _ = board_of(tmp_path, loaded=suite(ENTRIES, seeds="0-1"))
    assert not board.tested
    leader = row(board, "better")
    assert leader.to_baseline.p is None and leader.to_baseline.low is None
    assert leader.ranks is None and leader.letters == "" and not leader.bold


def test_only_common_seeds_are_compared(tmp_path):
    def outcome(entry, labels, seed):
        return "missing" if entry == "same" and seed in (1, 4) else MEANS[entry]

    (board,), _ = board_of(tmp_path, outcome)
    assert board.seeds == (0, 2, 3)
    assert row(board, "better").used == (0, 2, 3)
    assert row(board, "better").mean.estimate == pytest.approx(
        np.mean([row(board, "better").scores[s] for s in (0, 2, 3)])
    )
    assert len(row(board, "same").finished) == 3 and row(board, "same").planned == 5


def test_an_entry_with_too_few_seeds_costs_the_others_nothing(tmp_path):
    def outcome(entry, labels, seed):
        return "failed" if entry == "same" and seed > 0 else MEANS[entry]

    (board,), _ = board_of(tmp_path, outcome)
    assert board.seeds == (0, 1, 2, 3, 4)
    assert [r.entry.label for r in board.unranked] == ["same"]
    assert row(board, "same").to_baseline is None
    assert row(board, "better").to_baseline.significant(0.05)


def test_common_seeds_with_nothing_in_common():
    assert common_seeds({"a": {0, 1, 2}, "b": {3, 4, 5}}) == ([], ())
    assert common_seeds({"a": {0}, "b": {0, 1}}) == (["a", "b"], (0,))
    assert common_seeds({"a": set(), "b": {1}}) == (["b"], (1,))


def test_a_diverged_trial_scores_at_chance_and_does_not_hide_the_others(tmp_path):
    def outcome(entry, labels, seed):
        return "diverged" if entry == "same" and seed == 2 else MEANS[entry]

    (board,), _ = board_of(tmp_path, outcome)
    sick = row(board, "same")
    assert sick.scores[2] == pytest.approx(1 / 12)
    assert sick.diverged == (2,) and not sick.bold
    assert board.seeds == (0, 1, 2, 3, 4)
    assert row(board, "better").to_baseline.significant(0.05)
    assert not sick.to_baseline.significant(0.05)


def test_chance_pattern_is_one_class(tmp_path):
    _, run = board_of(tmp_path)
    pattern = chance_pattern(run.records[0].scored)
    assert set(run.records[0].scored.labels[pattern]) == {0} and pattern.mean() == pytest.approx(1 / 12)


def test_clips_of_one_video_are_a_cluster(tmp_path):
    (single,), _ = board_of(tmp_path / "a")
    (grouped,), _ = board_of(tmp_path / "b", per_video=4)
    assert single.scored.clusters is None
    assert len(set(grouped.scored.clusters)) == 60
    assert row(grouped, "better").to_baseline.test.n_clusters == 60
    assert row(single, "better").to_baseline.test.n_clusters == 240


def test_limited_trials_are_barred(tmp_path):
    (board,), _ = board_of(tmp_path, limited=True)
    assert board.rows == () and sum(board.barred.values()) == 25


def test_predictions_of_different_clips_are_refused(tmp_path):
    _, run = board_of(tmp_path)
    records = list(run.records)
    clips = records[7].scored
    other = dataclasses.replace(clips, clips=(*clips.clips[:-1], "test/9999.mp4"), digest="other")
    records[7] = dataclasses.replace(records[7], scored=other)
    with pytest.raises(UserError, match=r"different clips \('test/0239.mp4' is only in one"):
        build_boards(records, suite(ENTRIES).suite)


def test_a_record_twice_and_an_unknown_entry_are_refused(tmp_path):
    _, run = board_of(tmp_path)
    with pytest.raises(UserError, match="two records"):
        build_boards([*run.records, run.records[0]], suite(ENTRIES).suite)
    renamed = suite({"supervised": "baseline", "bettr": "competitor"})
    with pytest.raises(UserError, match=r"no entry 'better'\. Did you mean 'bettr'"):
        build_boards(run.records, renamed.suite)


def test_mean_per_class_is_the_same_machinery_with_weights(tmp_path):
    (_,), run = board_of(tmp_path, clips=250)  # 250 clips of 12 classes: not balanced
    (board,) = build_boards(run.records, suite(ENTRIES).suite, "mean_class")
    first = next(r for r in run.records if r.planned.entry == "better" and r.planned.seed == 0)
    assert row(board, "better").scores[0] == pytest.approx(first.done["metrics"]["mean_class"])
    assert row(board, "better").scores[0] != pytest.approx(first.done["metrics"]["top1"], abs=1e-6)


def test_the_chance_to_beat_the_baseline_counts_all_pairs_of_runs(tmp_path):
    (board,), _ = board_of(tmp_path, seed_sd=0.05)
    mine, base = row(board, "same"), row(board, "supervised")
    pairs = [(a > b) + (a == b) / 2 for a in mine.scores.values() for b in base.scores.values()]
    assert mine.superiority == pytest.approx(np.mean(pairs))
    assert row(board, "better").superiority == 1.0 and base.superiority is None


def test_a_missing_trial_gives_the_row_a_worst_and_a_best_case(tmp_path):
    def outcome(entry, labels, seed):
        return "failed" if entry == "same" and seed == 1 else MEANS[entry]

    (board,), _ = board_of(tmp_path, outcome)
    found = row(board, "same").sensitivity
    assert found.one_sided == (1,)
    assert found.worst.estimate < row(board, "same").to_baseline.estimate < found.best.estimate
    assert row(board, "better").sensitivity is None
