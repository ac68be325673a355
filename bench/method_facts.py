"""What a method is, by itself: its source, views, inputs, parameters, and what a step costs.

Costs are counted, not timed: a step of the method is run on random clips with the small net, and every pass
of clips through a backbone, forward and backward, is counted.  So they hold for any machine and backbone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from bench.method_times import measured
from datasets.types import Batch, Clip, TaskInfo, View
from methods.base import Method, Progress, Source
from methods.config import build
from methods.draws import Draws
from methods.extra_inputs import ExtraInput, rehearsed

CLIPS = 4
"""Labeled clips of the counted step, and as many unlabeled ones."""
FRAMES = 8
SIZE = 32
CLASSES = 12
TASK = TaskInfo(
    classes=CLASSES, labeled=24, unlabeled=96, class_counts=(2,) * CLASSES, frames=FRAMES, mirror=True
)
LATE = Progress(step=900, total_steps=1000, warmup_steps=0, draws=Draws(0, 900))
"""Late in training, when every term of a loss is at work."""


@dataclass(frozen=True)
class Facts:
    """What a listing says of a method.

    `views`: of unlabeled clips, and further ones of labeled clips.  `teacher`: whether the average of the
    weights makes targets.  `parameters`: those of the student beyond the backbone, with the small net (192
    features) and 12 classes.  `forward`, `backward`: clips that a step sends through backbones, per labeled
    clip; the frames of one view count as one clip.  `separable`: whether accumulated micro-batches make the
    same step as the whole batch, with its default settings.
    """

    name: str
    source: Source
    views: tuple[str, ...]
    teacher: bool
    inputs: tuple[ExtraInput, ...]
    parameters: int
    forward: float
    backward: float
    separable: bool = False

    @property
    def cost(self) -> float:
        """Of a step, relative to one with labels alone; a backward pass is counted as two forward ones."""
        return (self.forward + 2 * self.backward) / 3

    @property
    def time(self) -> float | None:
        """The same, as it was measured with the small net; None before that."""
        return measured().get(self.name)


def facts_of(method: type[Method]) -> Facts:
    """Everything about a method, from its class and one counted step with its default settings."""
    made, counts = counted_step(method)
    recipe = made.recipe()
    return Facts(
        name=method.name,
        source=method.source,
        views=(*recipe.unlabeled, *(name for name in recipe.labeled if name != "labeled")),
        teacher=counts.by_teacher > 0,
        inputs=tuple(getattr(method, "inputs", ())),
        parameters=_size(made.student) - _size(shiftnet()),
        forward=counts.forward / CLIPS,
        backward=counts.backward / CLIPS,
        separable=method.separable_with(made.config),
    )


class Counts:
    """Clips that went through backbones; hooks on them report here."""

    def __init__(self) -> None:
        self.forward = self.backward = self.by_teacher = 0.0
        self.teachers: set[int] = set()

    def watch(self, net: nn.Module) -> nn.Module:
        """The net, with a hook that its copies (the EMA teacher) keep."""

        def seen(module: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
            clips = given[0].shape[0] * given[0].shape[2] / FRAMES
            self.forward += clips
            self.by_teacher += clips if id(module) in self.teachers else 0
            if out.requires_grad:
                out.register_hook(functools.partial(self._returned, clips))  # type: ignore[no-untyped-call]

        net.register_forward_hook(seen)
        return net

    def _returned(self, clips: float, gradient: Tensor) -> None:
        self.backward += clips


def random_batch(method: Method, clips: int = CLIPS) -> Batch:
    """Random clips in all views of a method: as many labeled as unlabeled ones."""
    generator = torch.Generator().manual_seed(0)

    def clip(view: View) -> Clip:
        return tuple(
            torch.randn(clips, 3, frames, SIZE, SIZE, generator=generator) for frames in view.sampler.levels
        )

    recipe = method.recipe()
    return Batch(
        labeled={name: clip(view) for name, view in recipe.labeled.items()},
        label=torch.arange(clips) % CLASSES,
        labeled_index=torch.arange(clips),
        unlabeled={name: clip(view) for name, view in recipe.unlabeled.items()},
        unlabeled_index=torch.arange(clips),
    )


def counted_step(method: type[Method]) -> tuple[Method, Counts]:
    """A method with its default settings, and what one step of it sent through backbones."""
    counts = Counts()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = build(method.Config, {}, f"method '{method.name}'")
        made = rehearsed(method)(config, TASK, lambda: counts.watch(shiftnet()))
        counts.teachers = {id(module) for module in made.teacher.modules()}
        made.train()
        step = made.step(random_batch(made), LATE)
        torch.stack(list(step.losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    return made, counts


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
