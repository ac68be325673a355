"""Distribution alignment: pull the average prediction towards a known class distribution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_EPSILON = 1e-6  # keeps the ratio finite for a class that is never predicted


def align(probs: Tensor, marginal: Tensor, target: Tensor) -> Tensor:
    """Probs · target / marginal, renormalised.

    Args:
        probs: (U, C) probabilities.
        marginal: (C,) average prediction so far.
        target: (C,) wanted class distribution.

    Returns:
        (U, C) probabilities (ReMixMatch, Berthelot et al., ICLR 2020, section 3.1).
    """
    aligned = probs * (target + _EPSILON) / (marginal + _EPSILON)
    return aligned / aligned.sum(1, keepdim=True)


class UniformAlignment(nn.Module):
    """Alignment to the uniform distribution with an EMA of the predictions (SoftMatch, ICLR 2023).

    The first batch sets the average; later ones move it with `momentum`, before it is used.
    """

    marginal: Tensor
    started: Tensor

    def __init__(self, classes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("marginal", torch.full((classes,), 1 / classes))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def forward(self, probs: Tensor) -> Tensor:
        """Updates the average with (U, C) probabilities and returns them aligned."""
        batch = probs.mean(0)
        moved = self.momentum * self.marginal + (1 - self.momentum) * batch
        self.marginal.copy_(torch.where(self.started, moved, batch))
        self.started.fill_(True)
        return align(probs, self.marginal, torch.full_like(self.marginal, 1 / len(self.marginal)))
