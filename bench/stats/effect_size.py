"""How large, how often, and whether too small to matter."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import Floats, finite_array
from bench.stats.estimate import Estimate

DECIMALS = 6  # differences, not scores, are rounded: float noise must not decide ties


def prob_superiority(a: ArrayLike, b: ArrayLike, *, paired: bool = False) -> float:
    """P(A > B), ties counted half.

    Args:
        a: (runs of A,) scores.
        b: (runs of B,) scores; row by row the same seeds where `paired`.
        paired: compare run by run instead of every run of A with every run of B (Vargha & Delaney's A12).

    Raises:
        ValueError: for NaN, or unequal lengths where `paired`.
    """
    return float((np.sign(_differences(a, b, paired)).mean() + 1) / 2)


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """P(A > B) - P(A < B) over all pairs of runs.

    Raises:
        ValueError: for NaN.
    """
    return float(np.sign(_differences(a, b, paired=False)).mean())


def wins_ties_losses(a: ArrayLike, b: ArrayLike) -> tuple[int, int, int]:
    """In how many paired runs A is better than, equal to and worse than B.

    Raises:
        ValueError: for NaN or unequal lengths.
    """
    sign = np.sign(_differences(a, b, paired=True))
    return int((sign > 0).sum()), int((sign == 0).sum()), int((sign < 0).sum())


def equivalent(result: Estimate, margin: float = 0.01) -> bool | None:
    """Whether the 90 % interval lies inside ±margin: two one-sided tests at 5 % (Schuirmann 1987).

    Args:
        result: a difference as a fraction.
        margin: half-width of the region of practical equivalence, as a fraction; ±1 point by default.

    Returns:
        None where the result makes no claim.

    Raises:
        ValueError: if the margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive, got {margin}.")
    interval = result.interval(0.90)
    return None if interval is None else -margin < interval[0] and interval[1] < margin


def _differences(a: ArrayLike, b: ArrayLike, paired: bool) -> Floats:
    x = finite_array(a, "a", ("runs",))
    y = finite_array(b, "b", ("runs",))
    if paired and len(x) != len(y):
        raise ValueError(f"Paired scores must have one length, got {len(x)} and {len(y)}.")
    return np.round(x - y if paired else x[:, None] - y[None, :], DECIMALS)
