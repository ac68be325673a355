"""SeFAR's multi-granular fusion head: pairs of levels and single levels, fused."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from methods.base import Head


def _project(width_in: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width_out), nn.GELU(), nn.LayerNorm(width_out))


class FusionHead(Head):
    """Level features -> logits.

    Every pair of levels (i < j) goes through one shared projection of its concatenation, every single
    level through another; all are concatenated, fused, dropped out and classified.  With L levels and
    width D' the fusion sees D' (L (L - 1) / 2 + L) features.

    Args:
        dim: backbone feature width D.
        levels: number of temporal levels L.
        classes: number of classes.
        dropout: before the last linear layer; 0.5 in the paper's release, the teacher's only randomness.
        width: D', 256 in the release.
    """

    def __init__(self, dim: int, levels: int, classes: int, dropout: float = 0.5, width: int = 256) -> None:
        super().__init__(width, classes, dropout)
        self.pairs = list(combinations(range(levels), 2))
        self.pair = _project(2 * dim, width) if self.pairs else nn.Identity()  # no weights that never train
        self.single = _project(dim, width)
        self.fuse = _project(width * (len(self.pairs) + levels), width)

    def embed(self, features: tuple[Tensor, ...]) -> Tensor:
        """One (N, D) feature per level -> (N, width)."""
        pairs = [self.pair(torch.cat([features[i], features[j]], 1)) for i, j in self.pairs]
        singles = [self.single(feature) for feature in features]
        fused: Tensor = self.fuse(torch.cat(pairs + singles, 1))
        return fused
