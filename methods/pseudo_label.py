"""Pseudo-label: a clip's own most likely class is its label, in the same forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from datasets.types import Batch, Recipe, TaskInfo
from methods import losses, ramps, recipes
from methods.base import BuildBackbone, Method, Progress, Source, Step, joint
from methods.config import Choices, Probability, Share, Weight
from methods.thresholding import FixedThreshold


def alpha(t: float, start: float, end: float, final: float) -> float:
    """0 up to `start`, then linearly to `final` at `end`, and `final` after (Lee 2013, eq. 16).

    Args:
        t: place in training, in the unit of `start` and `end`.
        start: T1.
        end: T2; where it is not above T1, the weight jumps.
        final: α_f.
    """
    if t < start:
        return 0.0
    return final * ramps.linear(t - start, end - start)


class PseudoLabel(Method):
    """L = L_s + α(t) mean_U M · H(sg argmax z_w, z_w), M = [max p_w ≥ τ].

    One weak view, one forward pass: the gradient flows through z_w as prediction, not as label.

    The defaults are Lee's: no threshold (τ = 0), α_f = 3.  He counts T1 = 100 and T2 = 600 epochs; shares of
    the training after the warm-up stand for them here (of 1000 epochs; default to be confirmed).  USB's form
    is `threshold: 0.95, unlabeled_weight: 1.0, ramp_start: 0.0, ramp_end: 0.4`.
    """

    name = "pseudo_label"
    source = Source(
        "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks",
        "ICML Workshop",
        2013,
        "https://www.kaggle.com/blobs/download/forum-message-attachment-files/746/pseudo_label_final.pdf",
    )
    separable = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """α_f = 3, T1 and T2: Lee 2013, default to be confirmed."""

        threshold: Annotated[Probability, Choices((0.0, 0.7, 0.95))] = 0.0
        unlabeled_weight: Annotated[Weight, Choices((0.3, 1.0, 3.0))] = 3.0
        ramp_start: Share = 0.1
        ramp_end: Probability = 0.6

    config: Config

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.thresholding = FixedThreshold(config.threshold)

    def recipe(self) -> Recipe:
        """One weak view of each unlabeled clip."""
        return recipes.one_weak(self.sampler())

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One forward pass of labeled and weak views together."""
        config = self.config
        labeled, weak = joint(self.student, batch.labeled["labeled"], batch.unlabeled["weak"])
        probs = losses.probabilities(weak.detach())
        label, weight = probs.argmax(1), self.thresholding(probs, batch.unlabeled_index)
        factor = alpha(progress.semi_fraction, config.ramp_start, config.ramp_end, config.unlabeled_weight)
        return Step(
            {
                "supervised": losses.supervised(labeled, batch.label),
                "unsupervised": factor * losses.pseudo_label(weak, label, weight),
            },
            pseudo_label=label,
            weight=weight,
        )
