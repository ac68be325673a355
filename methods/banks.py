"""Memories of past clips: a queue of the latest ones, and one feature per labeled clip.

All state is in buffers, so that it is part of the checkpoint; nothing here carries a gradient.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.types import UNKNOWN


class Queue(nn.Module):
    """The last `size` rows of `width` numbers: first in, first out (memory bank of CoMatch, ICCV 2021)."""

    rows: Tensor
    position: Tensor
    filled: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @property
    def full(self) -> bool:
        """Whether as many rows were pushed as the queue holds."""
        return bool(self.filled == self.size)

    def entries(self) -> Tensor:
        """(n, width) copy of the rows pushed so far, n ≤ size, in no particular order."""
        return self.rows[: int(self.filled)].clone()

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Writes (n, width) rows over the oldest ones; of more than `size` rows the last ones stay.

        A batch that meets the end of the memory goes on at its start; a public code base drops that part.
        """
        rows = rows[-self.size :].to(self.rows)
        slots = (self.position + torch.arange(len(rows), device=self.rows.device)) % self.size
        self.rows[slots] = rows
        self.position.copy_((self.position + len(rows)) % self.size)
        self.filled.copy_((self.filled + len(rows)).clamp(max=self.size))


class LabeledBank(nn.Module):
    """One feature of length 1 per labeled clip, averaged over its visits (SimMatch, CVPR 2022).

    A visit changes the clip's feature to normalize(momentum · old + (1 - momentum) · new).  The clip's
    first visit writes it; until then it is no entry.  (The original starts from random vectors.)
    """

    features: Tensor
    labels: Tensor

    def __init__(self, clips: int, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("features", torch.zeros(clips, width))
        self.register_buffer("labels", torch.full((clips,), UNKNOWN))

    def entries(self) -> tuple[Tensor, Tensor]:
        """Copies of the (n, width) features and (n,) labels of the clips that were visited."""
        seen = self.labels != UNKNOWN
        return self.features[seen], self.labels[seen]

    @torch.no_grad()
    def update(self, index: Tensor, features: Tensor, labels: Tensor) -> None:
        """Takes over new features.

        Args:
            index: (B,) stable positions of the clips among the labeled ones.  A small labeled set can put
                a clip twice into a batch: its features then count as one, their mean.
            features: (B, width) of length 1.
            labels: (B,) classes.
        """
        clips, place = torch.unique(index, return_inverse=True)
        total = self.features.new_zeros(len(clips), features.shape[1])
        total.index_add_(0, place, features.to(total))
        moved = self.momentum * self.features[clips] + (1 - self.momentum) * F.normalize(total, dim=1)
        # Each clip's vector gets length 1.  A public code base stores vectors as columns, yet normalizes
        # rows, which mixes the clips of a batch.
        self.features[clips] = F.normalize(moved, dim=1)
        self.labels[index] = labels
