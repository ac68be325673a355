"""SeFAR's architecture and sampling on labels alone: what its unlabeled losses are compared with."""

from __future__ import annotations

from datasets.types import Batch, Recipe, View
from methods.base import Progress, Step
from sefar.method import SeFAR


class SeFARSupervised(SeFAR):
    """L = mean cross-entropy of dual-level elements through the fusion head; no unlabeled clip is seen."""

    name = "sefar_supervised"

    def recipe(self) -> Recipe:
        """Labeled views only."""
        return Recipe(labeled={"labeled": View(self.sampler(), "labeled")}, unlabeled={})

    def step(self, batch: Batch, progress: Progress) -> Step:
        """The same as in a warm-up: labels alone."""
        return self.warm_up(batch, progress)
