"""The three variances of crossed seeds and clips, for many paired differences at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import Floats, codes, finite_array

Clusters = Iterable[Hashable] | None
"""One label per clip, equal for clips cut from the same source video; None: every clip is its own."""

COARSE = 1e-12  # row means closer than this are equal: their differences are rounding errors


@dataclass(frozen=True, eq=False)
class Variances:
    """V_seed, V_clip and V_inter, (tests,) each; NaN where a single seed or cluster cannot show one."""

    seed: Floats
    clip: Floats
    inter: Floats
    n_seeds: int
    n_clusters: int


def cluster_sums(correct: Floats, clusters: Clusters, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """Means (methods,) and u_sg = sum over the clips c of g of w_c (X[s, c] - mean), (methods, seeds, G).

    All variances of a pair are sums over the difference of two methods' u, so this is done once per method.

    Args:
        correct: (methods, seeds, clips).
        clusters: (clips,) source video of each clip, or None.
        weights: (clips,) summing to 1, or None for 1/clips.

    Raises:
        ValueError: for weights or clusters that do not fit.
    """
    _, seeds, clips = correct.shape
    if weights is None:
        # The sums are whole numbers: equal accuracies come out exactly equal.
        means = correct.sum((1, 2)) / (seeds * clips)
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


def own_variances(u: Floats) -> Variances:
    """Of each method's own mean, from u (methods, seeds, G)."""
    return _joined([_variances(u)], u.shape)


def pair_variances(u: Floats) -> Variances:
    """Of every pair (i, j), i < j, in the order of `itertools.combinations`, from u (methods, seeds, G)."""
    # One block per first method, so that memory grows with the methods and not with their pairs.
    blocks = [_variances(u[i] - u[i + 1 :]) for i in range(len(u) - 1)]
    return _joined(blocks, u.shape)


def _variances(u: Floats) -> Floats:
    """(3, tests): V_seed, V_clip, V_inter."""
    tests, n, g = u.shape
    found = np.full((3, tests), np.nan)
    if n > 1:
        rows = u.sum(2)
        seed = rows.var(1, ddof=1) / n
        found[0] = np.where(np.ptp(rows, axis=1) > COARSE, seed, 0.0)
    if g > 1:
        columns = u.sum(1) / n
        found[1] = g / (g - 1) * np.einsum("tg,tg->t", columns, columns)
    if n > 1 and g > 1:
        found[2] = n * g / (n * g - 1) / n**2 * np.einsum("tsg,tsg->t", u, u)
    return found


def _joined(blocks: list[Floats], shape: tuple[int, ...]) -> Variances:
    seed, clip, inter = np.concatenate(blocks, axis=1) if blocks else np.empty((3, 0))
    return Variances(seed=seed, clip=clip, inter=inter, n_seeds=shape[1], n_clusters=shape[2])
