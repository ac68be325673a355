"""SeFAR's architecture and sampling on labels alone: what its unlabeled losses are compared with."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.types import Batch, Recipe, View
from methods.base import Method, Progress, Step
from methods.config import Probability, Share, Weight
from sefar.method import SeFAR


class SeFARSupervised(SeFAR):
    """L = mean cross-entropy of dual-level elements through the fusion head; no unlabeled clip is seen."""

    name = "sefar_supervised"
    separable = True

    @dataclass(frozen=True, kw_only=True)
    class Config(SeFAR.Config):
        """Losses of unlabeled clips are not used, so their settings have no tuning range."""

        threshold: Probability = 0.8
        unlabeled_weight: Weight = 0.0
        mix_weight: Weight = 0.0
        channel_dropout: Share = 0.0

    config: Config

    @classmethod
    def unused(cls, config: Method.Config) -> frozenset[str]:
        """All steps are alike, so there is nothing to warm up for."""
        return super().unused(config) | {"warmup"}

    def recipe(self) -> Recipe:
        """Labeled views only."""
        return Recipe(labeled={"labeled": View(self.sampler(), "labeled")}, unlabeled={})

    def step(self, batch: Batch, progress: Progress) -> Step:
        """The same as in a warm-up: labels alone."""
        return self.warm_up(batch, progress)
