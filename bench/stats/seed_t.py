"""The plain paired t over seeds, which holds the test clips fixed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import finite_array
from bench.stats.crossed import NO_SEED_VARIANCE, ONE_SEED
from bench.stats.estimate import TTest, claim, no_claim, t_p
from bench.stats.variances import COARSE


def paired_t(differences: ArrayLike) -> TTest:
    """One-sample t test of the seeds' differences.

    Not a leaderboard's test: it says nothing about new clips, and its false marks reach .35 (10 seeds, 500
    clips) where `two_way_paired_t` keeps to .06. It is here for paired values that have no clips underneath.

    Args:
        differences: (seeds,) paired differences A - B.

    Returns:
        p is None for one seed, and where all differences are equal: that is the coarseness of the test set,
        which `scipy.stats.ttest_1samp` would call p = 0.

    Raises:
        ValueError: for NaN or anything that is not a vector.
    """
    d = finite_array(differences, "differences", ("seeds",))
    mean = float(d.mean())
    if len(d) < 2:
        return TTest(p=None, **no_claim(mean, ONE_SEED))
    if np.ptp(d) <= COARSE * max(1.0, float(np.abs(d).max())):
        return TTest(p=None, **no_claim(mean, NO_SEED_VARIANCE))
    variance = float(d.var(ddof=1) / len(d))
    df = len(d) - 1.0
    return TTest(p=t_p(mean, variance**0.5, df), **claim(mean, variance, df))
