"""ReMixMatch: MixMatch with aligned labels, strong views anchored to a weak one, and a rotation task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch, Clip, Recipe, TaskInfo
from methods import losses, ramps, recipes, soft_losses
from methods.base import BuildBackbone, Classifier, LinearHead, Method, Progress, Source, Step
from methods.config import Choices, Decay, Positive, Share, Weight
from methods.draws import Draws
from methods.label_alignment import LabelAlignment
from methods.mixup import mixed_pass
from methods.passes import frozen_statistics
from methods.rotation import RotationClassifier, draw_turns, rotate
from methods.sharpening import sharpen


class ReMixMatch(Method):
    """L = H_mixed,l + λ_u w(t) H_mixed,u + λ_1 w(t) mean H(q, z(x_s)) + λ_r mean H(k, z_r(x_s turned by k)).

    q is the weak view's prediction, aligned to the class frequencies of the labels, then sharpened.
    Labeled clips, two strong views and the weak one are mixed as in MixMatch; the loss on mixtures is a
    cross-entropy.  The first strong view is also learnt unmixed, and turned by a quarter turn that all its
    frames share.  Running statistics come from the mixed pass alone.

    The strong view is the suite's (the paper: eight views by CTAugment).  The rotation task is dropped
    where a left-right flip may change the label (`rotation: if_mirror`): there orientation is content, and
    a turned clip can be a real clip of another class.
    """

    name = "remixmatch"
    source = Source(
        "ReMixMatch: Semi-Supervised Learning with Distribution Alignment and Augmentation Anchoring",
        "ICLR",
        2020,
        "https://arxiv.org/abs/1911.09785",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """λ_u = 1.5, λ_1 = λ_r = 0.5, the ramp over 1/64 of training, T = 0.5, α = 0.75, m = 0.999: USB's."""

        temperature: Positive = 0.5
        alpha: Annotated[Positive, Choices((0.5, 0.75))] = 0.75
        alignment_momentum: Annotated[Decay, Choices((0.9, 0.99, 0.999))] = 0.999
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.5))] = 1.5
        strong_weight: Annotated[Weight, Choices((0.5, 1.0))] = 0.5
        rotation_weight: Weight = 0.5
        rotation: Literal["if_mirror", "always", "never"] = "if_mirror"
        ramp: Share = 1 / 64

    config: Config

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.aligned = LabelAlignment(task.class_counts, config.alignment_momentum)

    @property
    def rotates(self) -> bool:
        """Whether there is a rotation task."""
        wanted = {"if_mirror": self.task.mirror, "always": True, "never": False}[self.config.rotation]
        return wanted and self.config.rotation_weight > 0

    def build_model(self, build_backbone: BuildBackbone) -> Classifier:
        """A linear head, and one for quarter turns where they are used."""
        if not self.rotates:
            return super().build_model(build_backbone)
        backbone = build_backbone()
        dim = cast(int, backbone.dim)
        return RotationClassifier(backbone, LinearHead(dim, self.task.classes, self.config.dropout), dim)

    def recipe(self) -> Recipe:
        """A weak and two strong views of each unlabeled clip."""
        return recipes.two_strong(self.sampler())

    @torch.no_grad()
    def guess(self, weak: Clip) -> Tensor:
        """(U, C) aligned and sharpened probabilities of the weak view."""
        with frozen_statistics(self.student):
            probs = losses.probabilities(self.student(weak))
        return sharpen(self.aligned(probs), self.config.temperature)

    def rotation_loss(self, clip: Clip, draws: Draws) -> Tensor:
        """Mean cross-entropy of the second head on clips that are turned at random."""
        turns = draw_turns(clip[0].shape[0], draws).to(clip[0].device)
        return F.cross_entropy(cast(RotationClassifier, self.student).turns(rotate(clip, turns)), turns)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """A pass without gradient of the weak view, then mixed, strong and turned clips, one pass each."""
        config, views = self.config, batch.unlabeled
        target = self.guess(views["weak"])
        mixed = mixed_pass(
            self.student,
            batch.labeled["labeled"],
            batch.label,
            (views["strong"], views["strong2"], views["weak"]),
            target,
            config.alpha,
            progress.draws,
        )
        ramp = ramps.linear(progress.semi_fraction, config.ramp)
        made = {
            "supervised": soft_losses.cross_entropy(mixed.labeled, mixed.labeled_target),
            "unsupervised": config.unlabeled_weight
            * ramp
            * soft_losses.cross_entropy(mixed.unlabeled, mixed.unlabeled_target),
        }
        with frozen_statistics(self.student):
            strong = self.student(views["strong"])
            made["strong"] = config.strong_weight * ramp * soft_losses.cross_entropy(strong, target)
            if self.rotates:
                made["rotation"] = config.rotation_weight * self.rotation_loss(
                    views["strong"], progress.draws
                )
        return Step(made, pseudo_label=target, weight=torch.ones_like(target[:, 0]))
