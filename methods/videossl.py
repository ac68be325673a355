"""VideoSSL: pseudo-labels, and the class probabilities of an image net on single frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

import torch
from torch import Tensor

from datasets.types import Batch, Recipe
from methods import losses, recipes
from methods.base import BuildBackbone, Classifier, Method, Progress, Source, Step
from methods.config import Choices, Probability, Weight
from methods.extra_inputs import ExtraInput, NeedsFiles
from methods.image_teacher import (
    DistilledClassifier,
    distillation,
    load_image_teacher,
    pretended_image_teacher,
    random_frames,
)
from methods.thresholding import FixedThreshold


class VideoSSL(NeedsFiles):
    """L = L_s + λ_u mean_U 1[max p ≥ τ] H(argmax p, z(x)) + λ_d mean_U H(π, g(x)), one view.

    π (U, K) are the class probabilities of a frozen ImageNet classifier on one random frame of the clip, g a
    second linear head on the same video feature.  Pseudo-labels come from the pass that is trained, without
    gradient through the label.  The distillation term is confirmed in the code of ActorCutMix; threshold,
    weights and schedule of the paper are not public (default to be confirmed), and the paper's 3D-ResNet-18
    is the suite's backbone.  The image net wants suites with `normalize: kinetics`.
    """

    name = "videossl"
    source = Source(
        "VideoSSL: Semi-Supervised Learning for Video Classification",
        "WACV",
        2021,
        "https://arxiv.org/abs/2003.00197",
    )
    inputs = (
        ExtraInput(
            "image_weights",
            "the weights of an ImageNet classifier of timm, the one that config field 'image_net' names",
            "torch.save(timm.create_model('resnet18', pretrained=True).state_dict(), 'resnet18.pth')",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """τ = 0.8 and unit weights are those of the worked example; the paper's are not public.

        `image_net`: a classifier's name in timm; `image_weights`: the file of its state dict, .pth or
        .safetensors.
        """

        image_net: str = "resnet18"
        image_weights: str = ""
        threshold: Annotated[Probability, Choices((0.7, 0.8, 0.9, 0.95))] = 0.8
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 1.0
        distillation_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 1.0

    config: Config

    def load_inputs(self, build_backbone: BuildBackbone) -> None:
        """The image net."""
        self.image_teacher = load_image_teacher(self.config.image_net, self.config.image_weights)

    def pretend_inputs(self, build_backbone: BuildBackbone) -> None:
        """A random linear image net."""
        self.image_teacher = pretended_image_teacher()

    def build_model(self, build_backbone: BuildBackbone) -> Classifier:
        """A head for our classes and one for the image net's."""
        plain = super().build_model(build_backbone)
        return DistilledClassifier(plain.backbone, plain.head, self.image_teacher.classes)

    def recipe(self) -> Recipe:
        """One weak view of each unlabeled clip."""
        return recipes.one_weak(self.sampler())

    @property
    def trained_view(self) -> str:
        """The view that the student is trained on."""
        return "weak"

    def agreement(self, logits: Tensor, batch: Batch, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """The unlabeled term besides distillation, for (U, C) logits of the trained view.

        Returns:
            The weighted term, the (U,) pseudo-labels, and their (U,) weights.
        """
        with torch.no_grad():
            probs = losses.probabilities(logits)
            weight = FixedThreshold(self.config.threshold)(probs, batch.unlabeled_index)
        label = probs.argmax(1)
        return self.config.unlabeled_weight * losses.pseudo_label(logits, label, weight), label, weight

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One pass of the labeled clips and one view of the unlabeled ones, two heads on the latter."""
        clip = batch.unlabeled[self.trained_view]
        labeled, logits, image_logits = cast(DistilledClassifier, self.student).joint(
            batch.labeled["labeled"], clip
        )
        term, label, weight = self.agreement(logits, batch, progress)
        image = self.image_teacher(random_frames(clip, progress.draws))
        return Step(
            {
                "supervised": losses.supervised(labeled, batch.label),
                "unsupervised": term,
                "distillation": self.config.distillation_weight * distillation(image_logits, image),
            },
            pseudo_label=label,
            weight=weight,
        )
