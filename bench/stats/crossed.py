"""The two-way paired t over crossed seeds and clips: claim M, "this method, this data set".

All seeds of a method are tested on the same clips, so a difference varies with the seed, with the clip and
with their interaction. A t test over seeds forgets the clips; McNemar on pooled seeds forgets the seeds.
The variance here is the one of multi-reader multi-case studies (Obuchowski & Rockette 1995; Satterthwaite
degrees of freedom as in Hillis 2007); boards moderate the seed variance of each pair towards the mean of
all pairs (Smyth 2004).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import Floats, codes, correctness, finite_array
from bench.stats.estimate import Estimate, Numbers, TTest, claim, no_claim, t_p

Clusters = Iterable[Hashable] | None
"""One label per clip, equal for clips cut from the same source video; None: every clip is its own."""

COARSE = 1e-12  # row means closer than this are equal: their differences are rounding errors
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
    means, sums = _cluster_sums(array, clusters, weights)
    parts = _components(sums[0])
    return MeanInterval(**_conclude(float(means[0]), parts), **parts)


def _pairs(
    correct: Floats, clusters: Clusters, weights: ArrayLike | None, max_prior_df: float
) -> dict[tuple[int, int], PairTest]:
    """Every pair (i, j), i < j, of a (methods, seeds, clips) array."""
    methods, seeds, _ = correct.shape
    means, sums = _cluster_sums(correct, clusters, weights)
    parts = {(i, j): _components(sums[i] - sums[j]) for i, j in combinations(range(methods), 2)}
    prior_df = float(min(max_prior_df, (methods - 2) * (seeds - 1)))
    own = [v for part in parts.values() if (v := part["V_seed"]) is not None]
    if prior_df > 0 and own:
        pooled = float(np.mean(own))
        for part in parts.values():
            _moderate(part, pooled, prior_df)
    out = {}
    for (i, j), part in parts.items():
        numbers = _conclude(float(means[i] - means[j]), part)
        se, df = numbers["se"], numbers["df"]
        p = None if se is None or df is None else t_p(numbers["estimate"], se, df)
        out[i, j] = PairTest(p=p, **numbers, **part)
    return out


def _cluster_sums(correct: Floats, clusters: Clusters, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """Means (methods,) and u_sg = sum over the clips c of g of w_c (X[s, c] - mean), (methods, seeds, G).

    All variances of a pair are sums over the difference of two methods' u, so this is done once per method.
    """
    _, seeds, clips = correct.shape
    if weights is None:
        means = correct.sum((1, 2)) / (
            seeds * clips
        )  # whole numbers: equal accuracies come out exactly equal
        u = (correct - means[:, None, None]) / clips
    else:
        w = _weights(weights, clips)
        means = (correct @ w).mean(1)
        u = (correct - means[:, None, None]) * w
    if clusters is None:
        return means, u
    group = codes(clusters, clips, "clusters")
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return means, np.add.reduceat(u[..., order], starts, axis=-1)


def _weights(weights: ArrayLike, clips: int) -> Floats:
    w = finite_array(weights, "weights", ("clips",))
    if len(w) != clips:
        raise ValueError(f"weights must give one number for each of {clips} clips, got {len(w)}.")
    if (w < 0).any() or abs(w.sum() - 1.0) > 1e-9:
        raise ValueError(f"weights must not be negative and must sum to 1; they sum to {w.sum():.6g}.")
    return w


def _components(u: Floats) -> _Parts:
    """The three variances from u (seeds, G)."""
    n, g = u.shape
    parts = _Parts(
        V_seed=None,
        V_seed_moderated=None,
        V_clip=None,
        V_inter=None,
        prior_df=0.0,
        n_seeds=n,
        n_clusters=g,
    )
    if g > 1:
        columns = u.mean(0)
        parts["V_clip"] = float(g / (g - 1) * (columns @ columns))
    if n > 1:
        rows = u.sum(1)
        parts["V_seed"] = float(rows.var(ddof=1) / n) if np.ptp(rows) > COARSE else 0.0
        parts["V_seed_moderated"] = parts["V_seed"]
    if n > 1 and g > 1:
        parts["V_inter"] = float(n * g / (n * g - 1) * np.sum(u * u) / n**2)
    return parts


def _moderate(part: _Parts, pooled: float, prior_df: float) -> None:
    """Replace the seed variance of a pair by its mean with the pooled one, weighted by degrees of freedom."""
    own, df = part["V_seed"], part["n_seeds"] - 1
    if own is not None:
        part["V_seed_moderated"] = (prior_df * pooled + df * own) / (prior_df + df)
        part["prior_df"] = prior_df


def _conclude(estimate: float, part: _Parts) -> Numbers:
    """Total variance and Satterthwaite degrees of freedom, or the reason why there is no claim."""
    v_seed, v_clip, v_inter = part["V_seed_moderated"], part["V_clip"], part["V_inter"]
    if part["V_seed"] is None or v_seed is None:
        return no_claim(estimate, ONE_SEED)
    if v_clip is None or v_inter is None:
        return no_claim(estimate, ONE_CLUSTER)
    if part["V_seed"] == 0.0:
        return no_claim(estimate, NO_SEED_VARIANCE)
    variance = max(v_seed + v_clip - v_inter, v_seed, v_clip)
    df = (part["prior_df"] + part["n_seeds"] - 1) * (variance / v_seed) ** 2
    return claim(estimate, variance, min(df, part["n_clusters"] - 1.0))
