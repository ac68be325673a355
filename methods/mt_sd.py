"""MT+SD: mean teacher with distillation from an image net, the baseline of VideoSSL's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from datasets.types import Batch, Recipe
from methods import losses, ramps, recipes
from methods.base import Progress, Source
from methods.config import Choices, Decay, Probability, Share, Weight
from methods.videossl import VideoSSL


class MeanTeacherDistilled(VideoSSL):
    """L = L_s + λ w(t) mean_{i,c} (softmax z(x_1) - sg softmax z_T(x_2))² + λ_d mean_U H(π, g(x_1)).

    Two weak views; π and g as in VideoSSL.  The tables give this row a name and no definition: that it adds
    the two losses is what its name says (default to be confirmed).
    """

    name = "mt_sd"
    source = Source(
        "Mean teacher with single-image distillation, a baseline in: VideoSSL: Semi-Supervised Learning for "
        "Video Classification",
        "WACV",
        2021,
        "https://arxiv.org/abs/2003.00197",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(VideoSSL.Config):
        """λ, ramp and decay are those of mean teacher here; λ_d as in VideoSSL.  `threshold` is not used."""

        threshold: Probability = 0.8  # without VideoSSL's tuning range: a search would be wasted
        unlabeled_weight: Annotated[Weight, Choices((5.0, 10.0, 25.0, 50.0))] = 50.0
        ramp: Share = 0.4
        ema_decay: Decay = 0.999

    config: Config

    def recipe(self) -> Recipe:
        """Two weak views: `weak` for the teacher, `weak2` for the student."""
        return recipes.two_weak(self.sampler())

    @property
    def trained_view(self) -> str:
        """The student's view."""
        return "weak2"

    def agreement(self, logits: Tensor, batch: Batch, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """Consistency with the teacher's prediction of the other view."""
        with torch.no_grad():
            target = losses.probabilities(self.teacher(batch.unlabeled["weak"]))
        weight = self.config.unlabeled_weight * ramps.linear(progress.semi_fraction, self.config.ramp)
        term = weight * losses.consistency(logits, target)
        return term, target.argmax(1), torch.ones_like(target[:, 0])
