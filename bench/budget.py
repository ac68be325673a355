"""What one training step of a trial costs in frames, clips and operations: counted, not timed.

The step is rehearsed once, outside of the timed loop and on a copy, so that no number of the trial moves.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_hook

from bench.experiment import Scene
from bench.spec import Protocol
from bench.train import warmup_steps
from datasets.draws import derive
from datasets.loader import BatchSizes, Loader
from datasets.types import Batch, Recipe, View
from methods.base import Method, Progress
from methods.draws import Draws


@dataclass(frozen=True)
class StepCost:
    """The cost of one optimizer step after the warm-up, all its micro-batches together.

    Attributes:
        frames_decoded: frames that the views of a step ask for; views of equal frames count once.
        frames_forward: frames through backbones, those of students and teachers.
        clips_forward: the same in clips, each of as many frames as a view of the method has.
        clips_backward: clips that a gradient goes back through.
        flops: floating-point operations of matrix products, convolutions and attention, forward and
            backward, a multiplication and an addition counted as two; None where they cannot be counted.
    """

    frames_decoded: int
    frames_forward: int
    clips_forward: float
    clips_backward: float
    flops: int | None


def recorded(method: Method, scene: Scene, protocol: Protocol, seed: int) -> dict[str, Any] | None:
    """`step_cost` for a record; None where a method cannot be copied or rehearsed."""
    try:
        return asdict(step_cost(method, scene, protocol, seed))
    except Exception:  # the boundary to foreign methods: a trial that is done must not fail by a count
        return None


def frames_decoded(recipe: Recipe, labeled: int, unlabeled: int) -> int:
    """Frames that a batch of `labeled` and `unlabeled` clips reads; views of equal frames read them once."""
    return labeled * _frames(recipe.labeled) + unlabeled * _frames(recipe.unlabeled)


def _frames(views: Mapping[str, View]) -> int:
    distinct = {(view.sampler, view.draw) for view in views.values()}
    return sum(sum(sampler.levels) for sampler, _ in distinct)


def step_cost(method: Method, scene: Scene, protocol: Protocol, seed: int) -> StepCost:
    """Rehearses one micro-batch of the last step of a trial on a copy of its method.

    Args:
        method: as it is before or after training; left as it is.
        scene: the trial's data.
        protocol: the suite's settings.
        seed: the trial's seed.
    """
    sizes, recipe = protocol.batch, method.recipe()
    warm = warmup_steps(method, protocol.steps)
    loader = Loader(
        store=scene.cache,
        labeled=scene.split.labeled,
        unlabeled=scene.split.unlabeled,
        recipe=recipe,
        settings=scene.settings,
        sizes=BatchSizes(labeled=sizes.labeled, unlabeled=sizes.unlabeled, warmup=sizes.warmup),
        warmup_steps=warm * sizes.accumulate,
        seed=seed,
        device=scene.device,
    )
    last = protocol.steps - 1
    batch = loader.batch(last * sizes.accumulate)
    progress = Progress(
        step=last,
        total_steps=protocol.steps,
        warmup_steps=warm,
        draws=Draws(seed, last * sizes.accumulate),
    )
    counts, twin = _Counts(), copy.deepcopy(method)
    noise = torch.random.fork_rng([scene.device] if scene.device.type == "cuda" else [])
    with noise, counts.watching():
        torch.manual_seed(derive(seed, "step cost") >> 1)
        flops = _rehearse(twin, batch, progress, protocol, semi=last >= warm)
    times, each = sizes.accumulate, sum(method.sampler().levels)
    return StepCost(
        frames_decoded=times * frames_decoded(recipe, len(batch.label), len(batch.unlabeled_index)),
        frames_forward=times * counts.forward,
        clips_forward=times * counts.forward / each,
        clips_backward=times * counts.backward / each,
        flops=None if flops is None else times * flops,
    )


def _rehearse(twin: Method, batch: Batch, progress: Progress, protocol: Protocol, semi: bool) -> int | None:
    """Operations of one micro-batch, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  # brings triton with it

    twin.train()
    twin.teacher.eval()
    counter = FlopCounterMode(display=False)
    bf16 = protocol.precision == "bfloat16"
    with counter, sdpa_kernel(SDPBackend.MATH):  # fused attention kernels of the CPU are not counted
        with torch.autocast(batch.label.device.type, torch.bfloat16, enabled=bf16):
            made = twin.step(batch, progress) if semi else twin.warm_up(batch, progress)
            total = torch.stack(list(made.losses.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
    counted = counter.get_total_flops()
    return counted or None


class _Counts:
    """Frames that went through backbones, also through those that a method holds outside of its modules."""

    def __init__(self) -> None:
        self.forward = self.backward = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within this, every backbone of the process reports here."""
        hook = register_module_forward_hook(self._seen)
        try:
            yield
        finally:
            hook.remove()

    def _seen(self, module: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
        if isinstance(module, Method) or not (hasattr(module, "patch") and hasattr(module, "dim")):
            return
        frames = given[0].shape[0] * given[0].shape[2]
        self.forward += frames
        if out.requires_grad:
            out.register_hook(functools.partial(self._returned, frames))  # type: ignore[no-untyped-call]

    def _returned(self, frames: int, gradient: Tensor) -> None:
        self.backward += frames
