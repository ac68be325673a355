"""Mixing of clips and of their targets.

Tube mixing is done in pixel space on the backbone's patch grid: for non-overlapping patch embeddings
this is the same function as mixing tokens after the embedding, and it works with any backbone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.types import Clip
from methods.draws import Draws


def tube_mask(rows: int, columns: int, share: float, draws: Draws, purpose: str) -> Tensor:
    """A (rows, columns) bool mask with floor(share · rows · columns) cells set (SVFormer's TTMix)."""
    cells = rows * columns
    mask = torch.zeros(cells, dtype=torch.bool)
    mask[draws.subset(cells, int(share * cells), purpose)] = True
    return mask.view(rows, columns)


def tube_mix(clip: Clip, partner: Clip, share: float, patch: tuple[int, int, int], draws: Draws) -> Clip:
    """Replaces tubes of `clip` by those of `partner`; one mask per level, shared by frames and batch.

    Args:
        clip: (U, C, T, H, W) per level; kept where the mask is set.
        partner: the same shapes; shown elsewhere.
        share: share of cells that are kept.
        patch: the backbone's grid (t, h, w) in frames and pixels.
        draws: source of the masks.

    Returns:
        The mixed clip, same shapes.
    """
    mixed = []
    for level, (ours, theirs) in enumerate(zip(clip, partner, strict=True)):
        height, width = ours.shape[-2:]
        rows, columns = max(1, height // patch[1]), max(1, width // patch[2])
        mask = tube_mask(rows, columns, share, draws, f"tube/{level}")
        row = (torch.arange(height) // patch[1]).clamp(max=rows - 1)  # the last cells take what is left over
        column = (torch.arange(width) // patch[2]).clamp(max=columns - 1)
        mixed.append(torch.where(mask[row][:, column].to(ours.device), ours, theirs))
    return tuple(mixed)


def blend(values: Tensor, share: float, order: Tensor) -> Tensor:
    """Targets or weights (U, ...) of a mixed batch: share · values_i + (1 - share) · values_order(i)."""
    return share * values + (1 - share) * values[order]


def mix_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """mean_i weight_i · mean_c (logits - target)^2: raw logits against probabilities, as in SVFormer."""
    return (weight * (logits - target).square().mean(1)).mean()


def drop_channels(clip: Clip, p: float, draws: Draws, purpose: str) -> Clip:
    """Drops whole color channels of a clip with probability p, survivors scaled by 1 / (1 - p).

    This is what `dropout2d` does to a (U, C, T, H, W) tensor in the releases of SVFormer and SeFAR.
    """
    if p == 0:
        return clip
    return tuple(
        x * draws.dropout((x.shape[0], x.shape[1]), p, f"{purpose}/{i}").to(x)[:, :, None, None, None]
        for i, x in enumerate(clip)
    )
