"""Moderate temporal perturbation, and the other ways of disturbing time that the paper compares it with.

A perturbation acts inside each level.  "Moderate" ones leave the last level, the context, untouched.
With a single level that level is the context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from datasets.types import Clip
from methods import temporal
from methods.draws import Draws

Perturbation = Literal[
    "none", "spatial_only", "slow", "t_drop", "all_shuffle", "local_shuffle", "warping", "t_half",
    "all_reverse", "mod_reverse",
]  # fmt: skip
"""`none` shows the student the weak augmentation, `spatial_only` the strong one with time untouched."""

_Order = Callable[[int, Draws, str], Tensor]

_ORDERS: dict[str, tuple[_Order, bool]] = {  # name -> (frame order of a level, context too?)
    "slow": (temporal.slow, True),
    "t_drop": (temporal.drop, True),
    "all_shuffle": (temporal.shuffle, True),
    "local_shuffle": (temporal.shuffle, False),
    "warping": (temporal.warp, True),
    "t_half": (temporal.half, True),
    "all_reverse": (lambda frames, draws, purpose: temporal.reverse(frames), True),
    "mod_reverse": (lambda frames, draws, purpose: temporal.reverse(frames), False),
}


def perturb(clip: Clip, how: Perturbation, draws: Draws) -> Clip:
    """The clip with time disturbed inside its levels; one draw per level for the whole batch.

    Args:
        clip: (U, C, T, H, W) per level, the last one the context.
        how: the perturbation's name; `none` and `spatial_only` change nothing.
        draws: source of the random ones.
    """
    if how in ("none", "spatial_only"):
        return clip
    order, context_too = _ORDERS[how]
    last = len(clip) - 1
    return tuple(
        temporal.reorder(x, order(x.shape[2], draws, str(level))) if context_too or level < last else x
        for level, x in enumerate(clip)
    )
