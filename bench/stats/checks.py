"""What the statistics accept: arrays without holes, of the stated shape; all else is refused by name."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


def finite_array(values: ArrayLike, name: str, axes: tuple[str, ...]) -> Floats:
    """A float64 array with one non-empty axis per name in `axes` and no NaN or infinity.

    Raises:
        ValueError: for anything else.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers of shape ({', '.join(axes)}): {error}.") from error
    if array.ndim != len(axes) or array.size == 0:
        raise ValueError(f"{name} must be a non-empty array ({', '.join(axes)}), got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; a missing score is not a number to average over.")
    return array


def correctness(values: ArrayLike, name: str, axes: tuple[str, ...]) -> Floats:
    """A 0/1 array as float64: one entry per axis position, 1 where the clip was classified correctly.

    Raises:
        ValueError: if an entry is not boolean, 0 or 1, or the shape is wrong.
    """
    array = finite_array(values, name, axes)
    if getattr(values, "dtype", None) == np.bool_:
        return array
    if not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name} must hold only True/False or 1/0 (correct or not per clip).")
    return array


def codes(labels: Iterable[Hashable], size: int, name: str) -> Codes:
    """Labels of any hashable kind as integers 0..G-1, by first appearance.

    Raises:
        ValueError: if there are not `size` labels, or one is None or NaN.
    """
    seen: dict[Hashable, int] = {}
    out: list[int] = []
    for label in labels:
        missing = label is None or (isinstance(label, float | np.floating) and np.isnan(label))
        if missing:
            raise ValueError(f"{name} holds a missing label (None or NaN) at position {len(out)}.")
        out.append(seen.setdefault(label, len(seen)))
    if len(out) != size:
        raise ValueError(f"{name} must give one label for each of {size} entries, got {len(out)}.")
    return np.asarray(out, dtype=np.intp)


def probability(value: float, name: str) -> float:
    """A number strictly between 0 and 1.

    Raises:
        ValueError: if it is not.
    """
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}.")
    return float(value)
