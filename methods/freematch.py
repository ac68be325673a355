"""FreeMatch: FixMatch whose thresholds follow the net's own confidence, and a term against class bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import losses
from methods.base import Source
from methods.config import Choices, Decay, Probability, Weight
from methods.fixmatch import FixMatch
from methods.thresholding import Thresholding
from methods.weak_strong import Seen

ABSENT = 1e-12
"""A running share below it counts as 0: that of a class nobody predicts shrinks until its inverse is inf."""
QUANTILE = 0.8
"""Of the confidence in a batch, where it replaces the mean (an option of the release)."""


def adaptive_thresholds(level: Tensor, marginal: Tensor) -> Tensor:
    """(C,) thresholds τ p̃_c / max p̃ of () level τ and (C,) average prediction p̃ (FreeMatch)."""
    return level * marginal / marginal.amax()


def modulated(shares: Tensor, histogram: Tensor) -> Tensor:
    """(C,) shares / histogram, scaled to sum 1; a class that the histogram lacks gets 0."""
    ratio = shares * torch.where(histogram > ABSENT, 1 / histogram, 0.0)
    return ratio / ratio.sum()


def fairness(logits: Tensor, weight: Tensor, marginal: Tensor, histogram: Tensor) -> Tensor:
    """Σ_c a_c log b_c, a = norm(p̃ / h̃), b = norm(q̄ / h̄) over the clips that count; minimised.

    A class that no strong view is predicted as has b_c = 0 and no gradient: it adds a_c log 1e-12.

    Args:
        logits: (U, C) of the strong view, with gradient.
        weight: (U,) 0 or 1.
        marginal: (C,) p̃, running mean of the weak predictions.
        histogram: (C,) h̃, running share of each class among the weak predictions.

    Returns:
        () the self-adaptive fairness loss (FreeMatch); 0 where no clip counts.
    """
    if not weight.any():
        return logits.new_zeros(())
    counted = losses.probabilities(logits)[weight > 0]
    predicted = F.one_hot(counted.argmax(1), counted.shape[1]).to(counted.dtype).mean(0)
    wanted, found = modulated(marginal, histogram), modulated(counted.mean(0), predicted)
    return (wanted * torch.log(found + 1e-12)).sum()


class FreeMatchThreshold(nn.Module):
    """Weight 1 from the threshold of the predicted class on (self-adaptive thresholding).

    The state follows the batch first, and then judges it.
    """

    level: Tensor
    marginal: Tensor
    histogram: Tensor

    def __init__(self, classes: int, momentum: float, *, quantile: bool, clip: bool) -> None:
        super().__init__()
        self.momentum = momentum
        self.quantile = quantile
        self.clip = clip
        self.register_buffer("level", torch.tensor(1 / classes))
        self.register_buffer("marginal", torch.full((classes,), 1 / classes))
        self.register_buffer("histogram", torch.full((classes,), 1 / classes))

    def follow(self, probs: Tensor) -> None:
        """Moves the state with (U, C) probabilities."""
        confidence, label = probs.max(1)
        level = confidence.quantile(QUANTILE) if self.quantile else confidence.mean()
        shares = F.one_hot(label, probs.shape[1]).to(probs.dtype).mean(0)
        for state, new in ((self.level, level), (self.marginal, probs.mean(0)), (self.histogram, shares)):
            state.lerp_(new.to(state.dtype), 1 - self.momentum)
        if self.clip:
            self.level.clamp_(0.0, 0.95)

    @torch.no_grad()
    def forward(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """(U,) weights, 0 or 1."""
        self.follow(probs)
        confidence, label = probs.max(1)
        return (confidence >= adaptive_thresholds(self.level, self.marginal)[label]).to(probs.dtype)


class FreeMatch(FixMatch):
    """FixMatch with M = [max p_w ≥ τ p̃_ŷ / max p̃], plus w_f Σ_c a_c log b_c."""

    name = "freematch"
    source = Source(
        "FreeMatch: Self-adaptive Thresholding for Semi-supervised Learning",
        "ICLR",
        2023,
        "https://arxiv.org/abs/2205.07246",
    )
    separable = False  # the thresholds follow every batch before they judge it

    @dataclass(frozen=True, kw_only=True)
    class Config(FixMatch.Config):
        """Momentum 0.999 and w_f = 0.01 are USB's defaults (its configs have 0.001); `threshold` is not used.

        `quantile`: the 0.8-quantile of a batch's confidence instead of its mean.  `clip`: τ at most 0.95.
        """

        threshold: Probability = 0.95  # without the tuning range of FixMatch: a search would be wasted
        momentum: Annotated[Decay, Choices((0.9, 0.95, 0.99, 0.999))] = 0.999
        fairness_weight: Annotated[Weight, Choices((0.001, 0.01, 0.05))] = 0.01
        quantile: bool = False
        clip: bool = False

    config: Config
    thresholding: FreeMatchThreshold

    def build_thresholding(self) -> Thresholding:
        """Thresholds that follow the average confidence and the average prediction."""
        config = self.config
        return FreeMatchThreshold(
            self.task.classes, config.momentum, quantile=config.quantile, clip=config.clip
        )

    def further_losses(self, seen: Seen) -> dict[str, Tensor]:
        """The fairness term."""
        rule = self.thresholding
        term = fairness(seen.logits["strong"], seen.weight, rule.marginal, rule.histogram)
        return {"fairness": self.config.fairness_weight * term}
