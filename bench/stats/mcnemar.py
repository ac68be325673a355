"""McNemar's test: claim T, "these two trained models", never "these two methods"."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from scipy import special, stats


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Two trained models on one test set.

    Attributes:
        statistic: the smaller of the two discordant counts.
        p: exact two-sided binomial p.
        mid_p: the less conservative mid-p.
        chi2: chi-square with continuity correction, None without discordant clips.
        chi2_p: its p, None without discordant clips.
    """

    statistic: float
    p: float
    mid_p: float
    chi2: float | None
    chi2_p: float | None


def mcnemar_exact(b: int, c: int) -> McNemar:
    """Do two trained models differ on this test set?

    Args:
        b: number of clips that only the first classifies correctly.
        c: number of clips that only the second classifies correctly.

    Raises:
        ValueError: if a count is negative or not a whole number.
    """
    try:
        b, c = operator.index(b), operator.index(c)
    except TypeError as error:
        raise ValueError(f"b and c must be whole numbers of clips, got {b!r} and {c!r}.") from error
    if min(b, c) < 0:
        raise ValueError(f"b and c must not be negative, got {b} and {c}.")
    n, low = b + c, min(b, c)
    if n == 0:
        return McNemar(statistic=0.0, p=1.0, mid_p=1.0, chi2=None, chi2_p=None)
    p = float(stats.binomtest(b, n).pvalue)
    mid_p = float(2.0 * stats.binom.cdf(low, n, 0.5) - stats.binom.pmf(low, n, 0.5))
    chi2 = (abs(b - c) - 1) ** 2 / n
    return McNemar(statistic=float(low), p=p, mid_p=mid_p, chi2=chi2, chi2_p=float(special.chdtrc(1, chi2)))
