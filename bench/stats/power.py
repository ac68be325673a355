"""What a cell could have shown, and how many seeds would show more: the noncentral t.

The equation is solved here and not by `statsmodels`' `TTestPower.solve_power`: for few seeds that meets
SciPy's NaN in the far tail and returns whatever value it tried, unannounced (n = 3, α = .05 / 28: 10).
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import optimize, special

from bench.stats.checks import probability
from bench.stats.estimate import t_critical


def detectable_difference(
    se: float | None, df: float | None, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The difference that a two-sided t test with this standard error finds with probability `power`.

    Args:
        se: standard error √V of the cell, in the units wanted back.
        df: its degrees of freedom.
        alpha: level; divide it by the family size for the bound that holds in the worst step of Holm.
        power: probability of finding it.

    Returns:
        None where the cell makes no claim (se or df None).

    Raises:
        ValueError: if se or df is not positive, or power does not exceed alpha.
    """
    _check_levels(alpha, power)
    if se is None or df is None:
        return None
    if not (se > 0 and df > 0 and math.isfinite(se)):
        raise ValueError(f"se and df must be positive, got {se} and {df}.")
    return se * _noncentrality(df, alpha, power)


def minimum_detectable_effect(n: int, sd: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The mean difference that a paired t over n seeds finds with probability `power`, for planning.

    Args:
        n: seeds; infinite is returned for fewer than 2, which show nothing.
        sd: standard deviation of the seeds' differences.
        power: probability of finding it.
        alpha: two-sided level.

    Raises:
        ValueError: if sd is not positive, or power does not exceed alpha.
    """
    _check_levels(alpha, power)
    if not (sd > 0 and math.isfinite(sd)):
        raise ValueError(f"sd must be positive, got {sd}.")
    if n < 2:
        return math.inf
    return sd / math.sqrt(n) * _noncentrality(n - 1.0, alpha, power)


def seeds_for_effect(
    effect: float,
    seed_variance: float,
    clip_variance: float = 0.0,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    max_df: float = math.inf,
    prior_df: float = 0.0,
    max_seeds: int = 1000,
) -> int | None:
    """How many seeds the two-way paired t needs to find a difference with probability `power`.

    An approximation: the variance components of the cell are taken as true, and the variance with n seeds
    as its expectation V = seed_variance / n + clip_variance, with (prior_df + n - 1) (V / V_seed)^2 degrees
    of freedom, at most `max_df`. Components estimated from 3 to 5 seeds are themselves uncertain by a
    factor of two and more.

    Args:
        effect: the difference to be found, as a fraction (0.05 for 5 points); its sign does not matter.
        seed_variance: variance of one seed's mean difference (`PairTest.seed_variance`).
        clip_variance: what remains with infinitely many seeds (`PairTest.clip_variance`); 0 gives the
            paired t.
        alpha: two-sided level; divide it by the family size for a board.
        power: probability of finding it.
        max_df: the test's bound on the degrees of freedom, clusters - 1 (`PairTest.n_clusters`).
        prior_df: degrees of freedom that a board lends (`PairTest.prior_df`).
        max_seeds: where to stop looking.

    Returns:
        The least number of seeds, or None where `max_seeds` do not suffice: then it takes more test clips.

    Raises:
        ValueError: for an effect of 0, a seed variance that is not positive, or a negative clip variance.
    """
    _check_levels(alpha, power)
    if effect == 0 or not math.isfinite(effect):
        raise ValueError(f"effect must be a difference other than 0, got {effect}.")
    if not (seed_variance > 0 and clip_variance >= 0):
        raise ValueError(
            "seed_variance must be positive and clip_variance not negative, "
            f"got {seed_variance} and {clip_variance}."
        )
    for n in range(2, max_seeds + 1):
        v_seed = seed_variance / n
        variance = v_seed + clip_variance
        df = min((prior_df + n - 1) * (variance / v_seed) ** 2, max_df)
        if _power(abs(effect) / math.sqrt(variance), df, t_critical(df, alpha)) >= power:
            return n
    return None


def _check_levels(alpha: float, power: float) -> None:
    if probability(power, "power") <= probability(alpha, "alpha"):
        raise ValueError(f"power must exceed alpha, got {power} and {alpha}.")


def _power(noncentrality: float, df: float, critical: float) -> float:
    """P(|T| > critical) of a noncentral t."""
    above = 1.0 - float(special.nctdtr(df, noncentrality, critical))
    below = float(special.nctdtr(df, noncentrality, -critical))
    return above if math.isnan(below) else above + below  # SciPy gives NaN where the far tail is nearly 0


@lru_cache(maxsize=2**16)  # a report asks for each pair of a board several times
def _noncentrality(df: float, alpha: float, power: float) -> float:
    """The difference in standard errors at which the test has this power."""
    critical = t_critical(df, alpha)
    high = critical + 1.0
    while _power(high, df, critical) < power:
        high *= 2.0
    return float(optimize.brentq(lambda nc: _power(nc, df, critical) - power, 0.0, high, xtol=1e-12))
