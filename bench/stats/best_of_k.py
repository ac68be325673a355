"""The expected best of k tuning trials: what a score owes to the number of configurations tried."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import finite_array


def expected_best_of_k(scores: ArrayLike, k: int, *, biased: bool = False) -> float:
    """Expected maximum of k trials drawn from those that were run.

    Args:
        scores: (trials,) validation scores, higher is better.
        k: number of trials to draw.
        biased: False for the unbiased U-statistic, draws without replacement (Tang et al. 2020); True for the
            V-statistic, draws with replacement, biased low (Dodge et al. 2019).

    Raises:
        ValueError: for NaN, k < 1, or more draws without replacement than there are trials.
    """
    x = np.sort(finite_array(scores, "scores", ("trials",)))
    n = len(x)
    if k < 1 or (k > n and not biased):
        raise ValueError(f"k must lie between 1 and the number of trials, {n}, got {k}.")
    if biased:
        steps = np.arange(n + 1) / n
        weights = np.diff(steps**k)
    else:
        ways = math.comb(n, k)
        weights = np.array([math.comb(i, k - 1) / ways for i in range(n)])
    return float(weights @ x)
