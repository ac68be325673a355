"""Wilcoxon's signed-rank test over data sets: claim G, "new data sets"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.stats.checks import Floats, finite_array
from bench.stats.sign_flips import Alternative, check_alternative

LEAST_DATASETS = 6  # below, the two-sided floor 2^(1 - n) lies above .05
DECIMALS = 6


@dataclass(frozen=True, kw_only=True)
class SignedRank:
    """A signed-rank test.

    Attributes:
        statistic: the smaller rank sum (two-sided), or the rank sum of the positive differences.
        p: exact p, with ties and zeros.
        n_datasets: data sets given, zero differences included.
        sufficient: whether there are the 6 data sets that claim G needs; otherwise p may not be shown as one.
    """

    statistic: float
    p: float
    n_datasets: int
    sufficient: bool


def wilcoxon_over_datasets(differences: ArrayLike, *, alternative: Alternative = "two-sided") -> SignedRank:
    """Would A differ from B on new data sets?

    Differences are rounded to 6 decimals before their sizes are ranked, since float noise would break ties;
    zeros are dropped (Wilcoxon's rule). The null distribution of the rank sum is computed exactly for the
    average ranks at hand: `scipy.stats.wilcoxon(method="exact")` is wrong with ties, and its permutation
    method is random beyond 13 data sets.

    Args:
        differences: (data sets,) mean difference A - B of each; fractions of one data set averaged before.
        alternative: "two-sided", "greater" or "less".

    Raises:
        ValueError: for NaN, no data set, or an unknown alternative.
    """
    check_alternative(alternative)
    given = finite_array(differences, "differences", ("data sets",))
    d = np.round(given, DECIMALS)
    d = d[d != 0]
    # doubled average ranks are whole numbers, so the distribution lives on a grid
    ranks = np.rint(2 * stats.rankdata(np.abs(d))).astype(np.intp)
    total, plus = int(ranks.sum()), int(ranks[d > 0].sum())
    mass = _rank_sum_distribution(ranks)
    at_most, at_least = float(mass[: plus + 1].sum()), float(mass[plus:].sum())
    if alternative == "two-sided":
        statistic, p = min(plus, total - plus) / 2, 2 * min(at_most, at_least)
    else:
        statistic, p = plus / 2, at_least if alternative == "greater" else at_most
    return SignedRank(
        statistic=statistic,
        p=min(1.0, p),
        n_datasets=len(given),
        sufficient=len(given) >= LEAST_DATASETS,
    )


def _rank_sum_distribution(ranks: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> Floats:
    """P(doubled positive rank sum = v), v = 0..sum, where each rank is positive with probability 1/2."""
    mass = np.zeros(int(ranks.sum()) + 1)
    mass[0] = 1.0
    for rank in ranks:
        mass[rank:] = (mass[rank:] + mass[: len(mass) - rank]) / 2
        mass[:rank] /= 2
    return mass
