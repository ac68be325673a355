"""The sign-flip test: under "no difference" each block's difference could have had the other sign."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.checks import Floats, codes, finite_array

Alternative = Literal["two-sided", "greater", "less"]
ENUMERATE_UP_TO = 20  # 2^20 sums are enumerated in some milliseconds; beyond, flips are drawn
DRAWN, SEED = 99_999, 0
"""How many flips are drawn, and the seed of the draw, unless a caller says otherwise."""


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """A sign-flip test.

    Attributes:
        statistic: the mean over strata of the mean difference of each.
        p: its permutation p.
        floor: the least p that this number of blocks allows; where it exceeds α, the answer is "insufficient
            seeds", not "not significant".
        exact: whether all flips were enumerated.
    """

    statistic: float
    p: float
    floor: float
    exact: bool


def sign_flip_test(
    differences: ArrayLike,
    strata: Iterable[Hashable] | None = None,
    joint: Iterable[Hashable] | None = None,
    *,
    alternative: Alternative = "two-sided",
    n_resamples: int = DRAWN,
    seed: int = SEED,
) -> SignFlip:
    """Are the differences symmetric about zero?

    Args:
        differences: (blocks,) paired differences A - B.
        strata: (blocks,) data set of each block; data sets weigh equally however many blocks they have.
        joint: (blocks,) blocks with equal labels flip together, for example the fractions of one (data set,
            seed).
        alternative: "two-sided", or "greater" where A is expected to be better, or "less".
        n_resamples: flips drawn where there are more than 20 independent signs.
        seed: seed of that draw.

    Raises:
        ValueError: for NaN, labels of the wrong length, or an unknown alternative.
    """
    check_alternative(alternative)
    d = finite_array(differences, "differences", ("blocks",))
    stratum = np.zeros(len(d), dtype=np.intp) if strata is None else codes(strata, len(d), "strata")
    unit = np.arange(len(d)) if joint is None else codes(joint, len(d), "joint")
    sizes = np.bincount(stratum)
    weighted = d / (len(sizes) * sizes[stratum])
    parts: Floats = np.zeros(int(unit.max()) + 1)
    np.add.at(parts, unit, weighted)
    observed = float(parts.sum())
    tolerance = 1e-9 * float(np.abs(parts).sum())  # sums that differ by rounding only are equal
    exact = len(parts) <= ENUMERATE_UP_TO
    sums = _all_sums(parts) if exact else _drawn_sums(parts, n_resamples, seed)
    if alternative == "two-sided":
        extreme = np.abs(sums) >= abs(observed) - tolerance
    elif alternative == "greater":
        extreme = sums >= observed - tolerance
    else:
        extreme = sums <= observed + tolerance
    floor = (2.0 if alternative == "two-sided" else 1.0) / (2.0 ** len(parts) if exact else len(sums))
    return SignFlip(statistic=observed, p=float(extreme.mean()), floor=min(1.0, floor), exact=exact)


def check_alternative(alternative: str) -> None:
    """Refuse anything but the three alternatives.

    Raises:
        ValueError: if it is another word.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative must be 'two-sided', 'greater' or 'less', got {alternative!r}.")


def draw_signs(rows: int, columns: int, seed: int) -> Floats:
    """Random signs (rows, columns), the first row all +1: the observed data are one of the flips."""
    if rows < 2:
        raise ValueError(f"n_resamples must be at least 1, got {rows - 1}.")
    signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=(rows, columns))
    signs[0] = 1.0
    return signs


def all_signs(columns: int) -> Floats:
    """Every sign vector that starts with +1, (2^(columns - 1), columns); the others are their negatives."""
    bits = np.arange(2 ** (columns - 1))[:, None] >> np.arange(columns - 1)[None, :] & 1
    return np.hstack([np.ones((len(bits), 1)), 1.0 - 2.0 * bits])


def _all_sums(parts: Floats) -> Floats:
    sums = np.zeros(1)
    for part in parts:
        sums = np.concatenate([sums + part, sums - part])
    return sums


def _drawn_sums(parts: Floats, n_resamples: int, seed: int) -> Floats:
    return _kept_signs(n_resamples + 1, len(parts), seed) @ parts


@lru_cache(maxsize=1)  # the entries of a summary are all flipped alike
def _kept_signs(rows: int, columns: int, seed: int) -> Floats:
    signs = draw_signs(rows, columns, seed)
    signs.flags.writeable = False
    return signs
