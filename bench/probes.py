"""Probes: how well a simple classifier on frozen features tells the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.feature_files import Features
from datasets.errors import UserError

Probe = Literal["linear", "knn"]
PROBES: tuple[Probe, ...] = get_args(Probe)
Clips = Literal["labeled", "train"]
NEIGHBORS = 5
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """Accuracy of a probe on test clips (fractions), and how many clips it was fitted on and scored on."""

    probe: str
    top1: float
    mean_class: float
    fitted: int
    scored: int


def class_probabilities(
    probe: Probe, train: NDArray[np.float32], label: Ints, test: NDArray[np.float32], classes: int
) -> Floats:
    """Fits a probe and predicts.

    `linear`: logistic regression on centered features, divided by one deviation for all, L2 weight 1.  `knn`:
    the nearest clips by cosine, nearer ones counting more.

    Args:
        probe: which one.
        train: (n, D).
        label: (n,) in [0, classes).
        test: (m, D).
        classes: C; classes without a training clip get probability 0.

    Returns:
        (m, C).
    """
    model = _FITTED[probe](train, label)
    found = np.zeros((len(test), classes))
    found[:, model.classes_] = model.predict_proba(test)
    return found


def _linear(x: NDArray[np.float32], label: Ints) -> Any:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  # takes a second to import
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import FunctionTransformer  # noqa: PLC0415

    center = x.mean(0, dtype=np.float64)
    scale = float((x - center).std()) or 1.0  # one for all: by itself, a feature that says nothing would grow

    def scaled(values: NDArray[np.float32]) -> Floats:
        return np.asarray((values - center) / scale, np.float64)

    return make_pipeline(FunctionTransformer(scaled), LogisticRegression(max_iter=2000)).fit(x, label)


def _knn(x: NDArray[np.float32], label: Ints) -> Any:
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415

    count = min(NEIGHBORS, len(x))
    return KNeighborsClassifier(count, weights="distance", metric="cosine").fit(x.astype(np.float64), label)


_FITTED: dict[Probe, Callable[..., Any]] = {"linear": _linear, "knn": _knn}


def fit_rows(features: Features, clips: Clips) -> NDArray[np.bool_]:
    """The clips that a probe is fitted on: those whose label the trial knew, or all of the training list.

    Raises:
        UserError: when there are none, or all are of one class.
    """
    index = features.index
    known = index["label"] >= 0
    chosen = known & (index["labeled"] if clips == "labeled" else index["role"] == "train")
    rows: NDArray[np.bool_] = (chosen & (index["role"] != "test")).to_numpy(copy=True)
    if len(set(index.loc[rows, "label"])) < 2:
        other = (
            "; its own labels are those of another data set: use --fit train" if clips == "labeled" else ""
        )
        raise UserError(
            f"there are {int(rows.sum())} clips to fit a probe on (--fit {clips}), of fewer than two "
            f"classes{other}."
        )
    return rows


def evaluate(features: Features, name: str, probe: Probe, clips: Clips) -> Score:
    """Accuracy of a probe on the test clips.

    Raises:
        UserError: see `fit_rows`, `Features.named`; when no test clip has a label.
    """
    index, x = features.index, features.named(name)
    fit = fit_rows(features, clips)
    test = ((index["role"] == "test") & (index["label"] >= 0)).to_numpy()
    if not test.any():
        raise UserError("these features have no test clips with labels to score a probe on.")
    label = index["label"].to_numpy(np.int64)
    probs = class_probabilities(probe, x[fit], label[fit], x[test], int(label.max()) + 1)
    right = probs.argmax(1) == label[test]
    recall = [float(right[label[test] == c].mean()) for c in np.unique(label[test])]
    return Score(probe, float(right.mean()), float(np.mean(recall)), int(fit.sum()), int(test.sum()))
