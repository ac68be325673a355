"""The small net of the embedded suite: 130,000 parameters, tens of milliseconds a batch on one CPU thread."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.errors import UserError


def _move(x: Tensor, frames: int, sign: int) -> Tensor:
    """The shift itself; channels stay the innermost axis in memory, where convolutions are quickest."""
    source = torch.unflatten(x.permute(0, 2, 3, 1), 0, (-1, frames))
    out = source.clone(memory_format=torch.contiguous_format)
    fold = x.shape[1] // 4
    first, second = slice(0, fold), slice(fold, 2 * fold)
    back, forth = (first, second) if sign > 0 else (second, first)
    out[:, :-1, ..., back] = source[:, 1:, ..., back]
    out[:, -1, ..., back] = 0
    out[:, 1:, ..., forth] = source[:, :-1, ..., forth]
    out[:, 0, ..., forth] = 0
    return out.flatten(0, 1).permute(0, 3, 1, 2)


class _Shift(torch.autograd.Function):
    """Temporal shift; its gradient is the shift the other way round, one copy instead of four scatters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frames: int) -> Tensor:
        ctx.frames = frames
        return _move(x, frames, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _move(gradient, ctx.frames, -1), None


def temporal_shift(x: Tensor, frames: int) -> Tensor:
    """Moves a quarter of the channels one frame back and a quarter one frame forth (TSM, ICCV 2019).

    Args:
        x: (N frames, C, H, W), frames of one clip together.
        frames: T.

    Returns:
        The same shape; what enters from outside the clip is 0.
    """
    return cast(Tensor, _Shift.apply(x, frames))


class _Norms(nn.Module):
    """The batch normalizations of one level."""

    def __init__(self, w1: int, w2: int, w3: int, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(w) for w in (w1, w2, w3))
        self.norm4, self.norm5 = nn.BatchNorm1d(dim), nn.BatchNorm1d(dim)


class ShiftNet(nn.Module):
    """Frames and frame differences -> three 2-D convolutions with temporal shift -> two temporal ones.

    Input 32 x 32 pixels, centered and scaled per clip.  The feature is mean and maximum over time.

    Every level goes through the same convolutions.  Batch normalization is by level where there are several
    `levels`: frames of a short element and of a whole clip move differently, and a running average over both
    fits neither (layer normalization, which the nets of SeFAR's paper have, knows no such average).  With
    one, the default, all levels share it.

    Raises:
        UserError: for `levels` below 1, or clips with more levels than several that it was made for.
    """

    patch = (1, 8, 8)  # 4 x 4 cells of a 32 x 32 clip: as many tubes as make sense at this size

    def __init__(self, width: int = 16, dim: int = 96, levels: int = 1) -> None:
        super().__init__()
        if levels < 1:
            raise UserError(
                f"backbone 'shiftnet': its config field 'levels' is {levels}; it must be at least 1."
            )
        w1, w2, w3 = width, 2 * width, 4 * width
        self.dim = 2 * dim
        self.conv1 = nn.Conv2d(6, w1, 5, 2, 2, bias=False)
        self.conv2 = nn.Conv2d(w1, w2, 3, 2, 1, bias=False)
        self.conv3 = nn.Conv2d(w2, w3, 3, 2, 1, bias=False)
        self.norms = nn.ModuleList(_Norms(w1, w2, w3, dim) for _ in range(levels))
        self.time1 = nn.Conv1d(4 * w3, dim, 3, padding=1, bias=False)
        self.time2 = nn.Conv1d(dim, dim, 3, padding=1, bias=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        """(N, 3, T, 32, 32) -> (N, 2 dim)."""
        n, _, frames = x.shape[:3]
        norms = self._norms(level)
        x = x.permute(0, 2, 3, 4, 1)
        difference = F.pad(x[:, 1:] - x[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        x = torch.cat([x, difference], 4).flatten(0, 1).permute(0, 3, 1, 2)
        x = F.relu(norms.norm1(self.conv1(x)), inplace=True)
        x = F.relu(norms.norm2(self.conv2(temporal_shift(x, frames))), inplace=True)
        x = F.relu(norms.norm3(self.conv3(temporal_shift(x, frames))), inplace=True)
        x = F.max_pool2d(x, 2).flatten(1).view(n, frames, -1).transpose(1, 2)
        x = F.relu(norms.norm4(self.time1(x)))
        x = x + F.relu(norms.norm5(self.time2(x)))
        return torch.cat([x.mean(2), x.amax(2)], 1)

    def _norms(self, level: int) -> _Norms:
        made = len(self.norms)
        if made > 1 and level >= made:
            raise UserError(
                f"backbone 'shiftnet' has batch normalizations for {made} levels, but clips have a level "
                f"{level + 1}; give its config field 'levels' their number, or leave it out to share one."
            )
        return cast(_Norms, self.norms[level if made > 1 else 0])


def shiftnet(width: int = 16, dim: int = 96, levels: int = 1) -> ShiftNet:
    """The backbone `shiftnet`."""
    return ShiftNet(width, dim, levels)
