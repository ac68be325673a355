"""Adaptive regulation: how much a teacher's prediction counts, from its confidence and its fluctuation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def adaptive_weight(probability: Tensor, deviation: Tensor) -> Tensor:
    """η(p, s) = 2 sigmoid(e^p - e) · 2 (sigmoid(1 / (20 s + 1e-9)) - 1/2), in (0, 1].

    The first factor grows with confidence (1 at p = 1), the second falls with the fluctuation of the
    prediction over stochastic passes (1 at s = 0); 20 scales deviations of about 0.05 to the sigmoid's bend.
    There is no threshold: a teacher that is steadily ignorant still counts (η = 0.31 at p = 1/99, s = 0.002).

    Args:
        probability: (U,) mean probability of the predicted class.
        deviation: (U,) its unbiased standard deviation over the passes.

    Returns:
        (U,) weights.
    """
    confident = 2 * torch.sigmoid(probability.exp() - math.e)
    steady = 2 * (torch.sigmoid(1 / (20 * deviation + 1e-9)) - 0.5)
    return confident * steady


class AdaptiveRegulation(nn.Module):
    """The `Thresholding` of SeFAR: (probs, index, spread) -> η of the predicted class."""

    @torch.no_grad()
    def forward(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """(U,) weights from (U, C) mean probabilities and their (U, C) deviations; no spread counts as 0."""
        probability, label = probs.max(1)
        deviation = torch.zeros_like(probs) if spread is None else spread
        return adaptive_weight(probability, deviation.gather(1, label[:, None])[:, 0])
