"""The two-way paired t over crossed seeds and clips: claim M, "this method, this data set".

All seeds of a method are tested on the same clips, so a difference varies with the seed, with the clip and
with their interaction. A t test over seeds forgets the clips; McNemar on pooled seeds forgets the seeds.
The variance here is the one of multi-reader multi-case studies (Obuchowski & Rockette 1995; Satterthwaite
degrees of freedom as in Hillis 2007); boards moderate the seed variance of each pair towards the mean of
all pairs (Smyth 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bench.stats.checks import Floats, correctness
from bench.stats.estimate import LEVEL, Estimate, Numbers, TTest, no_claim, t_p
from bench.stats.variances import Clusters, Variances, cluster_sums, own_variances, pair_variances

ONE_SEED = "one seed: nothing is known about the variance over seeds"
ONE_CLUSTER = "one clip or source video: nothing is known about the variance over clips"
NO_SEED_VARIANCE = "all seeds give the same value: the test set is too coarse to show the variance over seeds"


@dataclass(frozen=True, kw_only=True)
class Components:
    """The variance of a mean over crossed seeds and clips, in parts; None where a part cannot be estimated.

    Attributes:
        V_seed: variance of the seeds' means, over n.
        V_seed_moderated: the same, borrowing strength from the other pairs of a board; otherwise equal to
            V_seed.
        V_clip: variance of the clips' (clusters') means.
        V_inter: variance of the single cells, which V_seed and V_clip both contain.
        prior_df: prior degrees of freedom of the moderated variance; 0 without a board.
        n_seeds: number of seeds.
        n_clusters: number of clusters of clips, or of clips where they are not clustered.
    """

    V_seed: float | None
    V_seed_moderated: float | None
    V_clip: float | None
    V_inter: float | None
    prior_df: float
    n_seeds: int
    n_clusters: int

    @property
    def seed_variance(self) -> float | None:
        """Variance of one seed's mean: the part of the uncertainty that n seeds divide by n."""
        return None if self.V_seed_moderated is None else self.n_seeds * self.V_seed_moderated

    @property
    def clip_variance(self) -> float | None:
        """Variance that the choice of clips leaves however many seeds there are.

        The expectation of V_clip - V_inter is (1 - 1/n) times it, up to terms that vanish with n m.
        """
        if self.V_clip is None or self.V_inter is None or self.n_seeds < 2:
            return None
        return max(self.V_clip - self.V_inter, 0.0) * self.n_seeds / (self.n_seeds - 1)


@dataclass(frozen=True, kw_only=True)
class MeanInterval(Components, Estimate):
    """A method's own mean accuracy with its 95 % interval over new seeds and new clips."""


@dataclass(frozen=True, kw_only=True)
class PairTest(Components, TTest):
    """A paired difference A - B in accuracy, tested over new seeds and new clips."""


class _Parts(TypedDict):
    V_seed: float | None
    V_seed_moderated: float | None
    V_clip: float | None
    V_inter: float | None
    prior_df: float
    n_seeds: int
    n_clusters: int


def two_way_paired_t(
    correct_a: ArrayLike, correct_b: ArrayLike, clusters: Clusters = None, weights: ArrayLike | None = None
) -> PairTest:
    """Would A differ from B with new seeds and new clips of this data set?

    Args:
        correct_a: (seeds, clips) 0/1 or boolean, method A; row s of both arrays is the same seed
            (`join_by_key`).
        correct_b: (seeds, clips) the same for method B.
        clusters: (clips,) label of the source video of each clip; None where every clip is its own.
        weights: (clips,) non-negative, summing to 1 (`weights_mean_per_class`); None for 1/clips, i.e. top-1.

    Returns:
        The difference as a fraction with p and interval, which are None for a single seed, a single
        cluster, or where all seeds give the same difference.

    Raises:
        ValueError: for entries that are not 0/1, shapes that differ, or weights that do not sum to 1.
    """
    a = correctness(correct_a, "correct_a", ("seeds", "clips"))
    b = correctness(correct_b, "correct_b", ("seeds", "clips"))
    if a.shape != b.shape:
        raise ValueError(f"correct_a and correct_b must have one shape, got {a.shape} and {b.shape}.")
    return _pairs(np.stack([a, b]), clusters, weights, 0.0)[0, 1]


def board_tests(
    correct: ArrayLike,
    clusters: Clusters = None,
    weights: ArrayLike | None = None,
    max_prior_df: float = 4,
) -> dict[tuple[int, int], PairTest]:
    """All pairs of a board, each with the seed variance moderated towards the mean of all pairs.

    The prior has min(max_prior_df, (k - 2)(n - 1)) degrees of freedom, so with two methods this is the pair
    test. A pair whose own V_seed is 0 gets no claim, whatever the others lend it. The p values are raw:
    adjust each family with `holm`.

    Args:
        correct: (methods, seeds, clips) 0/1 or boolean, rows joined by seed.
        clusters: as in `two_way_paired_t`.
        weights: as in `two_way_paired_t`.
        max_prior_df: the most degrees of freedom that the other pairs may lend; 0 switches the moderation
            off.

    Returns:
        A mapping from (i, j), i < j, to the test of method i minus method j; empty for one method.

    Raises:
        ValueError: as `two_way_paired_t`, or for a negative `max_prior_df`.
    """
    if not max_prior_df >= 0:
        raise ValueError(f"max_prior_df must not be negative, got {max_prior_df}.")
    array = correctness(correct, "correct", ("methods", "seeds", "clips"))
    return _pairs(array, clusters, weights, max_prior_df)


def mean_interval(
    correct: ArrayLike, clusters: Clusters = None, weights: ArrayLike | None = None
) -> MeanInterval:
    """A method's own mean accuracy, with the interval that `two_way_paired_t` would give a difference.

    Intervals of two methods may overlap although their paired difference is clear: compare with the pair
    test. The ends are not cut to [0, 1].

    Args:
        correct: (seeds, clips) 0/1 or boolean.
        clusters: as in `two_way_paired_t`.
        weights: as in `two_way_paired_t`.

    Raises:
        ValueError: as `two_way_paired_t`.
    """
    array = correctness(correct, "correct", ("seeds", "clips"))[None]
    return _own_mean(array, clusters, weights)


def averaged_board_tests(
    correct: ArrayLike, clusters: Clusters = None, weights: ArrayLike | None = None, max_prior_df: float = 4
) -> dict[tuple[int, int], PairTest]:
    """`board_tests` on the mean over several label budgets of one data set.

    The budgets of a data set share its test clips and its seeds, so they are repeated measures: they are
    averaged inside a block (seed), and never counted as further data sets or seeds. One budget gives
    `board_tests`.

    Args:
        correct: (budgets, methods, seeds, clips) 0/1 or boolean, joined by seed and clip in all budgets.
        clusters: as in `two_way_paired_t`.
        weights: as in `two_way_paired_t`.
        max_prior_df: as in `board_tests`.

    Raises:
        ValueError: as `board_tests`.
    """
    if not max_prior_df >= 0:
        raise ValueError(f"max_prior_df must not be negative, got {max_prior_df}.")
    array = correctness(correct, "correct", ("budgets", "methods", "seeds", "clips"))
    return _pairs(array.mean(0), clusters, weights, max_prior_df)


def averaged_mean_interval(
    correct: ArrayLike, clusters: Clusters = None, weights: ArrayLike | None = None
) -> MeanInterval:
    """`mean_interval` of a method's mean over several label budgets, (budgets, seeds, clips).

    Raises:
        ValueError: as `mean_interval`.
    """
    array = correctness(correct, "correct", ("budgets", "seeds", "clips")).mean(0)[None]
    return _own_mean(array, clusters, weights)


def _own_mean(array: Floats, clusters: Clusters, weights: ArrayLike | None) -> MeanInterval:
    """The mean of one method, (1, seeds, clips), with its interval."""
    means, sums = cluster_sums(array, clusters, weights)
    concluded = _Concluded.of(means, own_variances(sums), 0.0)
    return MeanInterval(**concluded.numbers(0), **concluded.parts(0))


def _pairs(
    correct: Floats, clusters: Clusters, weights: ArrayLike | None, max_prior_df: float
) -> dict[tuple[int, int], PairTest]:
    """Every pair (i, j), i < j, of a (methods, seeds, clips) array."""
    methods, seeds, _ = correct.shape
    means, sums = cluster_sums(correct, clusters, weights)
    first, second = np.triu_indices(methods, 1)
    prior_df = float(min(max_prior_df, (methods - 2) * (seeds - 1)))
    concluded = _Concluded.of(means[first] - means[second], pair_variances(sums), max(prior_df, 0.0))
    return {
        (i, j): PairTest(p=concluded.p(at), **concluded.numbers(at), **concluded.parts(at))
        for at, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True))
    }


@dataclass(frozen=True, eq=False)
class _Concluded:
    """Estimates with total variance, Satterthwaite degrees of freedom and t interval, (tests,) each."""

    estimate: Floats
    variances: Variances
    moderated: Floats
    prior_df: float
    se: Floats
    df: Floats
    half: Floats

    @classmethod
    def of(cls, estimate: Floats, v: Variances, prior_df: float) -> _Concluded:
        """Moderates the seed variances by their mean and concludes; NaN where there is no claim."""
        moderated = v.seed
        if prior_df > 0:
            moderated = (prior_df * v.seed.mean() + (v.n_seeds - 1) * v.seed) / (prior_df + v.n_seeds - 1)
        claims = (v.seed > 0) & ~np.isnan(v.inter)
        seed = np.where(claims, moderated, np.nan)
        variance = np.maximum(np.maximum(seed + v.clip - v.inter, seed), v.clip)
        df = np.minimum((prior_df + v.n_seeds - 1) * (variance / seed) ** 2, v.n_clusters - 1.0)
        se = np.sqrt(variance)
        half = -special.stdtrit(df, (1.0 - LEVEL) / 2.0) * se
        return cls(estimate, v, moderated, prior_df, se, df, half)

    def numbers(self, at: int) -> Numbers:
        """The fields of an estimate, or the reason why there is no claim."""
        estimate, se, half = float(self.estimate[at]), float(self.se[at]), float(self.half[at])
        if np.isnan(se):
            return no_claim(estimate, self._reason())
        return Numbers(
            estimate=estimate,
            se=se,
            df=float(self.df[at]),
            low=estimate - half,
            high=estimate + half,
            reason=None,
        )

    def _reason(self) -> str:
        if self.variances.n_seeds < 2:
            return ONE_SEED
        return ONE_CLUSTER if self.variances.n_clusters < 2 else NO_SEED_VARIANCE

    def p(self, at: int) -> float | None:
        """Two-sided p of "no difference"."""
        se = float(self.se[at])
        return None if np.isnan(se) else t_p(float(self.estimate[at]), se, float(self.df[at]))

    def parts(self, at: int) -> _Parts:
        """The variances behind it."""
        v = self.variances
        return _Parts(
            V_seed=_known(v.seed[at]),
            V_seed_moderated=_known(self.moderated[at]),
            V_clip=_known(v.clip[at]),
            V_inter=_known(v.inter[at]),
            prior_df=self.prior_df,
            n_seeds=v.n_seeds,
            n_clusters=v.n_clusters,
        )


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
