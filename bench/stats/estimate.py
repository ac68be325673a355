"""An estimate with its standard error, degrees of freedom and t interval; None wherever no claim is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from scipy import special

from bench.stats.checks import probability

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean (or mean difference) as a fraction, with a 95 % t interval.

    Attributes:
        estimate: the point estimate; always given.
        se: its standard error, None where no claim is made.
        df: degrees of freedom of the t distribution, None where no claim is made.
        low: lower end of the 95 % interval, None where no claim is made.
        high: upper end of the 95 % interval, None where no claim is made.
        reason: why there is no claim; None where there is one.
    """

    estimate: float
    se: float | None
    df: float | None
    low: float | None
    high: float | None
    reason: str | None

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """The two-sided t interval at another level (0.90 for equivalence), None where no claim is made."""
        probability(level, "level")
        if self.se is None or self.df is None:
            return None
        half = t_critical(self.df, 1.0 - level) * self.se
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True, kw_only=True)
class TTest(Estimate):
    """An estimated difference with the two-sided p of `difference = 0`, None where no claim is made."""

    p: float | None


class Numbers(TypedDict):
    """The fields of `Estimate` as keyword arguments."""

    estimate: float
    se: float | None
    df: float | None
    low: float | None
    high: float | None
    reason: str | None


def t_critical(df: float, alpha: float) -> float:
    """The value that |t| with `df` degrees of freedom exceeds with probability `alpha`."""
    return float(-special.stdtrit(df, alpha / 2.0))


def t_p(estimate: float, se: float, df: float) -> float:
    """Two-sided p of a t statistic."""
    return float(2.0 * special.stdtr(df, -abs(estimate) / se))


def claim(estimate: float, variance: float, df: float) -> Numbers:
    """The fields of an estimate that may be claimed."""
    se = variance**0.5
    half = t_critical(df, 1.0 - LEVEL) * se
    return Numbers(estimate=estimate, se=se, df=df, low=estimate - half, high=estimate + half, reason=None)


def no_claim(estimate: float, reason: str) -> Numbers:
    """The fields of an estimate for which nothing may be claimed."""
    return Numbers(estimate=estimate, se=None, df=None, low=None, high=None, reason=reason)
