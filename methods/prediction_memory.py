"""What the net has predicted for each unlabeled clip so far, averaged over its visits."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PredictionMemory(nn.Module):
    """Z_i <- α Z_i + (1 - α) p_i at each visit of clip i; its target is Z_i / (1 - α^visits).

    This is temporal ensembling (Laine & Aila, ICLR 2017, section 2.3).  The paper updates all clips when an
    epoch ends.  Here each clip is updated when it is visited and counts its own visits: the same numbers
    where every clip is visited once per epoch, and right without knowing where an epoch ends.
    """

    sums: Tensor
    visits: Tensor

    def __init__(self, clips: int, classes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("sums", torch.zeros(clips, classes))
        self.register_buffer("visits", torch.zeros(clips, dtype=torch.long))

    def targets(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The (U, C) averages of the clips at `index` (U,), and (U,) bool whether there was a visit at all.

        Without a visit the row is 0 and must not be used.
        """
        visits = self.visits[index]
        missing = self.momentum ** visits.double()  # the share of Z that its start at zero still has
        correction = torch.where(visits > 0, 1 - missing, torch.ones_like(missing))
        return self.sums[index] / correction.to(self.sums.dtype)[:, None], visits > 0

    @torch.no_grad()
    def add(self, index: Tensor, probs: Tensor) -> None:
        """A visit of the clips at `index` (U,) with predictions (U, C).

        A clip that stands twice in the batch (at the seam of two epochs) counts as one visit with the
        mean of its predictions, so that the result does not depend on the order of writing.
        """
        clips, row, copies = torch.unique(index, return_inverse=True, return_counts=True)
        probs = probs.to(self.sums.dtype)
        total = torch.zeros_like(self.sums[clips]).index_add_(0, row, probs)
        self.sums[clips] = torch.lerp(total / copies[:, None], self.sums[clips], self.momentum)
        self.visits[clips] += 1
