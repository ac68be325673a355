"""Ranks over data sets: Friedman's omnibus test, Iman and Davenport's F, Nemenyi's critical difference.

Display and omnibus only: the pairwise verdicts of mean-rank tests depend on which other methods are in the
pool (Benavoli et al. 2016). Formulas: Demšar 2006, JMLR 7, section 3.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from bench.stats.checks import Floats, finite_array, probability


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """Friedman's test of k methods on N data sets.

    Attributes:
        statistic: tie-corrected chi-square, as SciPy gives it.
        p: its p; 1 where every data set ties all methods.
        statistic_uncorrected: chi-square as Demšar (2006) prints it, without the correction for ties.
        p_uncorrected: its p.
        iman_davenport: F statistic from the tie-corrected chi-square; infinite where all data sets rank
            alike.
        iman_davenport_p: its p; where the statistic is infinite, the exact permutation p, (k!)^(1 - N).
        iman_davenport_uncorrected: F statistic from the uncorrected chi-square.
        iman_davenport_uncorrected_p: its p.
        df: degrees of freedom of F.
        ranks: (N, k), 1 is best, ties share the average rank.
        average_ranks: (k,).
    """

    statistic: float
    p: float
    statistic_uncorrected: float
    p_uncorrected: float
    iman_davenport: float
    iman_davenport_p: float
    iman_davenport_uncorrected: float
    iman_davenport_uncorrected_p: float
    df: tuple[int, int]
    ranks: Floats
    average_ranks: Floats


def friedman(scores: ArrayLike, *, higher_is_better: bool = True) -> Friedman:
    """Do the methods differ in rank over the data sets at all?

    Args:
        scores: (data sets, methods); never round them, a rounded score invents ties.
        higher_is_better: False for errors.

    Raises:
        ValueError: for NaN, fewer than 2 data sets or fewer than 3 methods (two are a pair:
            `wilcoxon_over_datasets`).
    """
    x = finite_array(scores, "scores", ("data sets", "methods"))
    n, k = x.shape
    if k < 3:
        raise ValueError(f"friedman needs at least 3 methods, got {k}; for two use wilcoxon_over_datasets.")
    if n < 2:
        raise ValueError("friedman needs at least 2 data sets.")
    ranks = stats.rankdata(-x if higher_is_better else x, axis=1).astype(np.float64)
    average = ranks.mean(0)
    uncorrected = 12 * n / (k * (k + 1)) * float(np.sum((average - (k + 1) / 2) ** 2))
    all_tied = bool((np.ptp(ranks, axis=1) == 0).all())
    corrected = 0.0 if all_tied else float(stats.friedmanchisquare(*x.T).statistic)
    f, f_p = _iman_davenport(corrected, n, k)
    f_plain, f_plain_p = _iman_davenport(uncorrected, n, k)
    return Friedman(
        statistic=corrected,
        p=float(special.chdtrc(k - 1, corrected)),
        statistic_uncorrected=uncorrected,
        p_uncorrected=float(special.chdtrc(k - 1, uncorrected)),
        iman_davenport=f,
        iman_davenport_p=f_p,
        iman_davenport_uncorrected=f_plain,
        iman_davenport_uncorrected_p=f_plain_p,
        df=(k - 1, (k - 1) * (n - 1)),
        ranks=ranks,
        average_ranks=average,
    )


def nemenyi_q(k: int, alpha: float = 0.05) -> float:
    """Critical value of the Studentized range for k methods, divided by the square root of 2."""
    _check_methods(k)
    return _studentized(k, probability(alpha, "alpha"))


def nemenyi_cd(k: int, n: int, alpha: float = 0.05) -> float:
    """Critical difference of two average ranks over n data sets, for all pairs of k methods.

    Raises:
        ValueError: for fewer than 2 methods or no data set.
    """
    return nemenyi_q(k, alpha) * _rank_se(k, n)


def bonferroni_dunn_cd(k: int, n: int, alpha: float = 0.05) -> float:
    """Critical difference of an average rank from a control's, for k - 1 methods against the control.

    Raises:
        ValueError: as `nemenyi_cd`.
    """
    se = _rank_se(k, n)
    return float(special.ndtri(1 - probability(alpha, "alpha") / (2 * (k - 1)))) * se


def nemenyi_p(average_ranks: ArrayLike, n: int) -> Floats:
    """Nemenyi's p of all pairs, (methods, methods), from average ranks over n data sets."""
    ranks = finite_array(average_ranks, "average_ranks", ("methods",))
    q = np.abs(ranks[:, None] - ranks[None, :]) / _rank_se(len(ranks), n) * math.sqrt(2)
    return np.asarray(stats.studentized_range.sf(q, len(ranks), np.inf), dtype=np.float64).clip(0.0, 1.0)


def ranks_against(average_ranks: ArrayLike, n: int, control: int = 0) -> tuple[Floats, Floats]:
    """The other methods' average ranks against a control's: z (positive where better) and raw two-sided p.

    Raises:
        ValueError: as `nemenyi_cd`, or if there is no method `control`.
    """
    ranks = finite_array(average_ranks, "average_ranks", ("methods",))
    if not 0 <= control < len(ranks):
        raise ValueError(f"control must be a method index below {len(ranks)}, got {control}.")
    z = np.delete(ranks[control] - ranks, control) / _rank_se(len(ranks), n)
    return z, np.asarray(2 * special.ndtr(-np.abs(z)), dtype=np.float64)


def _iman_davenport(chi2: float, n: int, k: int) -> tuple[float, float]:
    """F = (N - 1) chi2 / (N (k - 1) - chi2) with k - 1 and (k - 1)(N - 1) degrees of freedom, and its p."""
    room = n * (k - 1) - chi2
    if room <= 1e-9 * n * k:  # all data sets rank alike: F has no value, but the permutation p is known
        return math.inf, float(math.factorial(k)) ** (1 - n)
    f = (n - 1) * chi2 / room
    return f, float(special.fdtrc(k - 1, (k - 1) * (n - 1), f))


def _rank_se(k: int, n: int) -> float:
    """Standard error of the difference of two average ranks under "no difference"."""
    _check_methods(k)
    if n < 1:
        raise ValueError(f"n must be at least one data set, got {n}.")
    return math.sqrt(k * (k + 1) / (6 * n))


def _check_methods(k: int) -> None:
    if k < 2:
        raise ValueError(f"Comparing ranks needs at least 2 methods, got {k}.")


@lru_cache
def _studentized(k: int, alpha: float) -> float:
    return float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
