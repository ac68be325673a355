"""Groups, letters and rank intervals of a board from its adjusted p values.

"Not different" is not transitive: A may beat B while C differs from neither. So groups are the maximal
cliques of the graph that joins methods which are not significantly different, one letter each, not one bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from string import ascii_letters

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import Floats, finite_array, probability

SAME_MEAN = 1e-12  # means closer than this are equal: their differences are rounding errors


@dataclass(frozen=True, kw_only=True)
class Groups:
    """What a board may say about order.

    Attributes:
        order: methods from the highest mean to the lowest (equal means by index).
        best_group: the methods that are not significantly worse than the top mean, in that order.
        letters: per method (by index), the letters of its cliques; two methods that share one are not
            different.
        rank_intervals: per method, (1 + number significantly better, k - number significantly worse).
        maximal_cliques: the cliques in the order of their letters, each in the order of the means.
        distinguishable: whether any pair is significantly different; if not, nobody is bold.
    """

    order: tuple[int, ...]
    best_group: tuple[int, ...]
    letters: tuple[str, ...]
    rank_intervals: tuple[tuple[int, int], ...]
    maximal_cliques: tuple[tuple[int, ...], ...]
    distinguishable: bool


def cliques(
    means: ArrayLike, adjusted_p: Mapping[tuple[int, int], float | None], alpha: float = 0.05
) -> Groups:
    """Groups of methods that the tests cannot tell apart.

    Args:
        means: (methods,) mean scores, higher is better.
        adjusted_p: adjusted p of every pair, keyed (i, j) in either order; None or NaN where no claim is
            made, which is never a difference.
        alpha: a pair differs where its adjusted p is at most this.

    Raises:
        ValueError: if a pair is missing, given twice or unknown, or a p is outside [0, 1].
    """
    mean = finite_array(means, "means", ("methods",))
    k = len(mean)
    different = _differences(adjusted_p, k, probability(alpha, "alpha"))
    order = sorted(range(k), key=lambda i: (-np.round(mean[i], 12), i))
    place = {method: position for position, method in enumerate(order)}
    better = different & (mean[None, :] - mean[:, None] > SAME_MEAN)  # [i, j]: j is better than i
    top = [i for i in order if mean[i] >= mean.max() - SAME_MEAN]
    best = tuple(i for i in order if not better[i, top].any())
    intervals = tuple((1 + int(better[i].sum()), k - int(better[:, i].sum())) for i in range(k))
    found = [tuple(sorted(clique, key=place.__getitem__)) for clique in _maximal_cliques(~different)]
    found.sort(key=lambda clique: [place[i] for i in clique])
    letters = tuple("".join(_letter(n) for n, clique in enumerate(found) if i in clique) for i in range(k))
    return Groups(
        order=tuple(order),
        best_group=best,
        letters=letters,
        rank_intervals=intervals,
        maximal_cliques=tuple(found),
        distinguishable=bool(different.any()),
    )


def _differences(
    adjusted_p: Mapping[tuple[int, int], float | None], k: int, alpha: float
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Symmetric (k, k): which pairs are significantly different."""
    p: Floats = np.full((k, k), -1.0)
    for (i, j), value in adjusted_p.items():
        if i == j or not (0 <= i < k and 0 <= j < k) or p[i, j] != -1.0:
            raise ValueError(f"adjusted_p has an unknown or repeated pair {(i, j)} for {k} methods.")
        known = value is not None and not np.isnan(value)
        if known and not 0.0 <= float(value or 0.0) <= 1.0:
            raise ValueError(f"adjusted_p of pair {(i, j)} must lie in [0, 1], got {value}.")
        p[i, j] = p[j, i] = float(value or 0.0) if known else np.inf
    for i, j in combinations(range(k), 2):
        if p[i, j] == -1.0:
            raise ValueError(f"adjusted_p lacks the pair {(i, j)}; write None where no claim is made.")
    np.fill_diagonal(p, np.inf)
    return np.asarray(p <= alpha)


def _maximal_cliques(joined: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> list[set[int]]:
    """All maximal cliques of a graph (Bron & Kerbosch 1973, with pivots)."""
    k = len(joined)
    neighbors = [{j for j in range(k) if j != i and joined[i, j]} for i in range(k)]
    found: list[set[int]] = []

    def extend(clique: set[int], candidates: set[int], done: set[int]) -> None:
        if not candidates and not done:
            found.append(clique)
            return
        pivot = max(candidates | done, key=lambda i: len(neighbors[i] & candidates))
        for i in sorted(candidates - neighbors[pivot]):
            extend(clique | {i}, candidates & neighbors[i], done & neighbors[i])
            candidates = candidates - {i}
            done = done | {i}

    extend(set(), set(range(k)), set())
    return found


def _letter(position: int) -> str:
    """Letters a to z, then A to Z; beyond 52 a number in brackets, so that joined letters stay readable."""
    return ascii_letters[position] if position < len(ascii_letters) else f"[{position + 1}]"
