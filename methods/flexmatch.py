"""FlexMatch: FixMatch whose threshold is lower for classes that are learnt less."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.base import Source
from methods.fixmatch import FixMatch
from methods.thresholding import Thresholding

UNUSED = -1
"""The mark of a clip whose prediction has not yet been confident."""


def learning_status(picked: Tensor, classes: int, warm: bool) -> Tensor:
    """β_c = σ_c / max_c σ_c, σ_c the clips whose last confident prediction was c (FlexMatch, section 3).

    Args:
        picked: (N_u,) last confident class of every unlabeled clip, -1 where there was none.
        classes: C.
        warm: divide by the number of clips without one where that is larger, so that thresholds start low
            for all classes while most clips are unused.

    Returns:
        (C,) float32 in [0, 1]; zeros while no clip was confident.
    """
    counts = torch.bincount(picked + 1, minlength=classes + 1)
    largest = counts.amax() if warm else counts[1:].amax()
    return counts[1:] / largest.clamp(min=1)


def flexible_threshold(threshold: float, status: Tensor) -> Tensor:
    """(C,) thresholds τ β / (2 - β): the convex mapping (FlexMatch) of the (C,) learning status."""
    return threshold * status / (2 - status)


class FlexMatchThreshold(nn.Module):
    """Weight 1 from the threshold of the predicted class on (curriculum pseudo-labeling).

    The thresholds are those from before the batch; in the very first one they are 0, so every clip passes.
    """

    picked: Tensor

    def __init__(self, classes: int, unlabeled: int, threshold: float, warm: bool) -> None:
        super().__init__()
        self.classes = classes
        self.threshold = threshold
        self.warm = warm
        self.register_buffer("picked", torch.full((unlabeled,), UNUSED))

    def thresholds(self, dtype: torch.dtype) -> Tensor:
        """(C,) thresholds of now."""
        return flexible_threshold(
            self.threshold, learning_status(self.picked, self.classes, self.warm).to(dtype)
        )

    @torch.no_grad()
    def forward(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """(U,) weights, 0 or 1; remembers the confident predictions afterwards."""
        confidence, label = probs.max(1)
        weight = (confidence >= self.thresholds(probs.dtype)[label]).to(probs.dtype)
        confident = confidence >= self.threshold
        self.picked[index[confident]] = label[confident]
        return weight


class FlexMatch(FixMatch):
    """FixMatch with M = [max p_w ≥ τ β_ŷ / (2 - β_ŷ)], β the learning status of the predicted class."""

    name = "flexmatch"
    source = Source(
        "FlexMatch: Boosting Semi-Supervised Learning with Curriculum Pseudo Labeling",
        "NeurIPS",
        2021,
        "https://arxiv.org/abs/2110.08263",
    )
    separable = False  # a batch is judged by thresholds that the one before has moved

    @dataclass(frozen=True, kw_only=True)
    class Config(FixMatch.Config):
        """τ = 0.95 and `threshold_warmup` are USB's configs."""

        threshold_warmup: bool = True

    config: Config

    def build_thresholding(self) -> Thresholding:
        """Thresholds per class; they remember one class per unlabeled clip."""
        config, task = self.config, self.task
        return FlexMatchThreshold(task.classes, task.unlabeled, config.threshold, config.threshold_warmup)
