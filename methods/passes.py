"""Forward passes beside the one that trains: they must leave no trace in batch normalization or in noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from datasets.types import Clip


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Batch normalization still uses the statistics of each batch, but its running averages stand still.

    Without it, a view that is only guessed on, or an adversarial clip, would shift what evaluation uses.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


def repeatable(model: nn.Module) -> Callable[[Clip], Tensor]:
    """`model` as a function of the clip alone: all calls draw the same dropout and move no statistics.

    The state of the noise generator is put back after every call.  Seeding it is left to the harness, so the
    masks differ from step to step.
    """

    def forward(clip: Clip) -> Tensor:
        device = clip[0].device
        others = [] if device.type == "cpu" else [device]  # the generator of the CPU is always put back
        kind = "cuda" if device.type == "cpu" else device.type
        with frozen_statistics(model), torch.random.fork_rng(others, device_type=kind):
            return cast(Tensor, model(clip))

    return forward
