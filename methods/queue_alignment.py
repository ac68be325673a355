"""Distribution alignment with the mean prediction of the latest batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.banks import Queue


def align_to_uniform(probs: Tensor, marginal: Tensor) -> Tensor:
    """(U, C) probs / (C,) marginal, renormalized: `alignment.align` to the uniform without its epsilon.

    The marginal holds the batch itself, so a class has probability 0 on average only where every clip
    gives it 0, and it stays at 0.
    """
    aligned = probs / marginal.clamp(min=torch.finfo(marginal.dtype).tiny)
    return aligned / aligned.sum(1, keepdim=True)


class QueueAlignment(nn.Module):
    """Alignment to the uniform distribution over a queue of batch means (CoMatch, ICCV 2021).

    The batch joins the queue before it is aligned; the first one is aligned by its own mean alone.
    """

    def __init__(self, classes: int, batches: int) -> None:
        super().__init__()
        self.means = Queue(batches, classes)

    @torch.no_grad()
    def forward(self, probs: Tensor) -> Tensor:
        """Remembers the mean of (U, C) probabilities and returns them aligned."""
        self.means.push(probs.mean(0, keepdim=True))
        return align_to_uniform(probs, self.means.entries().mean(0))
