"""SoftMatch: FixMatch whose threshold is a truncated Gaussian of the confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from methods.base import Source
from methods.config import Choices, Decay, Positive, Probability
from methods.fixmatch import FixMatch
from methods.thresholding import SoftMatchWeight, Thresholding


class SoftMatch(FixMatch):
    """Weight exp(-min(max p^a - μ, 0)² / (2σ²/n²)), p^a aligned to uniform; label from the unaligned p_w."""

    name = "softmatch"
    source = Source(
        "SoftMatch: Addressing the Quantity-Quality Trade-off in Semi-supervised Learning",
        "ICLR",
        2023,
        "https://arxiv.org/abs/2301.10921",
    )
    separable = False  # mean and variance of the confidence are those of batches

    @dataclass(frozen=True, kw_only=True)
    class Config(FixMatch.Config):
        """Momentum 0.999 and n = 2 are the paper's; `threshold` is not used."""

        threshold: Probability = 0.95  # without the tuning range of FixMatch: a search would be wasted
        alignment: Literal["none", "weight", "label"] = "weight"
        momentum: Annotated[Decay, Choices((0.9, 0.95, 0.99))] = 0.999
        n_sigma: Annotated[Positive, Choices((1.0, 2.0, 3.0))] = 2.0

    config: Config

    def build_thresholding(self) -> Thresholding:
        """The truncated Gaussian."""
        return SoftMatchWeight(self.task.classes, self.config.momentum, self.config.n_sigma)
