"""The metrics of a trial, computed from its stored predictions and from nothing else.  Pure functions.

A clip that no decoder could read counts as wrong in everything that counts clips.  Calibration and
likelihood need a probability, so they are about the decoded clips.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.predictions import Predictions

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BINS = 15
"""Of equal width, as in Guo et al. (ICML 2017)."""

MEANING = {
    "top1": "share of test clips whose answer is right",
    "top5": "share of test clips with the true class among the five best answers",
    "mean_class": "mean of the accuracies of the classes, FineGym's convention: small classes count as much",
    "macro_f1": "mean over classes of the harmonic mean of precision and recall",
    "ece": "expected calibration error: mean gap between stated probability and accuracy; lower is better",
    "nll": "mean negative log-likelihood of the true class, in nats; lower is better",
}
"""Every metric and what it says."""

LOWER_IS_BETTER = ("ece", "nll")


def all_metrics(found: Predictions, classes: int) -> dict[str, float]:
    """Every metric of `MEANING`; NaN for calibration and likelihood where no clip was decoded.

    Args:
        found: the predictions.
        classes: number of classes of the task.
    """
    read = found.decoded
    return {
        "top1": float(found.correct.mean()),
        "top5": top_k(found.rank, min(5, classes)),
        "mean_class": mean_class(found.label, found.predicted),
        "macro_f1": macro_f1(found.label, found.predicted),
        "ece": calibration_error(found.confidence[read], found.correct[read]),
        "nll": float(found.nll[read].mean()) if read.any() else math.nan,
    }


def top_k(rank: Ints, k: int) -> float:
    """Share of clips whose true class is among the k best answers; ties count against the model."""
    return float((rank < k).mean())


def per_class_accuracy(label: Ints, predicted: Ints, classes: int) -> Floats:
    """(classes,) accuracy of each class; NaN where it has no test clip."""
    clips = np.bincount(label, minlength=classes)
    right = np.bincount(label[label == predicted], minlength=classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(right / clips, dtype=np.float64)


def mean_class(label: Ints, predicted: Ints) -> float:
    """Mean of the accuracies of the classes that have test clips."""
    return float(np.nanmean(per_class_accuracy(label, predicted, int(label.max()) + 1)))


def macro_f1(label: Ints, predicted: Ints) -> float:
    """Mean of F1 = 2 hits / (true + predicted) over the classes that have test clips."""
    classes = int(max(label.max(), predicted.max())) + 1
    true = np.bincount(label, minlength=classes)
    answered = np.bincount(predicted[predicted >= 0], minlength=classes)
    hits = np.bincount(label[label == predicted], minlength=classes)
    present = true > 0
    return float((2 * hits[present] / (true + answered)[present]).mean())


def calibration_error(confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width (Guo et al., ICML 2017); NaN without clips.

    The gap |accuracy - mean confidence| of each bin, weighted by its share of clips, so it is
    |sum of (correct - confidence)| over the bins, divided by the number of clips.
    """
    if len(confidence) == 0:
        return math.nan
    place = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    gaps = np.bincount(place, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def confusion(label: Ints, predicted: Ints, classes: int) -> Ints:
    """(classes, classes + 1) counts [true, answered]; the last column holds clips that were not decoded.

    Raises:
        ValueError: for a class that the task does not have.
    """
    highest = int(max(label.max(), predicted.max()))
    if highest >= classes:
        raise ValueError(f"class {highest} occurs, but the task has {classes} classes (0 to {classes - 1}).")
    answered = np.where(predicted < 0, classes, predicted)
    counts = np.bincount(label * (classes + 1) + answered, minlength=classes * (classes + 1))
    return np.asarray(counts.reshape(classes, classes + 1), dtype=np.int64)
