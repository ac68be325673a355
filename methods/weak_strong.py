"""The step of FixMatch and its relatives: pseudo-labels from a weak view train the strong view of a clip.

Who runs it replaces one part (the thresholding, the target, a further loss), never the order of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor

from datasets.types import Batch, Clip, TaskInfo
from methods import losses
from methods.alignment import UniformAlignment
from methods.base import BuildBackbone, Method, Progress, Step, joint
from methods.config import Choices, Decay, Probability, Weight
from methods.draws import Draws
from methods.thresholding import Thresholding


class Shown(NamedTuple):
    """What the student learns from: unlabeled clips by view.

    `share` (U,): where clips are cut into each other, how much each keeps of its own label.
    """

    clips: Mapping[str, Clip]
    share: Tensor | None = None


@dataclass(frozen=True)
class Seen:
    """What a step knows of its unlabeled clips.

    `probs` (U, C) of the weak view and `weight` (U,), both without gradient; `logits` (U, C) per view of
    the student, with gradient.
    """

    probs: Tensor
    weight: Tensor
    logits: Mapping[str, Tensor]


class WeakStrong(Method):
    """L = L_s + λ_u mean_U M H(target, z_s), M and target from the weak view; a base, not registered.

    Options of this harness for all who run this step: `pseudo_labels: teacher` takes the pseudo-labels from
    the EMA teacher in evaluation mode; `alignment` pulls their average towards uniform, for the weight alone
    (`weight`, as SoftMatch does) or for the label too (`label`).
    """

    student_views: ClassVar[tuple[str, ...]] = ("strong",)
    """Unlabeled views that the student learns from, in one forward pass with the labeled clips."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """Pseudo-labels from the student and no alignment, as in the papers, unless one says otherwise."""

        threshold: Annotated[Probability, Choices((0.7, 0.8, 0.9, 0.95))] = 0.95
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 1.0
        pseudo_labels: Literal["student", "teacher"] = "student"
        alignment: Literal["none", "weight", "label"] = "none"
        alignment_momentum: Decay = 0.999

    config: Config

    @classmethod
    def separable_with(cls, config: Method.Config) -> bool:
        """Not where predictions are aligned: their average is the batch's."""
        return cls.separable and cast(WeakStrong.Config, config).alignment == "none"

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.thresholding = self.build_thresholding()
        self.aligned = UniformAlignment(task.classes, config.alignment_momentum)

    def build_thresholding(self) -> Thresholding:
        """The rule that weighs pseudo-labels."""
        raise NotImplementedError(f"method '{type(self).__name__}' does not define build_thresholding()")

    @torch.no_grad()
    def guess(self, weak: Clip) -> Tensor:
        """(U, C) probabilities of the weak view."""
        model = self.teacher if self.config.pseudo_labels == "teacher" else self.student
        return losses.probabilities(model(weak))

    def shown(self, batch: Batch, draws: Draws) -> Shown:
        """The student's views of the unlabeled clips, as the recipe has made them."""
        return Shown({name: batch.unlabeled[name] for name in self.student_views})

    def target(self, probs: Tensor) -> Tensor:
        """What the strong view learns: (U,) labels; in relatives also a (U, C) distribution."""
        return probs.argmax(1)

    def mixed(self, target: Tensor, share: Tensor) -> Tensor:
        """(U, C) targets of clips that were cut into each other; whoever shows such clips says which."""
        raise NotImplementedError(f"method '{type(self).__name__}' does not define mixed()")

    def further_losses(self, seen: Seen) -> dict[str, Tensor]:
        """The terms that a relative adds, by name, already weighted."""
        return {}

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One pass without gradient of the weak view, one of all that the student learns from."""
        probs = self.guess(batch.unlabeled["weak"])
        shown = self.shown(batch, progress.draws)
        labeled, *others = joint(self.student, batch.labeled["labeled"], *shown.clips.values())
        logits = dict(zip(shown.clips, others, strict=True))
        supervised = self.supervised_loss(labeled, batch, progress)  # first: Dash learns its scale from it

        aligned = probs if self.config.alignment == "none" else self.aligned(probs)
        target = self.target(aligned if self.config.alignment == "label" else probs)
        weight = self.thresholding(aligned, batch.unlabeled_index)
        learnt = target if shown.share is None else self.mixed(target, shown.share)
        unsupervised = losses.pseudo_label(logits["strong"], learnt, weight)
        return Step(
            {
                "supervised": supervised,
                "unsupervised": self.config.unlabeled_weight * unsupervised,
                **self.further_losses(Seen(probs, weight, logits)),
            },
            pseudo_label=target,
            weight=weight,
        )
