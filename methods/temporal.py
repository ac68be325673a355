"""Perturbations of time: which of its own frames a clip shows at each position.

All functions return frame indices of shape (T,) into a level of T frames; `reorder` applies them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.draws import Draws


def reorder(x: Tensor, order: Tensor) -> Tensor:
    """Frames `order` of a (N, C, T, H, W) level, the same for the whole batch."""
    return x.index_select(2, order.to(x.device))


def reverse(frames: int) -> Tensor:
    """Backwards in time."""
    return torch.arange(frames - 1, -1, -1)


def shuffle(frames: int, draws: Draws, purpose: str) -> Tensor:
    """A random order."""
    return draws.permutation(frames, f"shuffle/{purpose}")


def slow(frames: int, draws: Draws, purpose: str) -> Tensor:
    """Half speed: half of the frames, from a random start, each shown twice."""
    start = draws.integer(0, frames // 2, f"slow/{purpose}")
    return torch.clamp(start + torch.arange(frames) // 2, max=frames - 1)


def drop(frames: int, draws: Draws, purpose: str, p: float = 0.5) -> Tensor:
    """Each frame but the first is lost with probability p and replaced by the last one shown (T-Drop)."""
    kept = draws.dropout((frames,), p, f"drop/{purpose}") > 0
    kept[0] = True
    return torch.where(kept, torch.arange(frames), torch.zeros(frames, dtype=torch.long)).cummax(0).values


def half(frames: int, draws: Draws, purpose: str) -> Tensor:
    """One random half of the level, played twice (T-Half); an odd last position repeats the last frame."""
    length = max(1, frames // 2)
    start = draws.choice((0, frames - length), f"half/{purpose}")
    once = start + torch.arange(length)
    return torch.cat([once, once, once[-1:]])[:frames]


def warp(frames: int, draws: Draws, purpose: str) -> Tensor:
    """SVFormer's temporal warping augmentation (CVPR 2023, section 3.3).

    Keeps a quarter, a half or all of the frames with equal probability; the kept ones, in order, cover
    the positions around them, with a random cut between neighbors.
    """
    kept = draws.choice((max(1, frames // 4), max(1, frames // 2), frames), f"warp/{purpose}/kept")
    positions = draws.subset(frames, kept, f"warp/{purpose}/which")
    order = torch.full((frames,), int(positions[0]))
    for i, (left, right) in enumerate(zip(positions[:-1].tolist(), positions[1:].tolist(), strict=True)):
        cut = draws.integer(left, right, f"warp/{purpose}/cut/{i}")
        order[left:cut] = left
        order[cut:right] = right
        order[right:] = right
    return order
