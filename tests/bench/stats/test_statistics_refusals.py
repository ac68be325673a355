"""Bad input is refused with a sentence; data that allow no claim get None, not an error."""

from __future__ import annotations

import numpy as np
import pytest

from bench import stats

RIGHT = np.random.default_rng(0).random((3, 3, 20)) < 0.6
NAN = float("nan")

REFUSED = {
    "NaN correctness": (lambda: stats.board_tests(np.where(RIGHT, 1.0, NAN)), "NaN"),
    "accuracies for correctness": (lambda: stats.mean_interval(RIGHT[0] * 0.5), "1/0"),
    "different shapes": (lambda: stats.two_way_paired_t(RIGHT[0], RIGHT[1, :2]), "one shape"),
    "seeds without clips": (lambda: stats.two_way_paired_t(RIGHT[0, 0], RIGHT[1, 0]), r"seeds, clips"),
    "a board with two axes": (lambda: stats.board_tests(RIGHT[0]), r"methods, seeds, clips"),
    "words for correctness": (lambda: stats.mean_interval([["yes", "no"]]), "must be numbers"),
    "ragged seeds": (lambda: stats.mean_interval([[1, 0], [1]]), "must be numbers"),
    "no clips": (lambda: stats.mean_interval(np.zeros((3, 0))), "non-empty"),
    "too few clusters": (lambda: stats.board_tests(RIGHT, clusters=range(19)), "20 entries, got 19"),
    "a missing cluster": (lambda: stats.board_tests(RIGHT, clusters=[None, *range(19)]), "position 0"),
    "a NaN cluster": (lambda: stats.board_tests(RIGHT, clusters=np.r_[np.arange(19.0), NAN]), "position 19"),
    "weights of another length": (lambda: stats.mean_interval(RIGHT[0], weights=[1.0]), "20 clips, got 1"),
    "weights that sum to 20": (lambda: stats.mean_interval(RIGHT[0], weights=np.ones(20)), "sum to 1"),
    "negative weights": (
        lambda: stats.mean_interval(RIGHT[0], weights=np.r_[-0.5, 1.5, np.zeros(18)]),
        "negative",
    ),
    "negative prior": (lambda: stats.board_tests(RIGHT, max_prior_df=-1), "max_prior_df"),
    "NaN p": (lambda: stats.holm([0.1, NAN]), r"\[0, 1\]"),
    "p above one": (lambda: stats.holm([1.1]), r"\[0, 1\]"),
    "a pair without p": (lambda: stats.cliques([1, 2, 3], {(0, 1): 0.1}), r"lacks the pair \(0, 2\)"),
    "a pair twice": (lambda: stats.cliques([1, 2], {(0, 1): 0.1, (1, 0): 0.1}), "repeated"),
    "an unknown method": (lambda: stats.cliques([1, 2], {(0, 2): 0.1}), "unknown"),
    "a p of 2": (lambda: stats.cliques([1, 2], {(0, 1): 2.0}), r"\[0, 1\]"),
    "a NaN mean": (lambda: stats.cliques([1, NAN], {(0, 1): 0.5}), "NaN"),
    "alpha of 5": (lambda: stats.cliques([1, 2], {(0, 1): 0.5}, 5), "alpha"),
    "NaN difference": (lambda: stats.sign_flip_test([0.1, NAN]), "NaN"),
    "a typo": (lambda: stats.sign_flip_test([0.1], alternative="bigger"), "two-sided"),
    "another typo": (lambda: stats.wilcoxon_over_datasets([0.1], alternative="bigger"), "two-sided"),
    "strata too short": (lambda: stats.sign_flip_test([0.1, 0.2], ["a"]), "2 entries, got 1"),
    "no differences": (lambda: stats.wilcoxon_over_datasets([]), "non-empty"),
    "no seeds": (lambda: stats.paired_t([]), "non-empty"),
    "negative counts": (lambda: stats.mcnemar_exact(-1, 2), "negative"),
    "half a clip": (lambda: stats.mcnemar_exact(1.5, 2), "whole numbers"),
    "one data set": (lambda: stats.friedman([[1, 2, 3]]), "2 data sets"),
    "one method": (lambda: stats.nemenyi_cd(1, 5, 0.05), "2 methods"),
    "no data set": (lambda: stats.nemenyi_cd(3, 0, 0.05), "one data set"),
    "no such control": (lambda: stats.ranks_against([1.5, 1.5], 4, control=2), "control"),
    "no data sets": (lambda: stats.these_datasets([]), "at least one"),
    "no labels": (lambda: stats.weights_mean_per_class([]), "empty"),
    "no spread": (lambda: stats.minimum_detectable_effect(5, 0.0), "sd"),
    "power below alpha": (lambda: stats.minimum_detectable_effect(5, 1.0, power=0.01), "exceed"),
    "no error": (lambda: stats.detectable_difference(0.0, 4), "se and df"),
    "no effect": (lambda: stats.seeds_for_effect(0.0, 0.01), "effect"),
    "no seed variance": (lambda: stats.seeds_for_effect(0.05, 0.0), "seed_variance"),
    "more draws than trials": (lambda: stats.expected_best_of_k([0.1, 0.2], 3), "between 1 and"),
    "no draws": (lambda: stats.expected_best_of_k([0.1, 0.2], 0, biased=True), "between 1 and"),
    "no resamples": (lambda: stats.crossed_bootstrap(RIGHT, 0, 0), "n_resamples"),
    "no flips": (lambda: stats.sign_flip_test(np.arange(30.0), n_resamples=0), "n_resamples"),
    "runs that do not pair": (lambda: stats.wins_ties_losses([1, 2], [1]), "one length"),
    "no margin": (lambda: stats.equivalent(stats.paired_t([1, 2]), 0.0), "margin"),
    "a seed that one side lacks": (lambda: stats.join_by_key([(0, 1.0), (1, 1.0)], [(0, 1.0)]), "lacks 1"),
    "a seed twice": (lambda: stats.join_by_key([(0, 1.0), (0, 2.0)]), "two rows for 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_a_sentence(name: str) -> None:
    call, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(
    ("a", "word"),
    [(RIGHT[0, :1], "one seed"), (RIGHT[0, :, :1], "one clip"), (np.eye(3, 20), "coarse")],
)
def test_no_claim_is_none_with_the_estimate_and_a_reason(a, word) -> None:
    b = np.zeros_like(a)
    for result in (stats.two_way_paired_t(a, b), stats.mean_interval(a)):
        assert result.estimate == pytest.approx(a.mean())
        assert (result.se, result.df, result.low, result.high) == (None, None, None, None)
        assert result.reason is not None and word in result.reason
        assert result.interval(0.9) is None
    assert stats.two_way_paired_t(a, b).p is None


def test_one_source_video_allows_no_claim() -> None:
    assert stats.two_way_paired_t(RIGHT[0], RIGHT[1], clusters=["v"] * 20).p is None


def test_identical_methods_make_no_claim_and_one_method_makes_no_pairs() -> None:
    twins = stats.board_tests(RIGHT[[0, 0, 1]])
    assert twins[0, 1].p is None and twins[0, 1].estimate == 0.0
    assert twins[0, 2].p is not None
    assert stats.board_tests(RIGHT[:1]) == {}


def test_a_cell_without_claim_leaves_the_mean_over_data_sets_without_one() -> None:
    cells = [stats.paired_t([0.1, 0.2, 0.3]), stats.paired_t([0.4])]
    result = stats.these_datasets(cells)
    assert (result.p, result.estimate) == (None, pytest.approx(0.3))
    assert result.reason is not None and "data set 1" in result.reason


def test_no_claim_counts_in_the_family_and_never_becomes_significant() -> None:
    assert stats.holm([0.02, 0.03]).tolist() == pytest.approx([0.04, 0.04])
    adjusted = stats.holm([0.02, None, 0.03])
    assert adjusted[[0, 2]].tolist() == pytest.approx([0.06, 0.06])
    assert np.isnan(adjusted[1])
    assert stats.holm([]).size == 0
    groups = stats.cliques([0.9, 0.1, 0.5], {(0, 1): None, (0, 2): NAN, (1, 2): 0.001})
    assert groups.best_group == (0, 2, 1)
    assert groups.rank_intervals == ((1, 3), (2, 3), (1, 2))


def test_a_board_without_differences_says_so() -> None:
    groups = stats.cliques([0.5, 0.6, 0.55], {(0, 1): 0.2, (0, 2): 1.0, (1, 2): 0.9})
    assert not groups.distinguishable
    assert groups.maximal_cliques == ((1, 2, 0),)
    assert groups.letters == ("a", "a", "a")
    assert stats.cliques([0.5], {}).rank_intervals == ((1, 1),)


def test_a_tie_at_the_top_is_judged_against_both() -> None:
    groups = stats.cliques([0.9, 0.9, 0.5], {(0, 1): 1.0, (0, 2): 0.2, (1, 2): 0.01})
    assert groups.best_group == (0, 1)


def test_class_weights_give_rare_classes_the_same_say() -> None:
    assert stats.weights_mean_per_class(["a", "b", "a", "a"]).tolist() == pytest.approx(
        [1 / 6, 0.5, 1 / 6, 1 / 6]
    )
