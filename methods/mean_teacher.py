"""Mean teacher: the student follows the predictions of the average of its own weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from datasets.types import Batch, Recipe, View
from methods import losses, ramps
from methods.agreement import agreement
from methods.base import Method, Progress, Source, Step, joint
from methods.config import Choices, Decay, Share, Weight


class MeanTeacher(Method):
    """L = L_s + λ w(t) mean_{i,c} (softmax z(x_1) - sg softmax z_T(x_2))², x_1 and x_2 two views of a clip.

    The gradient flows through the student's view alone, and it does flow: a public code base overwrites
    the student's logits by the teacher's, which makes the term constant zero.
    """

    name = "mean_teacher"
    source = Source(
        "Mean teachers are better role models: Weight-averaged consistency targets",
        "NeurIPS",
        2017,
        "https://arxiv.org/abs/1703.01780",
    )
    separable = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """λ = 50 and the ramp over 0.4 of training are USB's; decay 0.999: default to be confirmed.

        `student_view`: the paper's two weak views, or a strong one for the student.
        """

        unlabeled_weight: Annotated[Weight, Choices((5.0, 10.0, 25.0, 50.0))] = 50.0
        ramp: Share = 0.4
        ema_decay: Decay = 0.999
        student_view: Annotated[Literal["weak", "strong"], Choices(("weak", "strong"))] = "weak"

    config: Config

    def recipe(self) -> Recipe:
        """Two views of each unlabeled clip: `weak` for the teacher, `weak2` or `strong` for the student."""
        sampler = self.sampler()
        name = "weak2" if self.config.student_view == "weak" else "strong"
        return Recipe(
            labeled={"labeled": View(sampler, "labeled")},
            unlabeled={
                "weak": View(sampler, "weak"),
                name: View(sampler, self.config.student_view, draw=1),
            },
        )

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Consistency of the student's second view with the teacher's weak one."""
        with torch.no_grad():
            target = losses.probabilities(self.teacher(batch.unlabeled["weak"]))
        second = batch.unlabeled["weak2" if self.config.student_view == "weak" else "strong"]
        labeled, student = joint(self.student, batch.labeled["labeled"], second)
        factor = self.config.unlabeled_weight * ramps.linear(progress.semi_fraction, self.config.ramp)
        return agreement(batch, labeled, student, target, factor)
