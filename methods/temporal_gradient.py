"""Temporal gradients: differences of successive frames, shown to a net as if they were frames.

The releases of LTG and MvPL's reimplementation subtract *adjacent raw* frames, (x_{t-1} - x_t + 255) / 2 in
8 bits.  Here a view decodes no frame that it does not show, so successive *shown* frames are subtracted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.types import Clip


def temporal_gradient(x: Tensor) -> Tensor:
    """(x_{t-1} - x_t) / 2 at every frame t (LTG, CVPR 2022); the first repeats the second.

    Args:
        x: (N, C, T, H, W), T ≥ 2.  Pixels in 8 bits become 8 bits, with 255 added before halving (no motion
            is a middle gray) and the half truncated, as in the release.  Normalized pixels need neither:
            no motion is 0, and the mean that normalization took away cancels.

    Returns:
        The same shape and type.

    Raises:
        ValueError: for a single frame.
    """
    if x.shape[2] < 2:
        raise ValueError("temporal gradients need at least two frames")
    before, after = x[:, :, :-1], x[:, :, 1:]
    if x.dtype == torch.uint8:
        change = ((before.int() - after.int() + 255) // 2).to(torch.uint8)
    else:
        change = (before - after) / 2
    return torch.cat([change[:, :, :1], change], 2)


def gradient_clip(clip: Clip) -> Clip:
    """The temporal gradients of every level."""
    return tuple(temporal_gradient(x) for x in clip)


def refusal(frames: int) -> str | None:
    """Why views of so many frames have no temporal gradient, or None."""
    if frames >= 2:
        return None
    return f"temporal gradients compare successive frames, but its views have {frames}; give them 2 or more"
