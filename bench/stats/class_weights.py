"""Clip weights that turn an average over clips into the mean of the per-class accuracies."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.stats.checks import Floats, codes


def weights_mean_per_class(labels: Sequence[Hashable] | NDArray[np.integer]) -> Floats:
    """Weights 1 / (K m_class) of the clips of each class; they sum to 1.

    K counts the classes that have test clips: a class without any has no accuracy to average.

    Args:
        labels: (clips,) true class of each test clip, numbers or names.

    Raises:
        ValueError: if there is no clip or a label is missing.
    """
    classes = codes(labels, len(labels), "labels")
    if classes.size == 0:
        raise ValueError("labels is empty: there is no clip to weight.")
    sizes = np.bincount(classes)
    return np.asarray(1.0 / (len(sizes) * sizes[classes]), dtype=np.float64)
