"""Against formulas written out, SciPy, statsmodels, and enumeration."""

from __future__ import annotations

import warnings
from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from bench import stats


def sheet_variances(d, w, group):
    """Section 3 of the protocol, term by term."""
    n, m = d.shape
    mean = sum(w[c] * d[:, c].mean() for c in range(m))
    rows = np.array([sum(w[c] * d[s, c] for c in range(m)) for s in range(n)])
    g = sorted(set(group))
    u = [sum(w[c] * (d[:, c].mean() - mean) for c in range(m) if group[c] == v) for v in g]
    cells = [sum(w[c] * (d[s, c] - mean) for c in range(m) if group[c] == v) for s in range(n) for v in g]
    v_clip = len(g) / (len(g) - 1) * sum(x * x for x in u)
    v_inter = n * len(g) / (n * len(g) - 1) * sum(x * x for x in cells) / n**2
    return mean, rows.var(ddof=1) / n, v_clip, v_inter


def test_weights_and_clusters_together_follow_the_sheet() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 4, 30)) < 0.6
    labels, video = rng.integers(5, size=30), rng.integers(9, size=30)
    weights = stats.weights_mean_per_class(labels)
    result = stats.two_way_paired_t(a, b, clusters=[f"video {v}" for v in video], weights=weights)
    mean, v_seed, v_clip, v_inter = sheet_variances(a.astype(float) - b, weights, video.tolist())
    assert result.estimate == pytest.approx(mean)
    assert (result.V_seed, result.V_clip, result.V_inter) == pytest.approx((v_seed, v_clip, v_inter))
    v = max(v_seed + v_clip - v_inter, v_seed, v_clip)
    df = min(3 * (v / v_seed) ** 2, len(set(video)) - 1)
    t = mean / v**0.5
    assert result.p == pytest.approx(2 * scipy.stats.t.sf(abs(t), df))
    assert result.interval(0.90) == pytest.approx(scipy.stats.t.interval(0.90, df, mean, v**0.5))
    per_class = [np.mean(a[:, labels == k]) - np.mean(b[:, labels == k]) for k in range(5)]
    assert result.estimate == pytest.approx(np.mean(per_class))


def test_moderation_pools_all_pairs_of_the_board() -> None:
    correct = np.random.default_rng(5).random((5, 4, 60)) < 0.7
    alone = {(i, j): stats.two_way_paired_t(correct[i], correct[j]) for i, j in combinations(range(5), 2)}
    pooled = np.mean([test.V_seed for test in alone.values()])
    for pair, result in stats.board_tests(correct).items():
        assert result.prior_df == 4
        moderated = (4 * pooled + 3 * alone[pair].V_seed) / 7
        assert result.V_seed_moderated == pytest.approx(moderated)
        v = max(moderated + result.V_clip - result.V_inter, moderated, result.V_clip)
        assert (result.se, result.df) == pytest.approx((v**0.5, min(7 * (v / moderated) ** 2, 59)))


def test_the_interval_of_a_mean_is_that_of_a_difference_from_a_method_that_is_always_wrong() -> None:
    correct = np.random.default_rng(7).random((5, 80)) < 0.6
    own = stats.mean_interval(correct)
    against_nothing = stats.two_way_paired_t(correct, np.zeros_like(correct))
    assert own.estimate == correct.mean()
    assert (own.low, own.high, own.V_clip) == (
        against_nothing.low,
        against_nothing.high,
        against_nothing.V_clip,
    )


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@settings(max_examples=40)
@given(d=st.lists(st.integers(-5, 5), min_size=2, max_size=9))
def test_wilcoxon_with_ties_and_zeros_is_the_full_enumeration(alternative, d) -> None:
    nonzero = np.array([x for x in d if x != 0], dtype=float)
    ranks = scipy.stats.rankdata(np.abs(nonzero))
    observed = ranks[nonzero > 0].sum()
    sums = np.array([np.dot(ranks, signs) for signs in product([0, 1], repeat=len(ranks))])
    upper, lower = np.mean(sums >= observed), np.mean(sums <= observed)
    expected = {"greater": upper, "less": lower, "two-sided": min(1, 2 * min(upper, lower))}
    noisy = np.array(d) / 100 + 1e-15  # float noise must not break the ties
    result = stats.wilcoxon_over_datasets(noisy, alternative=alternative)
    assert result.p == pytest.approx(expected[alternative])


def test_wilcoxon_agrees_with_scipy_without_ties_also_for_many_data_sets() -> None:
    d = np.round(np.random.default_rng(2).normal(0.3, 1, size=40), 6)
    expected = scipy.stats.wilcoxon(d, method="exact")
    result = stats.wilcoxon_over_datasets(d)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))


@settings(max_examples=40)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=8))
def test_sign_flip_is_scipys_permutation_test(d) -> None:
    values = np.array(d, dtype=float)
    expected = scipy.stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert stats.sign_flip_test(values).p == pytest.approx(expected.pvalue)


def test_fractions_of_a_data_set_flip_together() -> None:
    d = np.array([0.02, 0.01, 0.03, 0.02, 0.01, 0.02])
    seed = ["s0", "s0", "s1", "s1", "s2", "s2"]
    assert stats.sign_flip_test(d).p == 2 / 2**6
    joined = stats.sign_flip_test(d, joint=[("gym", s) for s in seed])
    assert joined.p == joined.floor == 0.25


def test_data_sets_weigh_equally_in_the_stratified_statistic() -> None:
    assert stats.sign_flip_test([0.1, 0.1, 0.1, 0.3], ["a", "a", "a", "b"]).statistic == pytest.approx(0.2)


def test_drawn_flips_come_close_to_all_flips_and_repeat() -> None:
    d = np.random.default_rng(0).normal(0.4, 1, size=24)
    drawn = stats.sign_flip_test(d)
    assert not drawn.exact
    assert drawn.p == stats.sign_flip_test(d).p != stats.sign_flip_test(d, seed=1).p
    assert drawn.p == pytest.approx(scipy.stats.ttest_1samp(d, 0).pvalue, rel=0.2)


@pytest.mark.parametrize("leads", [[0, 0.4, 1.5, 3], [0, 0, 0.2, 0.6]])
@pytest.mark.parametrize("twins", [False, True])
def test_max_t_is_the_step_down_enumeration(leads, twins) -> None:
    x = np.random.default_rng(4).normal(size=(6, 4)) + np.array(leads)
    if twins:
        x[:, 1] = x[:, 0] + 0.5  # a constant lead: no claim, but in every step's maximum
    pairs = list(combinations(range(4), 2))
    table = np.empty((2**6, len(pairs)))
    for flip, signs in enumerate(product([1, -1], repeat=6)):
        d = np.array([(x[:, i] - x[:, j]) * signs for i, j in pairs])
        sd = np.where(np.ptp(d, axis=1) > 1e-9, d.std(axis=1, ddof=1), 1e-300)
        table[flip] = np.abs(d.mean(1)) / sd
    claims = [index for index in range(len(pairs)) if not (twins and pairs[index] == (0, 1))]
    ordered = sorted(claims, key=lambda index: -table[0, index])
    always = [index for index in range(len(pairs)) if index not in claims]
    running = 0.0
    adjusted = stats.max_t_all_pairs(x)
    for position, index in enumerate(ordered):
        largest = table[:, ordered[position:] + always].max(1)
        running = max(running, float(np.mean(largest >= table[0, index] - 1e-9)))
        assert adjusted[pairs[index]] == pytest.approx(running)
    assert (adjusted[0, 1] is None) == twins


def test_max_t_makes_no_claim_on_a_constant_lead_but_keeps_it_in_the_family() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=7)
    adjusted = stats.max_t_all_pairs(np.stack([base, base + 0.5, base + rng.normal(1, 0.3, 7)], axis=1))
    assert adjusted[0, 1] is None
    assert adjusted[0, 2] is not None and adjusted[0, 2] >= 2.0**-6
    assert set(stats.max_t_all_pairs([[0.1, 0.5]]).values()) == {None}


def test_max_t_draws_flips_for_many_seeds() -> None:
    x = np.random.default_rng(9).normal(size=(15, 3)) + np.array([0, 0, 2])
    adjusted = stats.max_t_all_pairs(x)
    assert adjusted == stats.max_t_all_pairs(x)
    assert adjusted[0, 2] < 0.01 and adjusted[1, 2] < 0.01 and adjusted[0, 1] > 0.05


@pytest.mark.parametrize("n", [3, 5, 10, 40])
def test_minimum_detectable_effect_has_its_power(n) -> None:
    effect = stats.minimum_detectable_effect(n, 2.0) / 2
    assert TTestPower().power(effect, n, 0.05) == pytest.approx(0.8, abs=1e-6)
    for alpha in (0.01, 0.05 / 28):  # where statsmodels meets SciPy's NaN
        effect = stats.minimum_detectable_effect(n, 2.0, power=0.9, alpha=alpha) / 2
        critical = scipy.stats.t.isf(alpha / 2, n - 1)
        assert scipy.stats.nct.sf(critical, n - 1, effect * n**0.5) == pytest.approx(0.9, abs=1e-6)


def test_detectable_difference_holds_for_few_degrees_of_freedom_and_large_families() -> None:
    rng = np.random.default_rng(0)
    alpha, df, se = 0.05 / 28, 2.6, 0.02
    delta = stats.detectable_difference(se, df, alpha=alpha)
    t = (rng.normal(delta / se, 1, 200_000)) / np.sqrt(rng.chisquare(df, 200_000) / df)
    assert np.mean(np.abs(t) > scipy.stats.t.isf(alpha / 2, df)) == pytest.approx(0.8, abs=0.005)
    assert stats.detectable_difference(None, None) is None
    assert stats.minimum_detectable_effect(1, 0.02) == np.inf


def test_seeds_for_effect_gives_up_where_the_clips_are_the_limit() -> None:
    assert stats.seeds_for_effect(0.05, 0.03**2) == 6
    with_clips = stats.seeds_for_effect(0.05, 0.03**2, 0.01**2, max_df=499)
    assert with_clips is not None and 5 <= with_clips <= 7
    assert stats.seeds_for_effect(0.05, 0.03**2, 0.03**2, max_df=99) is None
    assert stats.seeds_for_effect(-0.05, 0.03**2) == stats.seeds_for_effect(0.05, 0.03**2)
    assert stats.seeds_for_effect(0.05, 0.03**2, prior_df=4) < 6
    assert stats.seeds_for_effect(0.05, 0.03**2, alpha=0.05 / 28) > 6
    assert stats.seeds_for_effect(0.05, 0.03**2, 0.01**2, max_df=3) > with_clips  # four source videos


def test_components_of_a_cell_are_found_again() -> None:
    """seed_variance and clip_variance, averaged over many simulated cells, are the planted ones."""
    rng = np.random.default_rng(8)
    seed_sd, clip_rate, m, n = 0.06, 0.3, 200, 4
    found = []
    for _ in range(2000):
        level = 0.5 + rng.normal(0, seed_sd, size=(n, 1))
        hard = rng.random((1, m)) < clip_rate  # clips on which A is always right and B always wrong
        a, b = (rng.random((n, m)) < level) | hard, (rng.random((n, m)) < 0.5) & ~hard
        result = stats.two_way_paired_t(a, b)
        found.append((result.seed_variance, result.clip_variance))
    seeds, clips = np.mean(found, axis=0)
    rest = 1 - clip_rate
    inner = 0.5 * rest  # variance of A - B on the other clips, given the seed
    assert seeds == pytest.approx((rest * seed_sd) ** 2 + inner / m, rel=0.06)
    assert clips == pytest.approx(clip_rate * rest / m, rel=0.06)


def test_expected_best_of_k_is_the_mean_over_all_draws() -> None:
    x = [0.3, 0.9, 0.5, 0.7, 0.5]
    for k in (1, 2, 3, 5):
        without = np.mean([max(draw) for draw in combinations(x, k)])
        with_replacement = np.mean([max(draw) for draw in product(x, repeat=k)])
        assert stats.expected_best_of_k(x, k) == pytest.approx(without)
        assert stats.expected_best_of_k(x, k, biased=True) == pytest.approx(with_replacement)


def test_bootstrap_spread_comes_from_both_axes() -> None:
    rng = np.random.default_rng(6)
    by_clip = np.broadcast_to(rng.random(300) < 0.5, (8, 300))  # seeds agree: only clips vary
    by_seed = np.broadcast_to((np.arange(8) % 2)[:, None], (8, 300))  # clips agree: only seeds vary
    assert stats.crossed_bootstrap(by_clip, 1000, 0).replicates.std() == pytest.approx(
        by_clip[0].std() / 300**0.5, rel=0.1
    )
    assert stats.crossed_bootstrap(by_seed, 1000, 0).replicates.std() == pytest.approx(0.5 / 8**0.5, rel=0.1)
    videos = np.repeat(np.arange(30), 10)
    clustered = np.broadcast_to(videos % 2 == 0, (8, 300))
    result = stats.crossed_bootstrap(clustered, 1000, 0, clusters=videos)
    assert result.replicates.std() == pytest.approx(0.5 / 30**0.5, rel=0.1)
    low, high = result.interval()
    assert low < result.estimate == 0.5 < high


def test_mean_over_data_sets_has_welch_degrees_of_freedom() -> None:
    rng = np.random.default_rng(11)
    cells = [stats.paired_t(rng.normal(0.1, sd, size=n)) for sd, n in ((0.1, 5), (0.3, 4), (0.2, 6))]
    result = stats.these_datasets(cells)
    v = np.array([cell.se**2 for cell in cells])
    df = v.sum() ** 2 / np.sum(v**2 / [4, 3, 5])
    mean = np.mean([cell.estimate for cell in cells])
    assert (result.estimate, result.se, result.df) == pytest.approx((mean, v.sum() ** 0.5 / 3, df))
    assert result.p == pytest.approx(2 * scipy.stats.t.sf(mean / result.se, df))
    alone = stats.these_datasets(cells[:1])
    assert (alone.p, alone.low, alone.df) == pytest.approx((cells[0].p, cells[0].low, cells[0].df))


def test_friedman_ranks_errors_the_other_way_and_agrees_with_scipy() -> None:
    x = np.random.default_rng(0).random((9, 4))
    up, down = stats.friedman(x), stats.friedman(x, higher_is_better=False)
    assert up.average_ranks + down.average_ranks == pytest.approx(np.full(4, 5.0))
    assert up.p == down.p == pytest.approx(scipy.stats.friedmanchisquare(*x.T).pvalue)


@pytest.mark.parametrize("size", [1, 2, 7, 28])
def test_holm_agrees_with_statsmodels(size) -> None:
    rng = np.random.default_rng(size)
    for p in (rng.random(size), rng.random(size) ** 5, np.round(rng.random(size), 1)):
        assert stats.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_equivalence_needs_the_whole_90_percent_interval() -> None:
    close = stats.paired_t([0.001, -0.002, 0.0015, 0.0, -0.001])
    assert stats.equivalent(close) is True
    assert stats.equivalent(close, margin=0.001) is False
    assert stats.equivalent(stats.paired_t([0.001])) is None
    edge = stats.paired_t([0.0, 0.004, 0.008, 0.012, 0.0])  # inside at 90 %, outside at 95 %
    assert edge.high > 0.0101 > edge.interval(0.90)[1]
    assert stats.equivalent(edge, margin=0.0101) is True


def test_no_numerical_warnings_on_ordinary_boards() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        correct = np.random.default_rng(0).random((4, 3, 50)) < 0.7
        stats.board_tests(correct)
        stats.max_t_all_pairs(correct.mean(2))
        stats.friedman(correct.mean(2).T)
