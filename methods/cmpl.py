"""CMPL: two nets, each trained by the pseudo-labels of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from datasets.types import Batch, Clip, TaskInfo
from methods import losses
from methods.base import BuildBackbone, Classifier, Method, Progress, Source, Step, joint
from methods.config import Choices, Probability, Weight
from methods.thresholding import FixedThreshold


class Pair(Classifier):
    """The primary classifier, which carries an auxiliary one; called as a model it is the primary alone."""

    def __init__(self, primary: Classifier, auxiliary: Classifier) -> None:
        super().__init__(primary.backbone, primary.head)
        self.auxiliary = auxiliary


class CMPL(Method):
    """L = L_s^F + L_s^A + λ (mean 1[p̂_A ≥ τ] H(ŷ_A, z_F(x_s)) + mean 1[p̂_F ≥ τ] H(ŷ_F, z_A(x_s))).

    F is the primary net, the one that is evaluated, A the auxiliary one; both see the same views and label
    the weak one.  There is no public code: the form of the loss is to be confirmed.

    Ours: A is a second backbone of the same kind with a start of its own.  The paper's A is lighter and
    keeps the temporal resolution (a 3D-ResNet-50 of a quarter of the width beside a full one), so that the
    two are right about different clips; a harness that gives every method one backbone cannot tell which
    smaller one would do.  A backbone that starts from given weights gives both nets the same start but for
    their heads.
    """

    name = "cmpl"
    source = Source(
        "Cross-Model Pseudo-Labeling for Semi-Supervised Action Recognition",
        "CVPR",
        2022,
        "https://arxiv.org/abs/2112.09690",
    )
    separable = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """τ = 0.8 and λ = 1 are this harness's: default to be confirmed."""

        threshold: Annotated[Probability, Choices((0.7, 0.8, 0.9, 0.95))] = 0.8
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 1.0

    config: Config
    student: Pair

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.thresholding = FixedThreshold(config.threshold)

    def build_model(self, build_backbone: BuildBackbone) -> Classifier:
        """Two nets of one kind."""
        return Pair(super().build_model(build_backbone), super().build_model(build_backbone))

    def warm_up(self, batch: Batch, progress: Progress) -> Step:
        """Both nets from labels alone."""
        clip = batch.labeled["labeled"]
        logits = {"supervised": self.student(clip), "auxiliary_supervised": self.student.auxiliary(clip)}
        return Step({name: losses.supervised(z, batch.label) for name, z in logits.items()})

    @torch.no_grad()
    def guess(self, model: Classifier, weak: Clip, index: Tensor) -> tuple[Tensor, Tensor]:
        """(U,) labels that a net gives the weak view, and their (U,) weights."""
        probs = losses.probabilities(model(weak))
        return probs.argmax(1), self.thresholding(probs, index)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Both nets label the weak view without gradient, then learn from the other's labels."""
        primary, auxiliary = self.student, self.student.auxiliary
        weak, index = batch.unlabeled["weak"], batch.unlabeled_index
        from_primary, from_auxiliary = (self.guess(model, weak, index) for model in (primary, auxiliary))
        views = (batch.labeled["labeled"], batch.unlabeled["strong"])
        labeled_f, strong_f = joint(primary, *views)
        labeled_a, strong_a = joint(auxiliary, *views)
        scale = self.config.unlabeled_weight
        return Step(
            {
                "supervised": losses.supervised(labeled_f, batch.label),
                "unsupervised": scale * losses.pseudo_label(strong_f, *from_auxiliary),
                "auxiliary_supervised": losses.supervised(labeled_a, batch.label),
                "auxiliary_unsupervised": scale * losses.pseudo_label(strong_a, *from_primary),
            },
            pseudo_label=from_auxiliary[0],  # those that the evaluated net learns from
            weight=from_auxiliary[1],
        )
