"""FixMatch's step in parts: what its relatives change is one part each, never the order of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from datasets.types import Batch
from methods import losses
from methods.base import Progress, Step, joint
from methods.fixmatch import FixMatch


@dataclass(frozen=True)
class Seen:
    """What a step knows of its unlabeled clips.

    `probs` (U, C) of the weak view and `weight` (U,), both without gradient; `logits` (U, C) per view of
    the student, with gradient.
    """

    probs: Tensor
    weight: Tensor
    logits: Mapping[str, Tensor]


class WeakToStrong(FixMatch):
    """L = L_s + λ_u mean_U M · H(target(p_w), z_s) + further terms; not registered, a base of methods.

    With nothing overridden it is FixMatch.
    """

    student_views: ClassVar[tuple[str, ...]] = ("strong",)
    """Unlabeled views that the student learns from, in one forward pass with the labeled clips."""

    def supervised_loss(self, logits: Tensor, batch: Batch, progress: Progress) -> Tensor:
        """The loss of the (B, C) labeled logits, here and in the warm-up."""
        return losses.supervised(logits, batch.label)

    def target(self, probs: Tensor) -> Tensor:
        """What the strong view learns: (U,) labels, or a (U, C) distribution."""
        return probs.argmax(1)

    def further_losses(self, seen: Seen) -> dict[str, Tensor]:
        """More terms by name, already weighted."""
        return {}

    def warm_up(self, batch: Batch, progress: Progress) -> Step:
        """A step that uses labels alone."""
        logits = self.student(batch.labeled["labeled"])
        return Step({"supervised": self.supervised_loss(logits, batch, progress)})

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One pass without gradient of the weak view, one of all that the student learns from."""
        probs = self.guess(batch.unlabeled["weak"])
        views = [batch.unlabeled[name] for name in self.student_views]
        labeled, *others = joint(self.student, batch.labeled["labeled"], *views)
        logits = dict(zip(self.student_views, others, strict=True))
        supervised = self.supervised_loss(labeled, batch, progress)  # first: Dash learns its scale from it

        aligned = probs if self.config.alignment == "none" else self.aligned(probs)
        target = self.target(aligned if self.config.alignment == "label" else probs)
        weight = self.thresholding(aligned, batch.unlabeled_index)
        unsupervised = losses.pseudo_label(logits["strong"], target, weight)
        return Step(
            {
                "supervised": supervised,
                "unsupervised": self.config.unlabeled_weight * unsupervised,
                **self.further_losses(Seen(probs, weight, logits)),
            },
            pseudo_label=target,
            weight=weight,
        )
