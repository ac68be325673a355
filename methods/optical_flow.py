"""Optical flow as images, by torchvision's RAFT (Teed & Deng, ECCV 2020) with weights from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.errors import UserError
from datasets.types import Clip

_SMALLEST = 128  # pixels; RAFT halves an eighth of the side three times and compares what is left
_GRID = 8  # RAFT takes sides that are a multiple of this
_PAIRS = 32  # frame pairs at a time: a pair of 224 pixels compares 784 by 784 places
_REACH = 0.1  # of the side; displacements beyond are cut, as 20 pixels of 224 are in two-stream nets


def missing(path: str, field: str) -> str | None:
    """Why the weights cannot be read from `path`, the value of a config field; None if the file exists."""
    if Path(path).is_file():
        return None
    return (
        f"config field '{field}' names '{path}', but there is no such file; give the state_dict of "
        "torchvision's raft_small or raft_large, or leave the field empty to train without optical flow"
    )


def load_raft(path: str, field: str) -> nn.Module:
    """RAFT with weights from a file; which of the two nets it is follows from the names in the file.

    Raises:
        UserError: when the file is missing or holds something else.
    """
    # Imported here: it takes seconds, and runs without flow do not need it.
    from torchvision.models.optical_flow import raft_large, raft_small  # noqa: PLC0415

    reason = missing(path, field)
    if reason is not None:
        raise UserError(f"{reason}.")
    try:
        weights: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        large = any(name.startswith("mask_predictor.") for name in weights)  # the small net interpolates
        net = cast(nn.Module, (raft_large if large else raft_small)(weights=None))
        net.load_state_dict(weights)
    except Exception as error:  # whatever a file of another kind makes torch raise
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"config field '{field}' names '{path}', which is not the state_dict of torchvision's raft_small "
            f"or raft_large ({first}); give such a file, or leave the field empty to train without flow."
        ) from error
    return net


class OpticalFlow(nn.Module):
    """Clip -> clip of flow images with three channels: displacement to the right, down, and its length.

    The net is frozen.  It sees the *normalized* frames of a view, each clip stretched to [-1, 1], because
    no others reach a method.  Displacements are in units of a tenth of the side, cut at 1.  The first
    frame repeats the second, as in `temporal_gradient`.
    """

    def __init__(self, net: nn.Module, updates: int = 12) -> None:
        super().__init__()
        self.net = net.requires_grad_(False).eval()
        self.updates = updates

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, clip: Clip) -> Clip:
        """(N, 3, T, H, W) per level, T ≥ 2 -> the same shapes."""
        return tuple(self._level(x) for x in clip)

    def _level(self, x: Tensor) -> Tensor:
        n, _, frames, height, width = x.shape
        images = _stretched(x).transpose(1, 2)
        before, after = images[:, :-1].flatten(0, 1), images[:, 1:].flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            parts = [
                self.net(a, b, num_flow_updates=self.updates)[-1]
                for a, b in zip(torch.split(before, _PAIRS), torch.split(after, _PAIRS), strict=True)
            ]
        flow = torch.cat(parts)
        reach = _REACH * torch.tensor([flow.shape[3], flow.shape[2]]).to(flow).view(1, 2, 1, 1)
        flow = F.interpolate(flow / reach, size=(height, width), mode="bilinear", align_corners=False)
        images = torch.cat([flow, flow.norm(dim=1, keepdim=True)], 1).clamp(-1, 1)
        images = torch.unflatten(images, 0, (n, frames - 1)).transpose(1, 2)
        return torch.cat([images[:, :, :1], images], 2).to(x.dtype)


def _stretched(x: Tensor) -> Tensor:
    """(N, 3, T, H, W) in any range -> in [-1, 1] per clip, with sides that RAFT takes."""
    low, high = x.amin((1, 2, 3, 4), keepdim=True), x.amax((1, 2, 3, 4), keepdim=True)
    x = 2 * (x - low) / (high - low).clamp(min=torch.finfo(x.dtype).tiny) - 1
    size = tuple(max(_SMALLEST, -(-side // _GRID) * _GRID) for side in x.shape[-2:])
    return F.interpolate(x, size=(x.shape[2], *size), mode="trilinear", align_corners=False)
