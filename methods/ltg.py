"""LTG: a net for frames and a net for temporal gradients label each other's clips and share features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch, TaskInfo
from methods import losses, temporal_gradient
from methods.base import BuildBackbone, Classifier, Method, Progress, Source, Step
from methods.config import Choices, Count, Positive, Probability, Share, Weight
from methods.projection import Embedded, ProjectedClassifier, projected, similarities, unit
from methods.temporal_gradient import gradient_clip
from methods.thresholding import FixedThreshold


def average_prediction(frames: Tensor, gradients: Tensor) -> Tensor:
    """(U, C) softmax of the mean of the two streams' (U, C) logits, without gradient."""
    return losses.probabilities((frames + gradients).detach() / 2)


def alignment(frames: Tensor, gradients: Tensor) -> Tensor:
    """1 - mean cosine of (N, D) features; the gradient goes to `frames` alone."""
    return 1 - (unit(frames) * unit(gradients.detach())).sum(1).mean()


def cross_contrast(frames: Tensor, gradients: Tensor, temperature: float) -> Tensor:
    """Mean of InfoNCE from frames to gradients and back: (N, D) each, the same clip is the positive."""
    scores = similarities(unit(frames), unit(gradients), temperature)
    same = torch.arange(len(scores), device=scores.device)
    return 0.5 * (F.cross_entropy(scores, same) + F.cross_entropy(scores.T, same))


class TwoStream(ProjectedClassifier):
    """A classifier of frames that carries a second net, `motion`, for temporal gradients.

    Called as a model it is the stream of frames alone.
    """

    def __init__(self, frames: ProjectedClassifier, motion: ProjectedClassifier) -> None:
        super().__init__(frames.backbone, frames.head, frames.projection)
        self.motion = motion


def _both(*streams: Tensor) -> Tensor:
    """The mean of the two streams' losses."""
    return torch.stack(streams).mean()


def _joined(labeled: Embedded, weak: Embedded) -> Embedded:
    """Labeled and weak clips of a stream as one batch."""
    return Embedded(*(torch.cat(pair) for pair in zip(labeled, weak, strict=True)))


class LTG(Method):
    """L = ½ Σ_v L_s,v + 1[late] ½ Σ_v mean 1[max P ≥ τ] H(ŷ, z_v(x_s)) + λ_a L_align + λ_c L_con.

    v is a stream: frames, or temporal gradients of the same view, with a net each.  P averages both
    streams' logits of the weak view.  L_align pulls the features of frames towards those of gradients,
    L_con contrasts the projections of both, over labeled and weak clips.  Only frames are evaluated.

    Ours: gradients of the frames that a view shows (of the strong view after its augmentation); alignment
    at the backbone's feature, where the release aligns four residual stages at every place; projections
    whose hidden layers are as wide as the feature.
    """

    name = "ltg"
    source = Source(
        "Learning from Temporal Gradient for Semi-supervised Action Recognition",
        "CVPR",
        2022,
        "https://arxiv.org/abs/2111.13241",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """The release's: τ = 0.3, dropout 0.5, temperature 0.5, 512-wide projections, unit weights.

        `unlabeled_start`: share of the steps before pseudo-labels count; epoch 30 of 180 in the release.
        """

        threshold: Annotated[Probability, Choices((0.3, 0.5, 0.8, 0.95))] = 0.3
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 1.0
        alignment_weight: Annotated[Weight, Choices((0.25, 0.5, 1.0))] = 1.0
        contrast_weight: Annotated[Weight, Choices((0.25, 0.5, 1.0))] = 1.0
        contrast_temperature: Positive = 0.5
        unlabeled_start: Share = 30 / 180
        projection: Count = 512
        dropout: Share = 0.5

    config: Config
    student: TwoStream

    @classmethod
    def unsupported(cls, config: Method.Config, task: TaskInfo) -> str | None:
        """A single frame has no temporal gradient."""
        return super().unsupported(config, task) or temporal_gradient.refusal(config.frames or task.frames)

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.thresholding = FixedThreshold(config.threshold)

    def build_model(self, build_backbone: BuildBackbone) -> Classifier:
        """Two nets of one kind, each with a projection of three layers, the last without bias."""
        frames, motion = (
            projected(
                build_backbone,
                self.task.classes,
                self.config.dropout,
                self.config.projection,
                layers=3,
                last_bias=False,
            )
            for _ in range(2)
        )
        return TwoStream(frames, motion)

    def warm_up(self, batch: Batch, progress: Progress) -> Step:
        """Both streams from labels alone."""
        clip = batch.labeled["labeled"]
        streams = (self.student(clip), self.student.motion(gradient_clip(clip)))
        return Step({"supervised": _both(*(losses.supervised(z, batch.label) for z in streams))})

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint forward pass of the labeled, the weak and the strong view per stream."""
        config = self.config
        clips = (batch.labeled["labeled"], batch.unlabeled["weak"], batch.unlabeled["strong"])
        labeled_f, weak_f, strong_f = self.student.embed(*clips)
        labeled_m, weak_m, strong_m = self.student.motion.embed(*map(gradient_clip, clips))
        probs = average_prediction(weak_f.logits, weak_m.logits)
        label, weight = probs.argmax(1), self.thresholding(probs, batch.unlabeled_index)
        if progress.fraction < config.unlabeled_start:
            weight = torch.zeros_like(weight)
        supervised = [losses.supervised(seen.logits, batch.label) for seen in (labeled_f, labeled_m)]
        unsupervised = [losses.pseudo_label(seen.logits, label, weight) for seen in (strong_f, strong_m)]
        frames, motion = _joined(labeled_f, weak_f), _joined(labeled_m, weak_m)
        contrast = cross_contrast(frames.projected, motion.projected, config.contrast_temperature)
        return Step(
            {
                "supervised": _both(*supervised),
                "unsupervised": config.unlabeled_weight * _both(*unsupervised),
                "alignment": config.alignment_weight * alignment(frames.feature, motion.feature),
                "contrast": config.contrast_weight * contrast,
            },
            pseudo_label=label,
            weight=weight,
        )
