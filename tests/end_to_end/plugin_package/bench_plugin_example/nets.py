"""A backbone: one convolution over space and time, and the mean of what it sees."""

from __future__ import annotations

from torch import Tensor, nn


class PooledNet(nn.Module):
    """(N, 3, T, H, W) -> (N, dim)."""

    patch = (1, 8, 8)

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.conv = nn.Conv3d(3, dim, (3, 8, 8), (1, 4, 4), padding=(1, 2, 2))

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        return self.conv(x).relu().mean((2, 3, 4))


def pooled_net(dim: int = 16) -> PooledNet:
    """One convolution and a mean."""
    return PooledNet(dim)
