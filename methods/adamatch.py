"""AdaMatch: pseudo-labels follow the labeled predictions, in their distribution and in their confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from datasets.types import Batch, Recipe, TaskInfo, View
from methods import losses
from methods.alignment import UniformAlignment, align
from methods.base import BuildBackbone, Method, Progress, Source, Step, joint
from methods.config import Choices, Decay, Probability, Weight
from methods.draws import Draws


def relative_threshold(labeled: Tensor, threshold: float) -> Tensor:
    """() τ · mean_B max p_l of the (B, C) labeled probabilities: a young net need not be confident."""
    return threshold * labeled.amax(1).mean()


def cosine_ramp(fraction: float) -> float:
    """½ - ½ cos(min(π, 2 π t)): 0 at the start, 1 from half of training on; `fraction` t in [0, 1]."""
    return 0.5 - 0.5 * math.cos(min(math.pi, 2 * math.pi * fraction))


def interpolate(together: Tensor, alone: Tensor, draws: Draws) -> Tensor:
    """λ z' + (1 - λ) z'' with an own λ ~ U(0, 1) for each clip and class.

    Args:
        together: (B, C) labeled logits z' from a pass whose batch statistics include unlabeled clips.
        alone: (B, C) labeled logits z'' from a pass of the labeled clips alone.
        draws: the step's random source.
    """
    dice = torch.Generator().manual_seed(draws.integer(0, 2**62, "interpolation"))
    share = torch.rand(together.shape, generator=dice).to(together)
    return share * together + (1 - share) * alone


class LabeledAlignment(nn.Module):
    """Alignment of the unlabeled predictions to the average of the labeled ones.

    Both averages move with `momentum` before they are used; 0 means those of the batch.  The labeled one
    starts uniform, the unlabeled one with the first batch.
    """

    target: Tensor

    def __init__(self, classes: int, momentum: float) -> None:
        super().__init__()
        self.average = UniformAlignment(classes, momentum)  # for the moving average that it keeps
        self.register_buffer("target", torch.full((classes,), 1 / classes))

    @torch.no_grad()
    def forward(self, labeled: Tensor, unlabeled: Tensor) -> Tensor:
        """(U, C) aligned probabilities from (B, C) labeled and (U, C) unlabeled ones."""
        self.target.lerp_(labeled.mean(0), 1 - self.average.momentum)
        self.average(unlabeled)
        return align(unlabeled, self.average.marginal, self.target)


class AdaMatch(Method):
    """L = L_s + λ_u r(t) mean_U [max q ≥ τ mean_B max p_l] H(q, z_s), q ∝ p_w · p̃_l / p̃_u.

    L_s is taken from labeled logits that interpolate between a pass with and one without unlabeled clips,
    which differ in their batch statistics.  The labeled predictions p_l that steer q and the threshold come
    from a weak view, as p_w does: the suite's labeled view may be a strong one.

    The defaults are the paper's as far as they are known (default to be confirmed): alignment by the batch,
    soft targets, ramp, interpolation.  USB's form is `threshold: 0.95, alignment_momentum: 0.999,
    targets: hard, ramp: false, interpolation: false`.
    """

    name = "adamatch"
    source = Source(
        "AdaMatch: A Unified Approach to Semi-Supervised Learning and Domain Adaptation",
        "ICLR",
        2022,
        "https://arxiv.org/abs/2106.04732",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """τ = 0.9 and all switches: the paper's, default to be confirmed.  λ_u = 1."""

        threshold: Annotated[Probability, Choices((0.7, 0.8, 0.9, 0.95))] = 0.9
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 1.0
        alignment_momentum: Annotated[Decay, Choices((0.0, 0.9, 0.99))] = 0.0
        targets: Literal["soft", "hard"] = "soft"
        ramp: bool = True
        interpolation: bool = True

    config: Config

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.aligned = LabeledAlignment(task.classes, config.alignment_momentum)

    def recipe(self) -> Recipe:
        """The usual views, and a weak one of the labeled clips."""
        usual, sampler = super().recipe(), self.sampler()
        return Recipe(
            labeled={**usual.labeled, "labeled_weak": View(sampler, "weak", draw=1)},
            unlabeled=usual.unlabeled,
        )

    @torch.no_grad()
    def guess(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, C) and (U, C) probabilities of the weak views."""
        logits = joint(self.student, batch.labeled["labeled_weak"], batch.unlabeled["weak"])
        known, unknown = map(losses.probabilities, logits)
        return known, unknown

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Weak views without gradient; labeled and strong ones together; the labeled ones once more alone."""
        config = self.config
        known, unknown = self.guess(batch)
        probs = self.aligned(known, unknown)
        weight = (probs.amax(1) >= relative_threshold(known, config.threshold)).to(probs.dtype)
        target = probs if config.targets == "soft" else probs.argmax(1)

        labeled, strong = joint(self.student, batch.labeled["labeled"], batch.unlabeled["strong"])
        if config.interpolation:
            labeled = interpolate(labeled, self.student(batch.labeled["labeled"]), progress.draws)
        factor = config.unlabeled_weight * (cosine_ramp(progress.semi_fraction) if config.ramp else 1.0)
        return Step(
            {
                "supervised": losses.supervised(labeled, batch.label),
                "unsupervised": factor * losses.pseudo_label(strong, target, weight),
            },
            pseudo_label=target,
            weight=weight,
        )
