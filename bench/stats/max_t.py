"""All pairs of a board at once by joint sign flips over seeds (Westfall & Young 1993)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import Floats, finite_array
from bench.stats.sign_flips import all_signs, draw_signs
from bench.stats.variances import COARSE

ENUMERATE_UP_TO = 12


def max_t_all_pairs(
    scores: ArrayLike, *, n_resamples: int = 9_999, seed: int = 0
) -> dict[tuple[int, int], float | None]:
    """Step-down adjusted p of every pair from the largest studentized difference over joint sign flips.

    A flip turns the differences of all pairs of a seed at once, so the dependence between pairs is kept.
    Up to 12 seeds all flips are enumerated; no p can fall below 2^(1 - n). It holds the test clips fixed.

    Args:
        scores: (seeds, methods).
        n_resamples: flips drawn for more than 12 seeds.
        seed: seed of that draw.

    Returns:
        A mapping from (i, j), i < j, to the adjusted p; None for one seed and for a pair whose difference
        is the same in all seeds, which stays in the family.

    Raises:
        ValueError: for NaN, or anything that is not two-dimensional.
    """
    x = finite_array(scores, "scores", ("seeds", "methods"))
    n, k = x.shape
    pairs = list(combinations(range(k), 2))
    if n < 2 or not pairs:
        return dict.fromkeys(pairs)
    d = np.stack([x[:, i] - x[:, j] for i, j in pairs], axis=1)
    constant = np.ptp(d, axis=0) <= COARSE * max(1.0, float(np.abs(x).max()))
    signs = all_signs(n) if n <= ENUMERATE_UP_TO else draw_signs(n_resamples + 1, n, seed)
    t = _abs_t(signs, d)  # the first row of signs is the observed data
    adjusted = _step_down(t[:, ~constant], t[:, constant])
    out: dict[tuple[int, int], float | None] = dict.fromkeys(pairs)
    for position, p in zip(np.flatnonzero(~constant), adjusted, strict=True):
        out[pairs[int(position)]] = float(p)
    return out


def _abs_t(signs: Floats, d: Floats) -> Floats:
    """|t| of every pair under every flip, (flips, pairs).

    A flip leaves the mean square of a pair's differences alone, so t needs the flipped means only.
    """
    n = len(d)
    mean = signs @ d / n
    square = (d * d).mean(0)
    variance = np.maximum(square - mean**2, 0.0) / (n - 1)
    flat = variance <= 1e-12 * square
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(mean) / np.sqrt(variance)
    return np.where(flat, np.where(square > 0, np.inf, 0.0), t)


def _step_down(t: Floats, always: Floats) -> Floats:
    """Adjusted p of the columns of t; those of `always` stay in every step's maximum."""
    flips, tests = t.shape
    order = np.argsort(-t[0], kind="stable")
    rest = always.max(1) if always.shape[1] else np.full(flips, -np.inf)
    raw = np.empty(tests)
    for test in order[::-1]:  # from the weakest pair up, the maximum over all that are not stronger
        rest = np.maximum(rest, t[:, test])
        raw[test] = np.mean(rest >= t[0, test] * (1 - 1e-9))
    adjusted = np.empty(tests)
    adjusted[order] = np.maximum.accumulate(raw[order])
    return adjusted
