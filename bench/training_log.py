"""The metrics log of a trial: loss terms, and how many pseudo-labels were used and were right."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import UserError

Floats = NDArray[np.float64]
LATE = 0.1
"""The last tenth of the logged steps stands for the end of training: single steps are noisy."""


@dataclass(frozen=True, eq=False)
class TrainingLog:
    """The logged steps of one trial.

    Attributes:
        step: (lines,) optimizer step of each line, rising.
        series: (lines,) values by name, as the trial logged them (`lr`, `loss/NAME`, `pseudo/used`,
            `pseudo/weight`, `pseudo/precision`, `pseudo/accuracy`); NaN where a line lacks one.
    """

    step: NDArray[np.int64]
    series: dict[str, Floats]

    def values(self, name: str) -> Floats:
        """A series, all NaN where it was never logged."""
        return self.series.get(name, np.full(len(self.step), np.nan))


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo-labels over the logged steps on which a method made any; None without such a step.

    Attributes:
        coverage: mean share of the unlabeled clips that were used (weight above 0).
        weight: mean weight of an unlabeled clip.
        precision: share of right pseudo-labels among the used ones, by weight, against labels that the
            method never saw; None where nothing was used or no label is known.
        accuracy: share of right pseudo-labels, used or not.
        late_coverage: `coverage` at the end of training.
        late_precision: `precision` at the end of training.
    """

    coverage: float | None
    weight: float | None
    precision: float | None
    accuracy: float | None
    late_coverage: float | None
    late_precision: float | None


def read_log(path: Path) -> TrainingLog:
    """Reads a metrics log.

    Raises:
        UserError: naming file and line, for what is no log line or steps that do not rise.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); delete the trial's folder and run the same command "
            "again."
        ) from error
    lines = _at_once(text)
    if lines is None:
        lines = _one_by_one(text, path)
    names = dict.fromkeys(name for line in lines for name in line if name != "step")
    series = {
        name: np.array([line.get(name, math.nan) for line in lines], dtype=np.float64) for name in names
    }
    return TrainingLog(np.array([line["step"] for line in lines], dtype=np.int64), series)


def _at_once(text: str) -> list[dict[str, Any]] | None:
    """All lines in one go, since reports read thousands of logs; None where anything is wrong with them."""
    texts = text.splitlines()
    try:
        lines = json.loads(f"[{','.join(texts)}]")
        steps = [line["step"] for line in lines]
        kinds: set[type] = set().union(*(map(type, line.values()) for line in lines))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    whole = len(lines) == len(texts) and set(map(type, steps)) <= {int} and kinds <= {int, float}
    return lines if whole and all(map(operator.lt, steps, steps[1:])) else None


def _one_by_one(text: str, path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _line(line)
        if found is None or (lines and found["step"] <= lines[-1]["step"]):
            what = "is no line of a metrics log" if found is None else f"goes back to step {found['step']}"
            raise UserError(
                f"{path}:{number}: {what}; delete the trial's folder and run the same command again."
            )
        lines.append(found)
    return lines


def _line(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("step"), int):
        return None
    numbers = all(isinstance(value, int | float) for value in found.values())
    return found if numbers else None


def pseudo_labels(log: TrainingLog) -> PseudoLabels:
    """How the pseudo-labels of a training were."""
    used, weight = log.values("pseudo/used"), log.values("pseudo/weight")
    precision, accuracy = log.values("pseudo/precision"), log.values("pseudo/accuracy")
    made = np.flatnonzero(~np.isnan(used))
    late = made[len(made) - math.ceil(LATE * len(made)) :]
    return PseudoLabels(
        coverage=_mean(used[made]),
        weight=_mean(weight[made]),
        precision=_weighted(precision[made], weight[made]),
        accuracy=_mean(accuracy[made]),
        late_coverage=_mean(used[late]),
        late_precision=_weighted(precision[late], weight[late]),
    )


def mean_of(values: Sequence[float | None]) -> float | None:
    """Mean of the known values, None where none is known."""
    return _mean(np.array([value for value in values if value is not None], dtype=np.float64))


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _weighted(values: Floats, weights: Floats) -> float | None:
    """Mean by weight; steps on which nothing was used (no value) count for nothing."""
    known = ~np.isnan(values) & (weights > 0)
    if not known.any():
        return None
    return float(values[known] @ weights[known] / weights[known].sum())
