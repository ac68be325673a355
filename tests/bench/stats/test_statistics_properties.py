"""What must not change a verdict, and what must: properties over random boards."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bench import stats

boards = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=5))
scores = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=6),
    elements=st.integers(0, 100).map(lambda points: points / 100),
)
pvalues = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=12)
FIELDS = ("estimate", "se", "df", "p", "low", "high")


def same(result: stats.PairTest, other: stats.PairTest, sign: int = 1) -> None:
    """Equal results, or with sign -1 those of the swapped pair."""
    low, high = (other.low, other.high) if sign == 1 else (other.high, other.low)
    expected = (other.estimate * sign, other.se, other.df, other.p, low, high)
    for name, value in zip(FIELDS, expected, strict=True):
        got = getattr(result, name)
        wanted = value * sign if name in ("low", "high") and value is not None else value
        assert got == (None if wanted is None else pytest.approx(wanted, rel=1e-7, abs=1e-10)), name
    assert result.reason == other.reason


@given(boards, st.randoms(use_true_random=False))
def test_order_of_seeds_clips_and_methods_changes_no_verdict(correct, random) -> None:
    k, n, m = correct.shape
    methods, seeds, clips = (random.sample(range(size), size) for size in (k, n, m))
    clusters = np.arange(m) // 2
    before = stats.board_tests(correct, clusters)
    after = stats.board_tests(correct[methods][:, seeds][:, :, clips], clusters[clips])
    for (i, j), result in after.items():
        a, b = methods[i], methods[j]
        same(result, before[min(a, b), max(a, b)], 1 if a < b else -1)


@given(boards)
def test_swapping_a_and_b_flips_the_sign_and_nothing_else(correct) -> None:
    same(
        stats.two_way_paired_t(correct[0], correct[1]),
        stats.two_way_paired_t(correct[1], correct[0]),
        sign=-1,
    )


@given(boards)
def test_a_board_of_two_is_the_pair_test(correct) -> None:
    assert stats.board_tests(correct[:2])[0, 1] == stats.two_way_paired_t(correct[0], correct[1])


@given(boards)
def test_clips_on_which_all_methods_agree_add_the_same_to_all(correct) -> None:
    k, n, _ = correct.shape
    wrong = np.concatenate([correct, np.zeros((k, n, 3), dtype=bool)], axis=2)
    right = np.concatenate([correct, np.ones((k, n, 3), dtype=bool)], axis=2)
    after = stats.board_tests(right)
    for pair, result in stats.board_tests(wrong).items():
        same(after[pair], result)


@given(boards)
def test_equal_weights_and_single_clusters_are_the_default(correct) -> None:
    m = correct.shape[2]
    explicit = stats.board_tests(correct, clusters=range(m), weights=np.full(m, 1 / m))
    for pair, result in stats.board_tests(correct).items():
        same(explicit[pair], result)


@given(boards)
def test_an_unmoderated_board_is_its_head_to_heads(correct) -> None:
    for (i, j), result in stats.board_tests(correct, max_prior_df=0).items():
        same(result, stats.two_way_paired_t(correct[i], correct[j]))


@given(pvalues)
def test_holm_is_monotone_never_below_raw_and_at_most_one(raw) -> None:
    adjusted = stats.holm(raw)
    known = [(p, adj) for p, adj in zip(raw, adjusted, strict=True) if p is not None]
    assert all(np.isnan(adj) for p, adj in zip(raw, adjusted, strict=True) if p is None)
    assert all(p <= adj <= 1 for p, adj in known)
    known.sort()
    assert all(first <= second for (_, first), (_, second) in pairwise(known))


@given(pvalues, st.one_of(st.none(), st.floats(0, 1)))
def test_holm_only_grows_with_the_family(raw, extra) -> None:
    small, large = stats.holm(raw), stats.holm([*raw, extra])[:-1]
    assert np.all((large >= small - 1e-12) | np.isnan(small))


@given(pvalues)
def test_holm_by_key_is_holm_and_keeps_none(raw) -> None:
    by_key = stats.holm_by_key(dict(enumerate(raw)))
    for key, adjusted in enumerate(stats.holm(raw)):
        assert by_key[key] == (None if np.isnan(adjusted) else adjusted)


@given(scores, st.randoms(use_true_random=False), st.integers(-3, 3))
def test_groups_do_not_depend_on_order_or_on_a_constant(table, random, constant) -> None:
    means = table.mean(0)
    k = len(means)
    p = {pair: random.choice([0.001, 0.04, 0.5, None]) for pair in combinations(range(k), 2)}
    shuffled = random.sample(range(k), k)
    before = stats.cliques(means, p)
    after = stats.cliques(
        means[shuffled] + constant,
        {(i, j): p[tuple(sorted((shuffled[i], shuffled[j])))] for i, j in combinations(range(k), 2)},
    )
    assert {shuffled[i] for i in after.best_group} == set(before.best_group)
    assert [after.rank_intervals[shuffled.index(i)] for i in range(k)] == list(before.rank_intervals)
    assert {frozenset(shuffled[i] for i in clique) for clique in after.maximal_cliques} == set(
        map(frozenset, before.maximal_cliques)
    )


@given(scores, st.randoms(use_true_random=False))
def test_methods_share_a_letter_exactly_where_they_do_not_differ(table, random) -> None:
    k = table.shape[1]
    p = {pair: random.choice([0.01, 0.2]) for pair in combinations(range(k), 2)}
    groups = stats.cliques(table.mean(0), p)
    for (i, j), value in p.items():
        assert bool(set(groups.letters[i]) & set(groups.letters[j])) == (value > 0.05)
    sets = [set(clique) for clique in groups.maximal_cliques]
    assert not any(a < b for a in sets for b in sets)
    for low, high in groups.rank_intervals:
        assert 1 <= low <= high <= k
    assert groups.order[0] in groups.best_group


@given(scores, st.integers(-3, 3))
def test_a_constant_changes_no_test_on_scores(table, constant) -> None:
    before, after = stats.friedman(table), stats.friedman(np.round(table + constant, 6))
    assert after.p == pytest.approx(before.p)
    assert after.average_ranks == pytest.approx(before.average_ranks)
    assert stats.max_t_all_pairs(table + constant) == stats.max_t_all_pairs(table)


@settings(max_examples=50)
@given(scores, st.randoms(use_true_random=False))
def test_max_t_ignores_the_order_of_seeds_and_renames_with_methods(table, random) -> None:
    n, k = table.shape
    seeds, methods = random.sample(range(n), n), random.sample(range(k), k)
    before, after = stats.max_t_all_pairs(table), stats.max_t_all_pairs(table[seeds][:, methods])
    for (i, j), p in after.items():
        assert p == before[tuple(sorted((methods[i], methods[j])))]
        assert p is None or 2.0 ** (1 - n) <= p <= 1


@given(scores)
def test_swapping_flips_effect_sizes(table) -> None:
    a, b = table[:, 0], table[:, 1]
    assert stats.prob_superiority(a, b) == pytest.approx(1 - stats.prob_superiority(b, a))
    assert stats.wins_ties_losses(a, b) == stats.wins_ties_losses(b, a)[::-1]
    assert stats.sign_flip_test(a - b).p == stats.sign_flip_test(b - a).p
    assert stats.wilcoxon_over_datasets(a - b).p == stats.wilcoxon_over_datasets(b - a).p


@given(boards, st.integers(0, 2**32))
def test_bootstrap_is_reproducible_and_keeps_the_pairing(correct, seed) -> None:
    first = stats.crossed_bootstrap(correct, 20, seed)
    assert np.array_equal(first.replicates, stats.crossed_bootstrap(correct, 20, seed).replicates)
    twins = stats.crossed_bootstrap(correct[[0, 0]], 20, seed).replicates
    assert np.array_equal(twins[:, 0], twins[:, 1])
    assert np.all((first.replicates > -1e-12) & (first.replicates < 1 + 1e-12))


@given(boards)
def test_one_label_budget_averaged_is_the_board_itself(correct) -> None:
    alone = stats.board_tests(correct)
    for pair, result in stats.averaged_board_tests(correct[None]).items():
        same(result, alone[pair])
    own = stats.averaged_mean_interval(correct[None, 0])
    assert own.estimate == pytest.approx(stats.mean_interval(correct[0]).estimate)


@given(boards)
def test_a_budget_repeated_adds_no_certainty(correct) -> None:
    twice = stats.averaged_board_tests(np.stack([correct, correct]))
    for pair, result in stats.averaged_board_tests(correct[None]).items():
        same(twice[pair], result)
