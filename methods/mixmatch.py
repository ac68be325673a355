"""MixMatch: guessed labels are averaged, sharpened, and mixed with true ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from datasets.types import Batch, Recipe
from methods import losses, ramps, recipes, soft_losses
from methods.base import Method, Progress, Source, Step, joint
from methods.config import Choices, Positive, Share, Weight
from methods.mixup import mixed_pass
from methods.passes import frozen_statistics
from methods.sharpening import sharpen


class MixMatch(Method):
    """L = mean_B H(t, z) + λ w(t) mean_{i,c} (softmax z - t)², all of mixed clips.

    The label of an unlabeled clip is the sharpened mean prediction of two weak views, without gradient;
    both views train on it.  Labeled clips and views are mixed with each other in pixels, one λ' = max(λ,
    1 - λ), λ ~ Beta(α, α), per batch.  Running statistics come from the mixed pass alone.
    """

    name = "mixmatch"
    source = Source(
        "MixMatch: A Holistic Approach to Semi-Supervised Learning",
        "NeurIPS",
        2019,
        "https://arxiv.org/abs/1905.02249",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """T = 0.5; α = 0.75 and λ = 75 (CIFAR-10): default to be confirmed.

        USB has α = 0.5, λ = 100, and the ramp over 0.4 of training that is used here.
        """

        temperature: Positive = 0.5
        alpha: Annotated[Positive, Choices((0.5, 0.75))] = 0.75
        unlabeled_weight: Annotated[Weight, Choices((3.0, 10.0, 30.0, 75.0))] = 75.0
        ramp: Share = 0.4

    config: Config

    def recipe(self) -> Recipe:
        """Two weak views of each unlabeled clip."""
        return recipes.two_weak(self.sampler())

    @torch.no_grad()
    def guess(self, batch: Batch) -> Tensor:
        """(U, C) sharpened mean of the predictions of both views."""
        with frozen_statistics(self.student):
            first, second = joint(self.student, batch.unlabeled["weak"], batch.unlabeled["weak2"])
        mean = (losses.probabilities(first) + losses.probabilities(second)) / 2
        return sharpen(mean, self.config.temperature)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One pass without gradient of the views, one of the mixed clips."""
        config, target = self.config, self.guess(batch)
        mixed = mixed_pass(
            self.student,
            batch.labeled["labeled"],
            batch.label,
            (batch.unlabeled["weak"], batch.unlabeled["weak2"]),
            target,
            config.alpha,
            progress.draws,
        )
        weight = config.unlabeled_weight * ramps.linear(progress.semi_fraction, config.ramp)
        return Step(
            {
                "supervised": soft_losses.cross_entropy(mixed.labeled, mixed.labeled_target),
                "unsupervised": weight * losses.consistency(mixed.unlabeled, mixed.unlabeled_target),
            },
            pseudo_label=target,
            weight=torch.ones_like(target[:, 0]),
        )
