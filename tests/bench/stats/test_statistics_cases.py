"""Every known answer of tests/golden/statistics_cases.json, through the public functions of bench.stats."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import stats

CASES = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[2] / "golden" / "statistics_cases.json").read_text())
}
PRINTED = 5.1e-11  # the sheet prints ten decimals
CROSSED = (
    "estimate",
    "se",
    "df",
    "p",
    "low",
    "high",
    "V_seed",
    "V_seed_moderated",
    "V_clip",
    "V_inter",
)


def near(expected: Any, tolerance: float) -> Any:
    return pytest.approx(expected, rel=0, abs=max(tolerance, PRINTED))


def fields_agree(result: object, expected: dict[str, float], names: Iterable[str], tolerance: float) -> None:
    for name in names:
        assert getattr(result, name) == near(expected[name], tolerance), name


def demsar_ranks(case: dict[str, Any]) -> None:
    expected, tolerance = case["expected"], case["tolerance"]
    result = stats.friedman(case["inputs"]["scores"], higher_is_better=case["inputs"]["higher_is_better"])
    n, k = result.ranks.shape
    assert result.ranks.tolist() == expected["ranks"]
    assert result.average_ranks == near(expected["avg_ranks"], tolerance)
    assert result.statistic_uncorrected == near(expected["chi2_F_uncorrected"], tolerance)
    assert result.p_uncorrected == near(expected["p_chi2_uncorrected"], tolerance)
    assert result.iman_davenport_uncorrected == near(expected["F_F_iman_davenport"], tolerance)
    assert result.iman_davenport_uncorrected_p == near(expected["p_F_F"], tolerance)
    assert list(result.df) == expected["df"]
    assert result.statistic == near(expected["chi2_tie_corrected_scipy"], tolerance)
    assert result.p == near(expected["p_tie_corrected_scipy"], tolerance)
    assert result.iman_davenport == near(expected["F_F_from_tie_corrected"], tolerance)
    assert result.iman_davenport_p == near(expected["p_F_F_from_tie_corrected"], tolerance)
    assert stats.nemenyi_cd(k, n, 0.05) == near(expected["CD_nemenyi_05"], tolerance)
    assert stats.nemenyi_cd(k, n, 0.10) == near(expected["CD_nemenyi_10"], tolerance)
    assert stats.nemenyi_cd(k, n, 0.05) / stats.nemenyi_q(k, 0.05) == near(
        expected["rank_diff_SE"], tolerance
    )
    assert stats.bonferroni_dunn_cd(k, n, 0.05) == near(expected["CD_bonferroni_dunn_05"], tolerance)
    assert stats.bonferroni_dunn_cd(k, n, 0.10) == near(expected["CD_bonferroni_dunn_10"], tolerance)
    assert stats.nemenyi_p(result.average_ranks, n) == near(np.array(expected["nemenyi_p"]), tolerance)
    z, p = stats.ranks_against(result.average_ranks, n, control=0)
    assert z == near(expected["z_vs_first"], tolerance)
    assert p == near(expected["p_z_vs_first"], tolerance)
    assert stats.holm(p) == near(expected["holm_p_vs_first"], tolerance)


def wilcoxon_floor(case: dict[str, Any]) -> None:
    for n, p in zip(case["inputs"]["n"], case["expected"]["p"], strict=True):
        result = stats.wilcoxon_over_datasets(np.arange(1, n + 1) / 100)
        assert result.p == near(p, case["tolerance"])
        assert result.p == 2.0 ** (1 - n)
        assert result.sufficient == (n >= case["expected"]["min_n_for_alpha_05"])
        assert stats.sign_flip_test(np.arange(1, n + 1) / 100).p == 2.0 ** (1 - n)


def wilcoxon_small(case: dict[str, Any]) -> None:
    for alternative, expected in case["expected"].items():
        result = stats.wilcoxon_over_datasets(case["inputs"]["d"], alternative=alternative)
        assert (result.statistic, result.p) == near((expected["T"], expected["p"]), case["tolerance"])


def wilcoxon_zero(case: dict[str, Any]) -> None:
    result = stats.wilcoxon_over_datasets(case["inputs"]["d"])
    assert (result.statistic, result.p) == (0.0, case["expected"]["p"])
    assert stats.sign_flip_test(case["inputs"]["d"]).p == 1.0


def nemenyi_table(case: dict[str, Any]) -> None:
    for column, alpha in ((".05", 0.05), (".10", 0.10)):
        for k, q in zip(case["inputs"]["k"], case["expected"][column], strict=True):
            assert stats.nemenyi_q(k, alpha) == near(q, case["tolerance"])
            assert stats.nemenyi_cd(k, 30, alpha) == near(q * math.sqrt(k * (k + 1) / 180), case["tolerance"])


def sign_flip(case: dict[str, Any]) -> None:
    expected, d = case["expected"], case["inputs"]["d"]
    two_sided = stats.sign_flip_test(d)
    assert two_sided.statistic == near(expected["stat"], case["tolerance"])
    assert two_sided.p == expected["two_sided"] == expected["scipy_permutation_test_p"]
    assert stats.sign_flip_test(d, alternative="greater").p == expected["greater"]
    assert two_sided.floor == 0.0625


def stratified_sign_flip(case: dict[str, Any]) -> None:
    expected, by_dataset = case["expected"], case["inputs"]["d_by_dataset"]
    strata = np.repeat(np.arange(3), 3)
    result = stats.sign_flip_test(np.ravel(by_dataset), strata)
    assert result.statistic == near(expected["stat"], case["tolerance"])
    assert result.p == expected["two_sided"] == result.floor
    assert stats.sign_flip_test(np.ravel(by_dataset), strata, alternative="greater").p == expected["greater"]


def holm(case: dict[str, Any]) -> None:
    assert stats.holm(case["inputs"]["p"]) == near(case["expected"]["holm"], case["tolerance"])
    assert stats.holm(case["inputs"]["p_cap"]) == near(case["expected"]["holm_cap"], case["tolerance"])


def paired_t(case: dict[str, Any]) -> None:
    expected, tolerance = case["expected"], case["tolerance"]
    result = stats.paired_t(case["inputs"]["d"])
    assert result.se is not None
    assert result.estimate == near(expected["mean"], tolerance)
    assert result.se * math.sqrt(5) == near(expected["sd"], tolerance)
    assert result.estimate / result.se == near(expected["t"], tolerance)
    assert result.p == near(expected["p"], tolerance)
    assert [result.low, result.high] == near(expected["ci95"], tolerance)


def constant_differences(case: dict[str, Any]) -> None:
    for d in (case["inputs"]["d"], [1 / 64] * 3, [0.1 + 0.2, 0.3, 0.3]):
        result = stats.paired_t(d)
        assert result.p is case["expected"]["p"] is None
        assert (result.se, result.low, result.high) == (None, None, None)
        assert result.estimate == pytest.approx(d[0])
    a = np.eye(3, 64, dtype=bool)  # every seed is right on one clip more, each on another one
    crossed = stats.two_way_paired_t(a, np.zeros_like(a))
    assert (crossed.p, crossed.V_seed, crossed.estimate) == (None, 0.0, 1 / 64)
    assert crossed.reason is not None and "coarse" in crossed.reason
    assert stats.sign_flip_test([1 / 64] * 3).p == 0.25


def crossed(case: dict[str, Any]) -> None:
    inputs = case["inputs"]
    d = np.array(inputs.get("D", inputs.get("correct_A_minus_correct_B")))
    result = stats.two_way_paired_t(d == 1, d == -1, clusters=inputs.get("video_of_clip"))
    fields_agree(result, case["expected"], CROSSED, case["tolerance"])


def superiority(case: dict[str, Any]) -> None:
    a, b, expected = case["inputs"]["a"], case["inputs"]["b"], case["expected"]
    assert stats.prob_superiority(a, b) == near(expected["A12_unpaired"], case["tolerance"])
    assert stats.cliffs_delta(a, b) == near(expected["cliffs_delta"], case["tolerance"])
    assert stats.prob_superiority(a, b, paired=True) == near(
        expected["paired_P_A_gt_B_half_ties"], case["tolerance"]
    )
    assert list(stats.wins_ties_losses(a, b)) == expected["paired_wins_ties_losses"]


def mcnemar(case: dict[str, Any]) -> None:
    seen = 0
    for key, expected in case["expected"].items():
        if key.startswith("statsmodels"):
            continue
        b, c = (int(count) for count in key.split(","))
        result = stats.mcnemar_exact(b, c)
        assert result.p == near(expected["exact"], case["tolerance"])
        assert result.mid_p == near(expected["mid_p"], case["tolerance"])
        assert result.chi2 == (
            None if expected["chi2_cc"] is None else near(expected["chi2_cc"], case["tolerance"])
        )
        seen += 1
    assert seen == len(case["expected"]) - 2
    exact, corrected = (
        case["expected"]["statsmodels_[[101,121],[59,33]]"],
        case["expected"]["statsmodels_chi2_cc"],
    )
    result = stats.mcnemar_exact(121, 59)
    assert (result.statistic, result.p) == near((exact["statistic"], exact["p"]), case["tolerance"])
    assert (result.chi2, result.chi2_p) == near((corrected["statistic"], corrected["p"]), case["tolerance"])


def power(case: dict[str, Any]) -> None:
    inputs, expected = case["inputs"], case["expected"]
    for n in inputs["n"]:
        mde = expected["MDE_in_sd_units"][str(n)]
        tolerance = case["tolerance"]["MDE_in_sd_units"]
        assert stats.minimum_detectable_effect(n, 1.0, inputs["power"]) == near(mde, tolerance)
        assert stats.minimum_detectable_effect(n, 0.03, inputs["power"]) == near(0.03 * mde, 0.03 * tolerance)
        assert stats.detectable_difference(1 / math.sqrt(n), n - 1) == near(mde, tolerance)
    for d_z in inputs["effect_d_z"]:
        needed = stats.seeds_for_effect(d_z, 1.0, alpha=inputs["alpha"], power=inputs["power"])
        assert needed == expected["n_needed"][str(d_z)]


def groups(case: dict[str, Any]) -> None:
    names, expected = list(case["inputs"]["means"]), case["expected"]
    p = {
        (names.index(key[0]), names.index(key[2])): value
        for key, value in case["inputs"]["holm_adjusted_p"].items()
    }
    result = stats.cliques(list(case["inputs"]["means"].values()), p, case["inputs"]["alpha"])
    assert [names[i] for i in result.best_group] == expected["best_group"]
    assert [[names[i] for i in clique] for clique in result.maximal_cliques] == expected["maximal_cliques"]
    intervals = dict(zip(names, map(list, result.rank_intervals), strict=True))
    assert intervals == expected["rank_interval"]
    assert result.letters == ("a", "b", "ab")


def friedman_degenerate(case: dict[str, Any]) -> None:
    expected = case["expected"]
    tied = stats.friedman(np.full((5, 3), 0.7))
    assert tied.p == tied.iman_davenport_p == expected["all_tied"]["required_p"]
    separated = stats.friedman(np.tile([0.9, 0.8, 0.7], (5, 1)))
    perfect = expected["perfect_separation_N5_k3"]
    assert (separated.statistic, separated.p) == near((perfect["chi2"], perfect["p"]), case["tolerance"])
    assert math.isinf(separated.iman_davenport)
    assert separated.iman_davenport_p == pytest.approx(6.0**-4)
    with pytest.raises(ValueError, match="wilcoxon_over_datasets"):
        stats.friedman([[0.9, 0.8], [0.7, 0.6]])


def pairing(case: dict[str, Any]) -> None:
    rows_a = [(seed, score) for seed, score in case["inputs"]["rows_A"]]
    rows_b = [(seed, score) for seed, score in case["inputs"]["rows_B"]]
    seeds, (a, b) = stats.join_by_key(rows_a, rows_b)
    differences = dict(zip(seeds, np.subtract(a, b), strict=True))
    assert differences == near(case["expected"]["d_by_seed"], case["tolerance"])
    assert stats.join_by_key(rows_a[::-1], rows_b[::-1]) == (seeds, [a, b])


def board(case: dict[str, Any]) -> None:
    inputs = case["inputs"]
    results = stats.board_tests(np.array(inputs["correct"]), max_prior_df=inputs["max_prior_df"])
    assert {f"{i}|{j}" for i, j in results} == set(case["expected"])
    for (i, j), result in results.items():
        fields_agree(result, case["expected"][f"{i}|{j}"], CROSSED, case["tolerance"])
        assert result.prior_df == 2


ROUTES: dict[str, Callable[[dict[str, Any]], None]] = {
    "demsar2006_table6_published_ranks": demsar_ranks,
    "wilcoxon_exact_min_two_sided_p": wilcoxon_floor,
    "wilcoxon_small_no_ties": wilcoxon_small,
    "wilcoxon_all_zero": wilcoxon_zero,
    "nemenyi_q_table": nemenyi_table,
    "signflip_mean_n5": sign_flip,
    "stratified_signflip_D3_n3_extreme": stratified_sign_flip,
    "holm_ties_and_cap": holm,
    "paired_t_n5": paired_t,
    "constant_differences_guard": constant_differences,
    "crossed_seed_clip_variance": crossed,
    "clip_variance_clustered_by_video": crossed,
    "prob_superiority_ties": superiority,
    "mcnemar": mcnemar,
    "power_paired_t": power,
    "groups_noncontiguous": groups,
    "friedman_degenerate": friedman_degenerate,
    "pairing_is_by_key_not_row_order": pairing,
    "board_moderated_k3_n3_m10": board,
}


def test_no_case_is_left_out() -> None:
    assert set(ROUTES) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    ROUTES[name](CASES[name])
