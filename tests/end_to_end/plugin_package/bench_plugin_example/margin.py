"""A method: clips whose two likeliest classes lie far apart train the strong view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.types import Batch
from methods import losses
from methods.base import Method, Progress, Source, Step, joint
from methods.config import Probability, Weight


def margin(probs: Tensor) -> Tensor:
    """First minus second largest probability of each sample, (U, C) -> (U,)."""
    first, second = probs.topk(2, 1).values.unbind(1)
    return first - second


class Margin(Method):
    """L = L_s + λ mean_U 1[margin(p_w) ≥ m] H(argmax p_w, z_s)."""

    name = "margin"
    source = Source("An example of a plugin", "-", 2026, "https://example.org/margin")

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        least: Probability = 0.1
        unlabeled_weight: Weight = 1.0

    config: Config

    def step(self, batch: Batch, progress: Progress) -> Step:
        with torch.no_grad():
            probs = losses.probabilities(self.student(batch.unlabeled["weak"]))
        weight = (margin(probs) >= self.config.least).to(probs.dtype)
        label = probs.argmax(1)
        labeled, strong = joint(self.student, batch.labeled["labeled"], batch.unlabeled["strong"])
        return Step(
            {
                "supervised": losses.supervised(labeled, batch.label),
                "unsupervised": self.config.unlabeled_weight * losses.pseudo_label(strong, label, weight),
            },
            pseudo_label=label,
            weight=weight,
        )
