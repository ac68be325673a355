"""What pages and figures show beside the boards: answers class by class, and curves over training.

Everything comes from stored predictions and metrics logs.  Single classes and steps are described, never
tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.board import Board, Row
from bench.metrics import confusion
from bench.training_log import TrainingLog

Floats = NDArray[np.float64]
BINS = 50
"""Points of a curve: single steps are noisy, and a page holds many curves."""

CURVES = {
    "loss": "loss on labeled clips",
    "other": "loss on unlabeled clips (weighted)",
    "coverage": "share of unlabeled clips used",
    "precision": "share of used pseudo-labels that are right",
}
"""Name of a curve -> what it shows."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity over training: `step`, and over the seeds `mean`, `low` and `high`, all (points,)."""

    step: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Details:
    """What is known of one row beyond its accuracy.

    Attributes:
        confusion: (classes, classes + 1) counts [true, answered] over all its used seeds, the last column
            for clips that were not decoded; None without predictions.
        curves: by the names of `CURVES`, as far as its trials logged them.
    """

    confusion: NDArray[np.int64] | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)

    @property
    def per_class(self) -> Floats | None:
        """(classes,) share of right answers; NaN for a class without test clips."""
        if self.confusion is None:
            return None
        clips = self.confusion.sum(1)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.diagonal(self.confusion) / clips, dtype=np.float64)


def loss_range(curves: Sequence[Curve], decades: int = 4) -> tuple[float, float]:
    """Powers of ten around the means and highest values of losses, at most so many of them.

    The lowest values are left out: one seed whose loss comes near 0 would squeeze all others.
    """
    highest = max((float(curve.high.max()) for curve in curves), default=0.0)
    means = np.concatenate([curve.mean for curve in curves]) if curves else np.zeros(0)
    lowest = float(means[means > 0].min()) if (means > 0).any() else highest
    if highest <= 0:
        return 0.1, 1.0
    top = math.ceil(math.log10(highest) - 1e-9)
    bottom = min(max(math.floor(math.log10(lowest) + 1e-9), top - decades), top - 1)
    return 10.0**bottom, 10.0**top


def decades(low: float, high: float) -> list[float]:
    """The powers of ten from `low` to `high`, both of which are such."""
    first, last = (round(math.log10(end)) for end in (low, high))
    return [float(f"1e{power}") for power in range(first, last + 1)]


def details(board: Board) -> dict[str, Details]:
    """By entry label, for all rows of a board."""
    return {row.entry.label: Details(_confusion(row), _curves(row)) for row in board.rows}


def class_sizes(board: Board, classes: int) -> list[int]:
    """(classes,) number of test clips."""
    if board.scored is None:
        return [0] * classes
    return [int(n) for n in np.bincount(board.scored.labels, minlength=classes)]


def frequent_confusions(counts: NDArray[np.int64], most: int) -> list[tuple[int, int, float]]:
    """(true, answered, share of the true class's clips), the largest shares first, right answers left out."""
    classes = len(counts)
    clips = np.maximum(counts.sum(1, keepdims=True), 1)
    shares = (counts / clips)[:, :classes].copy()
    np.fill_diagonal(shares, 0.0)
    order = np.argsort(-shares, axis=None, kind="stable")[:most]
    found = [(int(k // classes), int(k % classes)) for k in order]
    return [
        (true, answered, float(shares[true, answered])) for true, answered in found if shares[true, answered]
    ]


def _confusion(row: Row) -> NDArray[np.int64] | None:
    """Summed over the seeds that stand behind the row's mean."""
    total: NDArray[np.int64] | None = None
    classes = max((record.classes for record in row.records), default=0)
    for record in row.records:
        if record.scored is None or record.predicted is None or record.planned.seed not in row.used:
            continue
        mine = confusion(record.scored.labels, record.predicted.astype(np.int64), classes)
        total = mine if total is None else total + mine
    return total


def _curves(row: Row) -> dict[str, Curve]:
    logs = [log for record in row.records if (log := record.log) is not None and len(log.step)]
    found = {name: _curve(logs, series) for name, series in _SERIES.items()}
    return {name: curve for name, curve in found.items() if curve is not None}


Series = Callable[[TrainingLog], tuple[Floats, Floats]]
"""Values of a log, and the weight of each; NaN values count for nothing."""


def _labeled_loss(log: TrainingLog) -> tuple[Floats, Floats]:
    return log.values("loss/supervised"), np.ones(len(log.step))


def _other_loss(log: TrainingLog) -> tuple[Floats, Floats]:
    others = [values for name, values in log.series.items() if _is_other_loss(name)]
    total = np.full(len(log.step), np.nan)
    if others:
        logged = ~np.all(np.isnan(others), axis=0)
        total[logged] = np.nansum(others, axis=0)[logged]
    return total, np.ones(len(log.step))


def _is_other_loss(name: str) -> bool:
    return name.startswith("loss/") and name != "loss/supervised"


def _coverage(log: TrainingLog) -> tuple[Floats, Floats]:
    return log.values("pseudo/used"), np.ones(len(log.step))


def _precision(log: TrainingLog) -> tuple[Floats, Floats]:
    """Weighted as a step's used clips are, so that a bin is the precision of all of them together."""
    return log.values("pseudo/precision"), np.nan_to_num(log.values("pseudo/weight"))


_SERIES: dict[str, Series] = {
    "loss": _labeled_loss,
    "other": _other_loss,
    "coverage": _coverage,
    "precision": _precision,
}


def _curve(logs: Sequence[TrainingLog], series: Series) -> Curve | None:
    """Mean and range over the seeds of the means in `BINS` bins of steps; empty bins are no points."""
    last = max((int(log.step[-1]) for log in logs), default=-1)
    if last < 0:
        return None
    bins = min(BINS, last + 1)
    per_seed = np.stack([_binned(log, series, last, bins) for log in logs])
    known = ~np.all(np.isnan(per_seed), axis=0)
    if not known.any():
        return None
    middle = (np.arange(bins) + 0.5) * (last + 1) / bins
    values = per_seed[:, known]
    return Curve(middle[known], np.nanmean(values, 0), np.nanmin(values, 0), np.nanmax(values, 0))


def _binned(log: TrainingLog, series: Series, last: int, bins: int) -> Floats:
    values, weights = series(log)
    use = ~np.isnan(values) & (weights > 0)
    place = log.step[use] * bins // (last + 1)
    total = np.bincount(place, weights=weights[use], minlength=bins)
    summed = np.bincount(place, weights=weights[use] * values[use], minlength=bins)
    with np.errstate(invalid="ignore"):
        return np.asarray(summed / total, dtype=np.float64)
