"""The crossed ("pigeonhole") bootstrap of seeds and clips (Owen 2007): a picture of uncertainty, not a test.

Below 10 seeds no bootstrap interval may carry a claim: a percentile bootstrap of 3 seeds marks .30 false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import Floats, codes, correctness, probability
from bench.stats.variances import Clusters


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Resampled means.

    Attributes:
        estimate: () or (methods,) the means of the data.
        replicates: (resamples,) or (resamples, methods); all methods of a row share the resampled seeds and
            clips, so differences of columns are paired.
    """

    estimate: Floats
    replicates: Floats

    def interval(self, level: float = 0.95) -> Floats:
        """Percentile interval, (2,) or (2, methods)."""
        tail = (1.0 - probability(level, "level")) / 2
        return np.asarray(np.quantile(self.replicates, [tail, 1 - tail], axis=0), dtype=np.float64)


def crossed_bootstrap(
    correct: ArrayLike, n_resamples: int, seed: int, clusters: Clusters = None
) -> Bootstrap:
    """Resample seeds and clips independently of each other, with replacement.

    Args:
        correct: (seeds, clips) or (methods, seeds, clips), 0/1 or boolean.
        n_resamples: number of resamples.
        seed: seed of the draw; the same gives the same replicates.
        clusters: (clips,) source video of each clip: whole videos are drawn.

    Raises:
        ValueError: for entries that are not 0/1, or no resample.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}.")
    single = np.ndim(np.asarray(correct)) == 2
    axes = ("seeds", "clips") if single else ("methods", "seeds", "clips")
    x = correctness(correct, "correct", axes)
    x = x[None] if single else x
    methods, seeds, clips = x.shape
    group = np.arange(clips) if clusters is None else codes(clusters, clips, "clusters")
    rng = np.random.default_rng(seed)
    replicates = np.empty((n_resamples, methods))
    flat = x.reshape(methods * seeds, clips).T
    for start in range(0, n_resamples, 256):  # in blocks, so that memory stays small
        rows = min(256, n_resamples - start)
        by_seed = _counts(rng, rows, seeds)
        by_clip = _counts(rng, rows, int(group.max()) + 1)[:, group]
        by_clip /= by_clip.sum(1, keepdims=True)
        cells = (by_clip @ flat).reshape(rows, methods, seeds)
        replicates[start : start + rows] = np.einsum("rms,rs->rm", cells, by_seed) / seeds
    estimate = x.mean((1, 2))
    if single:
        return Bootstrap(estimate=estimate[0], replicates=replicates[:, 0])
    return Bootstrap(estimate=estimate, replicates=replicates)


def _counts(rng: np.random.Generator, rows: int, size: int) -> Floats:
    """How often each of `size` things is drawn in `size` draws with replacement, (rows, size)."""
    drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
