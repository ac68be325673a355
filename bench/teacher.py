"""How far a trained teacher can be trusted: its confidence and fluctuation on unlabeled clips, and the truth.

A method offers this by a method of its own, `teacher_predictions(weak, progress) -> (K, U, C)`, the
probabilities of K stochastic passes.  The trial asks once, after training, so that no number depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bench.experiment import Scene
from bench.spec import TrialSpec
from bench.train import warmup_steps
from datasets.draws import derive
from datasets.errors import UserError
from datasets.types import Clip
from datasets.views import evaluation_clips
from methods.base import Method, Progress
from methods.draws import Draws

FILE = "teacher.parquet"
COLUMNS = ("clip", "label", "predicted", "confidence", "deviation")
MOST = 2000
"""Clips that are looked at, the first of the unlabeled ones in their random order."""


@torch.no_grad()
def look(spec: TrialSpec, scene: Scene, method: Method) -> pd.DataFrame | None:
    """The teacher's predictions of unlabeled clips, beside their hidden labels.

    Returns:
        One row per clip: its key, label (-1: unknown), predicted class, mean probability of that class over
        the passes and its unbiased standard deviation (NaN for a single pass); None for a method that does
        not offer them, or without unlabeled clips.
    """
    hook: Callable[[Clip, Progress], Tensor] | None = getattr(method, "teacher_predictions", None)
    clips = scene.split.unlabeled[:MOST]
    if hook is None or not clips:
        return None
    method.eval()
    steps = spec.protocol.steps
    keys = [clip.key for clip in clips]
    batch = spec.protocol.evaluation.batch
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    torch.manual_seed(derive(spec.seed, "torch/teacher") >> 1)
    views = evaluation_clips(scene.cache, keys, method.sampler(), scene.settings, batch, scene.device)
    for number, clip in enumerate(views):
        progress = Progress(
            step=steps,
            total_steps=steps,
            warmup_steps=warmup_steps(method, steps),
            draws=Draws(spec.seed, steps * spec.protocol.batch.accumulate + number),
        )
        passes = hook(clip, progress).float()
        confidence, predicted = passes.mean(0).max(1)
        spread = passes.std(0) if len(passes) > 1 else torch.full_like(passes[0], float("nan"))
        parts.append((predicted, confidence, spread.gather(1, predicted[:, None])[:, 0]))
    told = (torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True))
    columns = (keys, [clip.label for clip in clips], *told)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def read(path: Path) -> pd.DataFrame | None:
    """The table of a trial folder, clips of unknown label left out; None where it has none.

    Raises:
        UserError: for a damaged file.
    """
    file = path / FILE
    if not file.is_file():
        return None
    try:
        table = pd.read_parquet(file, columns=list(COLUMNS))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{file}: cannot be read ({error}); delete the trial's folder and run the same command again."
        ) from error
    return table[table["label"] >= 0]


def accuracy_by(table: pd.DataFrame, column: str, width: float, most: float) -> pd.DataFrame:
    """Accuracy of predictions by bins of their confidence or deviation.

    Args:
        table: rows of one or several trials.
        column: `confidence` or `deviation`.
        width: of a bin.
        most: what lies at or above it is in the last bin.

    Returns:
        middle, accuracy, clips of every bin that has clips.
    """
    values = table[column].to_numpy(np.float64)
    known = ~np.isnan(values)
    last = round(most / width) - 1
    # Rounded first: 0.3 / 0.1 is a little less than 3.
    bins = np.minimum(np.floor(np.round(values[known] / width, 9)).astype(int), last)
    right = (table["predicted"] == table["label"]).to_numpy()[known]
    grouped = pd.DataFrame({"bin": bins, "right": right}).groupby("bin")["right"].agg(["mean", "size"])
    return pd.DataFrame(
        {
            "middle": (grouped.index.to_numpy() + 0.5) * width,
            "accuracy": grouped["mean"].to_numpy(np.float64),
            "clips": grouped["size"].to_numpy(np.int64),
        }
    )
