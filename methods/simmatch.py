"""SimMatch: predictions and similarities to the labeled clips correct each other, and both are learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch, TaskInfo
from methods.banks import LabeledBank
from methods.base import BuildBackbone, Progress, Source, Step
from methods.config import Choices, Count, Decay, Positive, Probability, Weight
from methods.matching import Matching
from methods.projection import ProjectedClassifier, similarities


def aggregate(near: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(U, C) sums, by class, of the (U, N) similarities `near` to N clips with (N,) labels."""
    return similarities(near, F.one_hot(labels, classes).T.to(near))


def unfold(scores: Tensor, probs: Tensor, labels: Tensor) -> Tensor:
    """(U, N) similarities, calibrated: softmax(scores)_k · p of clip k's class, renormalized.

    Args:
        scores: (U, N) similarities divided by the temperature, before the softmax.
        probs: (U, C) predictions.
        labels: (N,) classes of the clips.
    """
    likely = probs[:, labels].clamp(min=torch.finfo(probs.dtype).tiny)
    return (scores + likely.log()).softmax(1)  # a product whose sum underflows would be 0 / 0


class SimMatch(Matching):
    """L = L_s + λ_u mean 1[max q ≥ τ] H(q, z_s) + λ_in mean H(õ, o_s), q and õ soft.

    o are the similarities of the weak view's embedding to those of all labeled clips, o_s the strong
    view's.  They take over the prediction p (õ: each clip times p of its class) and it takes over theirs
    (q = α p + (1 - α) times their sum by class).  The bank of labeled embeddings is averaged over visits.
    In the original the first epoch leaves both exchanges out; here a labeled clip takes part from the step
    after its first visit on, since an epoch of few labels is a few steps (ours).

    `pseudo_labels: teacher` takes p, o and the bank's embeddings from the EMA teacher, as the paper does on
    ImageNet (default to be confirmed: decay 0.999).
    """

    name = "simmatch"
    source = Source(
        "SimMatch: Semi-supervised Learning with Similarity Matching",
        "CVPR",
        2022,
        "https://arxiv.org/abs/2203.06915",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Matching.Config):
        """τ = 0.95, λ_u = λ_in = 1, t = 0.1, α = 0.9, bank momentum 0.7, alignment over 32 batches: USB's.

        Embeddings of 128 numbers, hidden layer as wide as the feature: default to be confirmed.
        """

        instance_weight: Annotated[Weight, Choices((0.25, 0.5, 1.0, 2.0))] = 1.0
        temperature: Annotated[Positive, Choices((0.1, 0.2))] = 0.1
        smoothing: Probability = 0.9
        bank_momentum: Decay = 0.7
        pseudo_labels: Literal["student", "teacher"] = "student"
        projection: Count = 128
        ema_decay: Decay = 0.999

    config: Config

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.bank = LabeledBank(task.labeled, config.projection, config.bank_momentum)

    @property
    def guesser(self) -> ProjectedClassifier:
        """The student, or the teacher if the config says so."""
        return self.teacher if self.config.pseudo_labels == "teacher" else self.student

    @torch.no_grad()
    def remember(self, batch: Batch, student: Tensor) -> None:
        """Updates the bank with the labeled clips: the student's (B, d) embeddings, or the teacher's."""
        features = student
        if self.config.pseudo_labels == "teacher":
            features = self.teacher.embed(batch.labeled["labeled"])[0].projected
        self.bank.update(batch.labeled_index, features, batch.label)

    def match(self, probs: Tensor, weak: Tensor, strong: Tensor) -> tuple[Tensor, Tensor]:
        """The (U, C) semantic pseudo-labels q and the instance loss; the gradient goes to `strong` alone.

        Args:
            probs: (U, C) aligned predictions of the weak view.
            weak: (U, d) its embeddings.
            strong: (U, d) the strong view's.
        """
        config = self.config
        bank, labels = self.bank.entries()
        if len(labels) == 0:
            return probs, 0 * strong.sum()
        scores = similarities(weak, bank, config.temperature)
        summed = aggregate(scores.softmax(1), labels, self.task.classes)
        instance = F.cross_entropy(
            similarities(strong, bank, config.temperature), unfold(scores, probs, labels)
        )
        return config.smoothing * probs + (1 - config.smoothing) * summed, instance

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint forward pass of labeled and strong views, one without gradient of the weak view."""
        weak, probs = self.guess(batch.unlabeled["weak"])
        labeled, strong = self.student.embed(batch.labeled["labeled"], batch.unlabeled["strong"])
        target, instance = self.match(probs, weak, strong.projected)
        self.remember(batch, labeled.projected.detach())
        own = {"instance": self.config.instance_weight * instance}
        return self.made(batch, labeled, strong, target, own)
