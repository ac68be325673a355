"""Predictions of a model on named clips, and the metrics that follow from predictions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from datasets.types import ClipRef
from datasets.views import FrameStore, ViewSettings, evaluation_clips
from methods.base import Method


class DivergedError(Exception):
    """A loss or a prediction became NaN or infinite; the trial is over, the others go on."""


UNDECODABLE = -1
"""Predicted class of a clip that no decoder reads: always wrong."""


@torch.no_grad()
def logits_of(
    method: Method,
    model: nn.Module,
    store: FrameStore,
    keys: Sequence[str],
    settings: ViewSettings,
    batch: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """(len(keys), classes) logits on the deterministic test views.

    Raises:
        DivergedError: when they are not finite; NaN has no rank, and an argmax of NaN is class 0.
    """
    model.eval()
    views = evaluation_clips(store, keys, method.sampler(), settings, batch, device)
    parts = [method.predict(clip, model).float().cpu() for clip in views]
    if not all(bool(part.isfinite().all()) for part in parts):
        raise DivergedError(f"the evaluated model of method '{method.name}' predicts NaN or infinity.")
    return torch.cat(parts).numpy() if parts else np.empty((0, method.task.classes), np.float32)


def prediction_table(
    clips: Sequence[ClipRef], logits: NDArray[np.float32], decoded: Sequence[str], errors: Mapping[str, str]
) -> pd.DataFrame:
    """One row per listed clip, in list order; undecodable ones are wrong, with their reason.

    Args:
        clips: all clips of the split.
        logits: (n, C) of the clips in `decoded`.
        decoded: keys of the clips that were evaluated, in the order of `logits`.
        errors: why the others were not.

    Returns:
        Columns clip, label, group, predicted, rank (0 = right), nll (nats), confidence, error.
    """
    classes = logits.shape[1]
    row_of = {key: i for i, key in enumerate(decoded)}
    log_p = logits.astype(np.float64)
    log_p = log_p - log_p.max(1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
    rows = []
    for clip in clips:
        i = row_of.get(clip.key)
        if i is None:
            reason = errors.get(clip.key, "not decoded")
            rows.append((clip.key, clip.label, clip.group, UNDECODABLE, classes, np.nan, np.nan, reason))
            continue
        mine = log_p[i]
        predicted = int(mine.argmax())
        # Ties count against the model: the true class ranks behind every class that scores as much.
        rank = int((mine >= mine[clip.label]).sum()) - 1 if predicted != clip.label else 0
        confidence = float(np.exp(mine[predicted]))
        rows.append((clip.key, clip.label, clip.group, predicted, rank, -mine[clip.label], confidence, ""))
    names = ["clip", "label", "group", "predicted", "rank", "nll", "confidence", "error"]
    return pd.DataFrame(rows, columns=names)


def metrics(table: pd.DataFrame, classes: int) -> dict[str, float]:
    """Accuracy and calibration from a prediction table; undecodable clips count as wrong.

    Returns:
        top1, top5, mean_class (mean over the classes that have clips), macro_f1, ece (15 bins), nll
        (decoded clips), evaluated and listed (numbers of clips).
    """
    correct = (table["predicted"] == table["label"]).to_numpy()
    label, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    present = np.unique(label)
    recall = [correct[label == c].mean() for c in present]
    f1 = []
    for c in present:
        hit = int((correct & (label == c)).sum())
        total = int((label == c).sum() + (predicted == c).sum())
        f1.append(2 * hit / total)
    decoded = table[table["error"] == ""]
    return {
        "top1": float(correct.mean()),
        "top5": float((table["rank"] < min(5, classes)).mean()),
        "mean_class": float(np.mean(recall)),
        "macro_f1": float(np.mean(f1)),
        "ece": calibration_error(
            decoded["confidence"].to_numpy(), (decoded["predicted"] == decoded["label"]).to_numpy()
        ),
        "nll": float(decoded["nll"].mean()) if len(decoded) else float("nan"),
        "evaluated": float(len(decoded)),
        "listed": float(len(table)),
    }


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error over bins of equal width (Guo et al., ICML 2017)."""
    if len(confidence) == 0:
        return float("nan")
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(correct[bin_of == b].mean() - confidence[bin_of == b].mean()) * (bin_of == b).mean()
        for b in np.unique(bin_of)
    ]
    return float(np.sum(gaps))


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Writes the table as Parquet."""
    table.to_parquet(path, index=False)


def read_predictions(path: Path) -> pd.DataFrame:
    """Reads what `write_predictions` wrote."""
    return pd.read_parquet(path)
