"""The rotation task: by how many quarter turns was a clip turned (Gidaris et al., ICLR 2018; ReMixMatch)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from datasets.types import Clip
from methods.base import Classifier, Head
from methods.draws import Draws

QUARTERS = 4
"""Classes of the task: 0, 90, 180 and 270 degrees."""


def draw_turns(clips: int, draws: Draws) -> Tensor:
    """(clips,) int64 in 0..3: the quarter turns of each clip, each equally likely."""
    return torch.tensor([draws.integer(0, QUARTERS - 1, f"turns/{i}") for i in range(clips)])


def rotate(clip: Clip, turns: Tensor) -> Clip:
    """Turns every frame of clip i counterclockwise by the same `turns[i]` quarter turns.

    Args:
        clip: square clips, (N, 3, T, S, S) per level; not changed.
        turns: (N,) int64 in 0..3, on the clip's device.

    Returns:
        The same shapes.
    """
    rotated = []
    for x in clip:
        out = torch.empty_like(x)
        for quarter in range(QUARTERS):
            chosen = turns == quarter
            out[chosen] = torch.rot90(x[chosen], quarter, (3, 4))
        rotated.append(out)
    return tuple(rotated)


class RotationClassifier(Classifier):
    """A classifier with a second head, which tells quarter turns; evaluation never asks it.

    Args:
        backbone: as any classifier's.
        head: as any classifier's.
        width: numbers in the features of all levels together.
    """

    def __init__(self, backbone: nn.Module, head: Head, width: int) -> None:
        super().__init__(backbone, head)
        self.rotation = nn.Linear(width, QUARTERS)

    def turns(self, clip: Clip) -> Tensor:
        """(N, 4) logits of the quarter turns."""
        return cast(Tensor, self.rotation(torch.cat(self.features(clip), 1)))
