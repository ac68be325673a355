"""Holm's adjustment of a family of p values.

Three lines of our own: `statsmodels`' `multipletests`, with which they agree, runs the garbage collector on
every call (80 ms and more), which a grid of simulated boards cannot afford, and SciPy has only BH and BY.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from bench.stats.checks import Floats

K = TypeVar("K", bound=Hashable)


def holm(pvalues: Sequence[float | None] | Floats) -> Floats:
    """Holm-adjusted p values of one family (Holm 1979).

    A None ("no claim": one seed, or no variance over seeds) still counts in the family: the comparison was
    planned and looked at, so its lack of a p must not make the others look better. It is treated as p = 1
    and comes back as NaN, which is below no α. `holm_by_key` gives None back instead.

    Args:
        pvalues: (tests,) p values or None.

    Returns:
        (tests,) adjusted p in input order: monotone, at most 1, never below the raw p.

    Raises:
        ValueError: for a p that is NaN or outside [0, 1].
    """
    missing = np.array([p is None for p in pvalues], dtype=bool)
    raw = np.array([1.0 if p is None else p for p in pvalues], dtype=np.float64)
    if raw.ndim != 1 or not ((raw >= 0) & (raw <= 1)).all():
        raise ValueError("pvalues must be a flat list of numbers in [0, 1], or None where no claim is made.")
    if raw.size == 0:
        return raw
    order = np.argsort(raw, kind="stable")
    steps = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))  # the least p counts all tests
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(steps, 1.0)
    return np.where(missing, np.nan, adjusted)


def holm_by_key(pvalues: Mapping[K, float | None]) -> dict[K, float | None]:
    """`holm` over the values of a mapping, for example from pairs (i, j) to p; None stays None.

    Raises:
        ValueError: as `holm`.
    """
    adjusted = holm(list(pvalues.values()))
    return {key: None if np.isnan(p) else float(p) for key, p in zip(pvalues, adjusted, strict=True)}
