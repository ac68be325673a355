"""Π-model: two noisy looks at a clip must agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from datasets.types import Batch, Recipe
from methods import losses, ramps, recipes
from methods.agreement import agreement
from methods.base import Method, Progress, Source, Step, joint
from methods.config import Choices, Share, Weight


class PiModel(Method):
    """L = L_s + λ w(t) mean_{i,c} (p_1 - p_2)², p_1 and p_2 of two weak views, each with its own dropout.

    The gradient flows through *both* views, as in the authors' code; `gradient: second` stops it in the
    first one, as USB does.

    The paper averages the cross-entropy over all clips of a batch, labeled or not, and scales its weight
    100 by N_l / N.  With the mean over labeled clips, as here, that factor cancels: λ = w_max.  Its
    consistency includes the labeled clips; ours sees them where the unlabeled pool holds them, which is
    so unless a split is pinned.  Its w is 0 in the first of 300 epochs, where the ramp is below 0.008: left
    out.  Its nets have dropout 0.5, here a setting of the suite.
    """

    name = "pi_model"
    source = Source(
        "Temporal Ensembling for Semi-Supervised Learning", "ICLR", 2017, "https://arxiv.org/abs/1610.02242"
    )
    separable = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """λ = 100 and the sigmoid ramp over 80 of 300 epochs are those of the authors' code; USB has 10."""

        unlabeled_weight: Annotated[Weight, Choices((3.0, 10.0, 30.0, 100.0))] = 100.0
        ramp: Share = 80 / 300
        gradient: Literal["both", "second"] = "both"

    config: Config

    def recipe(self) -> Recipe:
        """Two weak views of each unlabeled clip."""
        return recipes.two_weak(self.sampler())

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One forward pass of the labeled clips and both views."""
        config, views = self.config, batch.unlabeled
        labeled, first, second = joint(self.student, batch.labeled["labeled"], views["weak"], views["weak2"])
        target = losses.probabilities(first)
        if config.gradient == "second":
            target = target.detach()
        factor = config.unlabeled_weight * ramps.sigmoid(progress.semi_fraction, config.ramp)
        return agreement(batch, labeled, second, target, factor)
