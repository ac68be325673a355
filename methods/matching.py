"""What CoMatch and SimMatch share: embeddings beside logits, aligned predictions, soft pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from datasets.types import Batch, Clip, TaskInfo
from methods import losses
from methods.base import BuildBackbone, Method, Step
from methods.config import Choices, Count, Probability, Weight
from methods.projection import Embedded, ProjectedClassifier, projected
from methods.queue_alignment import QueueAlignment
from methods.thresholding import FixedThreshold


class Matching(Method):
    """L_s + λ_u mean_U 1[max q ≥ τ] H(q, z_s) + one term of its own, q soft; a base, not registered."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """τ = 0.95, λ_u = 1 and alignment over 32 batches are USB's for both methods."""

        threshold: Annotated[Probability, Choices((0.7, 0.8, 0.9, 0.95))] = 0.95
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 1.0
        projection: Count = 64
        alignment_queue: Count = 32

    config: Config
    student: ProjectedClassifier
    teacher: ProjectedClassifier

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.aligned = QueueAlignment(task.classes, config.alignment_queue)
        self.thresholding = FixedThreshold(config.threshold)

    def build_model(self, build_backbone: BuildBackbone) -> ProjectedClassifier:
        """A classifier with an embedding of two layers."""
        return projected(build_backbone, self.task.classes, self.config.dropout, self.config.projection)

    @property
    def guesser(self) -> ProjectedClassifier:
        """The net that looks at the weak view."""
        return self.student

    @torch.no_grad()
    def guess(self, weak: Clip) -> tuple[Tensor, Tensor]:
        """(U, d) embeddings of the weak view and its (U, C) aligned predictions."""
        (seen,) = self.guesser.embed(weak)
        return seen.projected, self.aligned(losses.probabilities(seen.logits))

    def made(
        self, batch: Batch, labeled: Embedded, strong: Embedded, target: Tensor, own: dict[str, Tensor]
    ) -> Step:
        """The step's losses: labels, soft pseudo-labels above the threshold, and the method's own term.

        Args:
            batch: the labeled clips' labels and the unlabeled clips' places.
            labeled: what the student says of the labeled clips.
            strong: and of the strong view.
            target: (U, C) q, without gradient.
            own: the method's own term by name, already weighted.
        """
        weight = self.thresholding(target, batch.unlabeled_index)
        unsupervised = losses.pseudo_label(strong.logits, target, weight)
        return Step(
            {
                "supervised": losses.supervised(labeled.logits, batch.label),
                "unsupervised": self.config.unlabeled_weight * unsupervised,
                **own,
            },
            pseudo_label=target,
            weight=weight,
        )
