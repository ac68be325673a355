"""Temporal ensembling: a clip must be predicted as it was on average in the epochs before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from datasets.types import Batch, Recipe, TaskInfo
from methods import losses, ramps, recipes
from methods.agreement import agreement
from methods.base import BuildBackbone, Method, Progress, Source, Step, joint
from methods.config import Choices, Decay, Share, Weight
from methods.prediction_memory import PredictionMemory


class TemporalEnsembling(Method):
    """L = L_s + λ w(t) mean_{i,c} (p_i - T_i)², T_i the average of clip i's predictions at earlier visits.

    One weak view and one forward pass per clip; the prediction that is trained is the one that is
    remembered.  T carries no gradient.  A clip at its first visit has no T and counts 0: this is the
    paper's w = 0 in the first epoch.  The scale of λ is explained at `PiModel`.
    """

    name = "temporal_ensembling"
    source = Source(
        "Temporal Ensembling for Semi-Supervised Learning", "ICLR", 2017, "https://arxiv.org/abs/1610.02242"
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """λ = 30, α = 0.6 and the sigmoid ramp over 80 of 300 epochs are those of the authors' code."""

        unlabeled_weight: Annotated[Weight, Choices((3.0, 10.0, 30.0, 100.0))] = 30.0
        momentum: Annotated[Decay, Choices((0.4, 0.6, 0.8))] = 0.6
        ramp: Share = 80 / 300

    config: Config

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.memory = PredictionMemory(task.unlabeled, task.classes, config.momentum)

    def recipe(self) -> Recipe:
        """One weak view of each unlabeled clip."""
        return recipes.one_weak(self.sampler())

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One forward pass of labeled and weak views together."""
        labeled, weak = joint(self.student, batch.labeled["labeled"], batch.unlabeled["weak"])
        now = losses.probabilities(weak.detach())
        past, seen = self.memory.targets(batch.unlabeled_index)
        target = torch.where(seen[:, None], past.to(now.dtype), now)  # at a first visit: no difference
        self.memory.add(batch.unlabeled_index, now)
        factor = self.config.unlabeled_weight * ramps.sigmoid(progress.semi_fraction, self.config.ramp)
        return agreement(batch, labeled, weak, target, factor, counted=seen)
