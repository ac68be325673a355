"""SequenceMatch: FlexMatch plus consistency along a sequence of weak, medium and strong views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch.nn.functional as F
from torch import Tensor

from datasets.types import Recipe, View
from methods import losses
from methods.base import Source
from methods.config import Choices, Positive
from methods.flexmatch import FlexMatch
from methods.sharpening import sharpen
from methods.weak_strong import Seen


def divergence(target: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """mean_U weight · KL(target ‖ softmax logits).

    Args:
        target: (U, C) distributions without gradient.
        logits: (U, C).
        weight: (U,) without gradient.
    """
    log_probs = F.log_softmax(logits, 1, dtype=target.dtype)
    return (F.kl_div(log_probs, target, reduction="none").sum(1) * weight).mean()


class SequenceMatch(FlexMatch):
    """L = FlexMatch's + λ_u [KL(t_w ‖ p_m) + KL(t_m ‖ p_s) + KL(t_w ‖ p_s)], t = sg softmax(z / T).

    There is one softmax: a public code base applies it to probabilities, whose targets are nearly flat.
    All three terms have the mask of FlexMatch, as in that code; the paper's abstract speaks of different
    constraints for confident and unconfident predictions (default to be confirmed).

    The medium view of the paper has one RandAugment operation where the strong one has three.  Suites
    always have the augmentations `weak` and `strong`, so the medium view is by default a second weak one
    with frames and crop of its own; `medium_view: medium` takes the suite's `medium` where it defines one.
    """

    name = "sequencematch"
    source = Source(
        "SequenceMatch: Revisiting the design of weak-strong augmentations for Semi-supervised learning",
        "WACV",
        2024,
        "https://arxiv.org/abs/2310.15787",
    )
    student_views = ("strong", "medium")

    @dataclass(frozen=True, kw_only=True)
    class Config(FlexMatch.Config):
        """τ = 0.95, λ_u = 1 and T = 0.5 are USB's configs."""

        temperature: Annotated[Positive, Choices((0.4, 0.5, 0.7, 1.0))] = 0.5
        medium_view: Literal["weak", "medium", "strong"] = "weak"

    config: Config

    def recipe(self) -> Recipe:
        """The usual views and a medium one of each unlabeled clip."""
        usual = super().recipe()
        medium = View(self.sampler(), self.config.medium_view, draw=2)
        return Recipe(labeled=usual.labeled, unlabeled={**usual.unlabeled, "medium": medium})

    def further_losses(self, seen: Seen) -> dict[str, Tensor]:
        """The three terms of consistency."""
        strong, medium, weight = seen.logits["strong"], seen.logits["medium"], seen.weight
        factor, temperature = self.config.unlabeled_weight, self.config.temperature
        from_weak = sharpen(seen.probs, temperature)
        from_medium = sharpen(losses.probabilities(medium.detach()), temperature)
        return {
            "medium_from_weak": factor * divergence(from_weak, medium, weight),
            "strong_from_medium": factor * divergence(from_medium, strong, weight),
            "strong_from_weak": factor * divergence(from_weak, strong, weight),
        }
