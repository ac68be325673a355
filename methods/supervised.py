"""Supervised-only training: the baseline that every semi-supervised method must beat."""

from __future__ import annotations

from datasets.types import Batch, Recipe, View
from methods.base import Method, Progress, Source, Step


class Supervised(Method):
    """L = mean cross-entropy over the labeled clips; unlabeled clips are never looked at.

    On a plan cell with all labels this is the bound `fully_supervised`.
    """

    name = "supervised"
    source = Source(
        "Supervised-only training, a baseline in: Realistic Evaluation of Deep Semi-Supervised Learning "
        "Algorithms",
        "NeurIPS",
        2018,
        "https://arxiv.org/abs/1804.09170",
    )
    separable = True

    @classmethod
    def unused(cls, config: Method.Config) -> frozenset[str]:
        """All steps are alike, so there is nothing to warm up for."""
        return frozenset({"warmup"})

    def recipe(self) -> Recipe:
        """Labeled views only."""
        return Recipe(labeled={"labeled": View(self.sampler(), "labeled")}, unlabeled={})

    def step(self, batch: Batch, progress: Progress) -> Step:
        """The same as in a warm-up: labels alone."""
        return self.warm_up(batch, progress)
