"""Exponential moving average of a model's weights (mean teacher; Polyak averaging)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def frozen_copy(model: M) -> M:
    """A copy in evaluation mode that no optimizer and no gradient touches."""
    twin = copy.deepcopy(model).eval()
    for parameter in twin.parameters():
        parameter.requires_grad_(False)
    return twin


def decay_at(decay: float, step: int, warm: bool) -> float:
    """The decay of optimizer step `step` (0-based): with `warm`, min(decay, (1 + step) / (10 + step)).

    The warm form (Tarvainen & Valpola 2017 use min(1 - 1/(step + 1), decay)) lets the average forget its
    random start; short trials need it.
    """
    return min(decay, (1 + step) / (10 + step)) if warm else decay


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Average <- decay average + (1 - decay) model for all floats, buffers included; the rest is copied."""
    ours, theirs = average.state_dict(), model.state_dict()
    floats = [name for name, value in ours.items() if value.is_floating_point()]
    torch._foreach_lerp_([ours[n] for n in floats], [theirs[n] for n in floats], 1 - decay)
    for name, value in ours.items():
        if not value.is_floating_point():
            value.copy_(theirs[name])
