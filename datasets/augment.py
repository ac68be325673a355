"""Weak and strong augmentation of clips, batched on the training device.

A *policy* is data (it is part of the trial's specification).  One draw per clip holds for all its
frames and levels: geometry and color never flicker.  Draws come from `datasets.draws`, so they depend
on (seed, epoch, index, view) alone, and the pixel work is done for the whole batch at once.

The ranges here are relatives of RandAugment's operations, which `rand_augment` has themselves, with
Cutout as a tube (DeVries & Taylor, 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from datasets.policy import MOST_OPS, AugmentPolicy

_UNIFORMS = 24  # uniforms drawn per clip; a fixed number, so that switching one effect moves no other
_COINS = [5, 9, 14]  # columns of the uniforms that are compared with a probability: flip, color, cutout
_NORMALS = 9  # entries of the color-mixing matrix


@dataclass(frozen=True)
class Draw:
    """Random numbers of B clips: `uniform` (B, 24) and `operation` (B, 8) in [0, 1), `normal` (B, 9)."""

    uniform: Tensor
    normal: Tensor
    operation: Tensor

    def of(self, members: Sequence[int]) -> Draw:
        """The numbers of some of the clips."""
        chosen = list(members)
        return Draw(self.uniform[chosen], self.normal[chosen], self.operation[chosen])


def draw(generators: Sequence[np.random.Generator]) -> Draw:
    """All random numbers that the augmentation of these clips can use, one generator per clip."""
    uniform = np.stack([g.random(_UNIFORMS, dtype=np.float32) for g in generators])
    normal = np.stack([g.standard_normal(_NORMALS, dtype=np.float32) for g in generators])
    operation = np.stack([g.random(2 * MOST_OPS, dtype=np.float32) for g in generators])
    return Draw(torch.from_numpy(uniform), torch.from_numpy(normal), torch.from_numpy(operation))


def central(batch: int) -> Draw:
    """The draw of deterministic evaluation: every range at its middle, every coin not tossed."""
    uniform = torch.full((batch, _UNIFORMS), 0.5)
    uniform[:, _COINS] = 1.0  # above every probability
    return Draw(uniform, torch.zeros(batch, _NORMALS), torch.zeros(batch, 2 * MOST_OPS))  # 0: identity


def crop(frames: Tensor, policy: AugmentPolicy, numbers: Draw, size: int, mirror: bool) -> Tensor:
    """Cuts, scales, rotates and flips clips of one shape with one affine map per clip.

    Args:
        frames: (B, T, 3, H, W) float.
        policy: ranges; `flip` counts only where `mirror` allows it.
        numbers: the draw of the batch.
        size: side of the square result in pixels.
        mirror: whether the data set's labels survive a left-right flip.

    Returns:
        (B, T, 3, size, size) float.
    """
    b, t, c, h, w = frames.shape
    u = numbers.uniform.to(frames.device)
    short = min(h, w)
    low, high = policy.scale
    scale = low + (high - low) * u[:, 0]
    aspect = 1 + policy.aspect * (2 * u[:, 1] - 1)
    angle = math.radians(policy.rotate) * (2 * u[:, 2] - 1)
    extent = torch.stack([scale * aspect * short / w, scale / aspect * short / h], 1)  # half-extent in (x, y)
    shift = 2 * u[:, 3:5] - 1
    if policy.translate is None:
        shift = shift * (1 - extent).clamp(min=0)
    else:
        shift = shift * policy.translate * torch.tensor([short / w, short / h], device=frames.device)
    sign = torch.where(u[:, 5] < policy.flip, -1.0, 1.0) if mirror and policy.flip else torch.ones_like(scale)
    cos, sin = torch.cos(angle), torch.sin(angle)
    row_x = torch.stack([extent[:, 0] * cos * sign, -extent[:, 0] * sin, shift[:, 0]], 1)
    row_y = torch.stack([extent[:, 1] * sin * sign, extent[:, 1] * cos, shift[:, 1]], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), [b, 1, size, size], align_corners=False)
    out = F.grid_sample(frames.reshape(b, t * c, h, w), grid, align_corners=False, padding_mode="border")
    return out.view(b, t, c, size, size)


def recolor(frames: Tensor, policy: AugmentPolicy, numbers: Draw) -> Tensor:
    """Changes colors, contrast and brightness, adds noise and cuts a tube; one draw per clip.

    Args:
        frames: (B, T, 3, S, S) float in [0, 1].
        policy: ranges.
        numbers: the draw of the batch.

    Returns:
        The same shape; values may leave [0, 1].
    """
    b = frames.shape[0]
    u = numbers.uniform.to(frames.device)
    matrix = _color_matrices(policy, u, numbers.normal.to(frames.device))
    contrast = 1 + policy.contrast * (2 * u[:, 10] - 1)
    brightness = 1 + policy.contrast * (2 * u[:, 11] - 1)
    # (x - m) contrast + m brightness, then the color matrix: one affine map per clip, applied at once.
    mean = frames.mean((1, 2, 3, 4))
    offset = matrix.sum(2) * (mean * (brightness - contrast))[:, None]
    mixed = torch.einsum("bij,btjhw->btihw", matrix * contrast[:, None, None], frames)
    mixed += offset.view(b, 1, 3, 1, 1)  # in place: fresh memory costs as much as the arithmetic
    if policy.noise:
        mixed += _noise(mixed.shape, u[:, 12]).mul_((policy.noise * u[:, 13]).view(b, 1, 1, 1, 1))
    return _cut_tube(mixed, policy, u) if policy.cutout else mixed


def _color_matrices(policy: AugmentPolicy, u: Tensor, normal: Tensor) -> Tensor:
    """(B, 3, 3): identity plus noise; for some clips with permuted columns or collapsed to gray."""
    b = u.shape[0]
    matrix = torch.eye(3, device=u.device) + policy.color_mix * normal.view(b, 3, 3)
    order = u[:, 6:9].argsort(1)
    permuted = matrix.gather(2, order[:, None, :].expand(b, 3, 3))
    gray = matrix.mean(1, keepdim=True).expand(b, 3, 3)
    coin = u[:, 9].view(b, 1, 1)
    matrix = torch.where((coin >= policy.permute) & (coin < policy.permute + policy.gray), gray, matrix)
    return torch.where(coin < policy.permute, permuted, matrix)


@lru_cache(maxsize=4)
def _noise_bank(length: int) -> NDArray[np.float32]:
    """Standard normal numbers that clips read from an offset of their own: noise at the cost of a copy."""
    return np.random.Generator(np.random.Philox(key=0)).standard_normal(length, dtype=np.float32)


def _noise(shape: torch.Size, offset: Tensor) -> Tensor:
    """Noise of `shape` (B, ...); clip i reads the bank from the position that offset[i] in [0, 1) names."""
    each = math.prod(shape[1:])
    bank = torch.from_numpy(_noise_bank(4 * each))
    starts = (offset.double().cpu() * 3 * each).long().tolist()
    return torch.stack([bank.narrow(0, start, each) for start in starts]).view(shape).to(offset.device)


def _cut_tube(frames: Tensor, policy: AugmentPolicy, u: Tensor) -> Tensor:
    """Fills, in place, one rectangle, the same in all frames of a clip, with one gray value."""
    size = frames.shape[-1]
    low, high = policy.cutout_size
    side = (low + (high - low) * u[:, 15:17]) * size
    start = (u[:, 17:19] * (1 - low / 2) - low / 2) * size
    at = torch.arange(size, device=frames.device) + 0.5
    inside = [(at >= start[:, i : i + 1]) & (at < (start + side)[:, i : i + 1]) for i in (0, 1)]
    tube = inside[1][:, :, None] & inside[0][:, None, :] & (u[:, 14] < policy.cutout)[:, None, None]
    fill = 0.7 * u[:, 19].view(-1, 1, 1, 1, 1)
    torch.where(tube[:, None, None], fill, frames, out=frames)
    return frames


def normalize(frames: Tensor, how: str) -> Tensor:
    """Centres and scales pixels.

    Args:
        frames: (B, T, 3, S, S) float in [0, 1], all frames of all levels of each clip.
        how: "clip" subtracts the clip's mean image and divides by its own sd (a moving figure before a
            still background stands out); "kinetics" is the fixed (x - 0.45) / 0.225 of SeFAR and SVFormer.

    Raises:
        ValueError: for another name.
    """
    if how == "clip":
        still = frames.mean(1, keepdim=True)
        # Var = E[x^2] - E[x]^2: a third of the time of torch.std, exact enough for pixels in about [0, 1].
        squares = frames.square()
        power = squares.mean((1, 2, 3, 4), keepdim=True)
        variance = power - still.mean((2, 3, 4), keepdim=True).square()
        sd = variance.clamp(min=0).sqrt() + 0.02  # 0.02 keeps uniform clips finite
        # The result takes the memory of the squares, channels before frames, as the nets want them.
        b, t, c, height, width = frames.shape
        result = squares.reshape(b, c, t, height, width).transpose(1, 2)
        return torch.sub(frames, still, out=result).div_(sd)
    if how == "kinetics":
        return (frames - 0.45) / 0.225
    raise ValueError(f"unknown normalization '{how}': use 'clip' or 'kinetics'")
