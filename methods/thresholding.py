"""Which pseudo-labels count, and how much: (probs, index) -> weight per unlabeled sample.

Every rule is a module, so that its state is part of the checkpoint.  The weight never carries gradient.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Thresholding(Protocol):
    """The interface of all rules."""

    def __call__(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """Weights of a batch.

        Args:
            probs: (U, C) probabilities of the weak view.
            index: (U,) stable positions of the samples in the unlabeled split.
            spread: (U, C) standard deviation of the probabilities over stochastic passes, where the
                method makes several.

        Returns:
            (U,) weights in [0, 1].
        """


class FixedThreshold(nn.Module):
    """Weight 1 from a confidence of `threshold` on, 0 below (FixMatch, NeurIPS 2020, eq. 4)."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    @torch.no_grad()
    def forward(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """(U,) weights, 0 or 1."""
        return (probs.amax(1) >= self.threshold).to(probs.dtype)


class NoThreshold(nn.Module):
    """Weight 1 for every sample: the ablation of all rules."""

    @torch.no_grad()
    def forward(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """(U,) ones."""
        return torch.ones_like(probs[:, 0])


def truncated_gaussian(confidence: Tensor, mean: Tensor, variance: Tensor, n_sigma: float) -> Tensor:
    """exp(-min(confidence - mean, 0)^2 / (2 variance / n_sigma^2)) (SoftMatch, ICLR 2023, eq. 6).

    Args:
        confidence: (U,) largest probability of each sample.
        mean: () running mean of the confidence.
        variance: () running variance of the confidence.
        n_sigma: the larger, the faster weights fall below the mean.
    """
    below = (confidence - mean).clamp(max=0)
    width = (2 * variance / n_sigma**2).clamp(min=torch.finfo(variance.dtype).tiny)  # a mean of equals: 0 / 0
    return torch.exp(-below.square() / width)


class SoftMatchWeight(nn.Module):
    """A truncated Gaussian of the confidence whose mean and variance follow training (SoftMatch)."""

    mean: Tensor
    variance: Tensor

    def __init__(self, classes: int, momentum: float, n_sigma: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.n_sigma = n_sigma
        self.register_buffer("mean", torch.tensor(1 / classes))
        self.register_buffer("variance", torch.tensor(1.0))

    @torch.no_grad()
    def forward(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """(U,) weights; the batch (of at least 2 samples, for the variance) moves the state first."""
        confidence = probs.amax(1)
        if len(confidence) > 1:
            self.mean.lerp_(confidence.mean().to(self.mean.dtype), 1 - self.momentum)
            self.variance.lerp_(confidence.var().to(self.mean.dtype), 1 - self.momentum)
        return truncated_gaussian(confidence, self.mean, self.variance, self.n_sigma)
