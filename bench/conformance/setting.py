"""Where a method is examined: random clips, a small net, a short training without any data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from datasets.draws import derive, generator
from datasets.loader import BatchSizes, Loader
from datasets.policy import AugmentPolicy
from datasets.types import UNKNOWN, Batch, ClipRef, Recipe, TaskInfo, View
from datasets.views import ViewSettings
from methods.base import Method, Progress, Step
from methods.config import build
from methods.draws import Draws

FRAMES = 8
SIZE = 32
CLASSES = 3
STEPS = 6
"""Length of the pretended training."""

POLICIES = {
    "labeled": AugmentPolicy(scale=(0.7, 1.0), translate=0.2, window=0.2),
    "weak": AugmentPolicy(scale=(0.7, 1.0), translate=0.2),
    "strong": AugmentPolicy(
        scale=(0.5, 1.0),
        rotate=20,
        translate=None,
        window=0.3,
        color_mix=0.1,
        permute=0.2,
        cutout=0.5,
        noise=0.1,
    ),
    "medium": AugmentPolicy(scale=(0.6, 1.0), translate=0.3, color_mix=0.05),
    "test": AugmentPolicy(),
}


class ConformanceError(Exception):
    """A method breaks the contract; the message says how."""


class NeedsInputError(ConformanceError):
    """A method refuses to run here, since it needs something that these settings do not give."""


class RandomClips:
    """A `FrameStore` of random clips of 9 to 20 frames."""

    def __init__(self, count: int) -> None:
        lengths = generator(0, "conformance/lengths").integers(FRAMES + 1, 21, count)
        self._clips = {
            str(i): generator(0, "conformance/clip", index=i).integers(0, 256, (int(n), 36, 40, 3), np.uint8)
            for i, n in enumerate(lengths)
        }

    def frames(self, key: str) -> NDArray[np.uint8]:
        """All frames of a clip, (T, 36, 40, 3)."""
        return self._clips[key]

    def frame_count(self, key: str) -> int:
        """Number of frames of a clip."""
        return len(self._clips[key])


CLIPS = RandomClips(18)
LABELED = [ClipRef(str(i), Path(str(i)), i % CLASSES, str(i)) for i in range(6)]


def small_net() -> nn.Module:
    """The backbone of every check."""
    return shiftnet(8, 24)


class Setting:
    """A method on random clips: builds it, feeds it, trains it for a few steps.

    Args:
        method: the method's class.
        labeled: labeled clips per batch.
        unlabeled: unlabeled clips per batch.
        bf16: run under bfloat16 autocast.
        seed: of weights, batches and draws.
        hidden: the label of the unlabeled clips, which no method may notice.
        warmup: steps at the start that use labels alone.
        config: settings beside the method's own defaults.
        net: builds the backbone.
    """

    def __init__(
        self,
        method: type[Method],
        *,
        labeled: int = 3,
        unlabeled: int = 4,
        bf16: bool = False,
        seed: int = 0,
        hidden: int = UNKNOWN,
        warmup: int = 0,
        config: Mapping[str, Any] | None = None,
        net: Callable[[], nn.Module] = small_net,
    ) -> None:
        self.bf16 = bf16
        self.seed = seed
        self.warmup = warmup
        made = build(method.Config, config or {}, f"method '{method.name}'")
        task = TaskInfo(
            classes=CLASSES, labeled=6, unlabeled=12, class_counts=(2, 2, 2), frames=FRAMES, mirror=True
        )
        refused = method.unsupported(made, task)
        if refused is not None:
            raise NeedsInputError(f"it cannot run on clips of {FRAMES} frames: {refused}")
        torch.manual_seed(seed)
        self.method = method(made, task, net)
        self.recipe = self.method.recipe()
        policies = {view.augment: POLICIES.get(view.augment) for view in views(self.recipe)}
        unknown = sorted(name for name, policy in policies.items() if policy is None)
        require(not unknown, f"a view asks for the augmentation {unknown}; suites have {sorted(POLICIES)}")
        self.view_settings = ViewSettings(policies=POLICIES, size=SIZE, normalize="clip", mirror=True)
        self.loader = Loader(
            store=CLIPS,
            labeled=LABELED,
            unlabeled=[ClipRef(str(i), Path(str(i)), hidden, str(i)) for i in range(6, 18)],
            recipe=self.recipe,
            settings=self.view_settings,
            sizes=BatchSizes(labeled=labeled, unlabeled=unlabeled, warmup=labeled),
            warmup_steps=warmup,
            seed=seed,
            device=torch.device("cpu"),
        )

    def progress(self, step: int, micro: int | None = None) -> Progress:
        """A place in the short training; `micro` counts micro-batches where a step has several."""
        draws = Draws(self.seed, step if micro is None else micro)
        return Progress(step=step, total_steps=STEPS, warmup_steps=self.warmup, draws=draws)

    def step(self, step: int, batch: Batch | None = None, micro: int | None = None) -> Step:
        """Losses of a step (or of its micro-batch), in training mode."""
        place = step if micro is None else micro
        torch.manual_seed(derive(self.seed, f"torch/{place}") >> 1)
        self.method.train()
        self.method.teacher.eval()
        shown = batch or self.loader.batch(place)  # clips are made in float32, as in training
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.method.step(shown, self.progress(step, micro))

    def train(self, first: int, last: int, lr: float = 0.05) -> list[dict[str, float]]:
        """Plain gradient descent from step `first` to before `last`; the losses of each step."""
        optimizer = torch.optim.SGD(self.method.student.parameters(), lr=lr)
        history = []
        for step in range(first, last):
            made = self.step(step)
            optimizer.zero_grad()
            torch.stack(list(made.losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            self.method.after_step(self.progress(step))
            history.append({name: float(value.detach()) for name, value in made.losses.items()})
        return history

    def predictions(self) -> list[Tensor]:
        """Logits of some clips, by the student and by the teacher, in evaluation mode."""
        self.method.eval()
        clip = self.loader.batch(0).labeled["labeled"]
        with torch.no_grad():
            return [self.method.predict(clip), self.method.predict(clip, self.method.teacher)]


def configured(method: type[Method], values: Mapping[str, Any]) -> type[Method]:
    """The method with other defaults, so that every check meets it with these settings.

    Raises:
        UserError: for an unknown field or a value out of range.
    """
    if not values:
        return method
    config = build(method.Config, values, f"method '{method.name}'")
    hints = get_type_hints(method.Config, include_extras=True)
    fields = [(name, hints[name], dataclasses.field(default=getattr(config, name))) for name in values]
    own = dataclasses.make_dataclass("Config", fields, bases=(method.Config,), frozen=True, kw_only=True)
    return type(method.__name__, (method,), {"Config": own, "__module__": method.__module__})


def require(kept: bool, otherwise: str) -> None:
    """Raises `ConformanceError` with the sentence, unless what is asked is kept."""
    if not kept:
        raise ConformanceError(otherwise)


def views(recipe: Recipe) -> list[View]:
    """All views of a recipe."""
    return [*recipe.labeled.values(), *recipe.unlabeled.values()]
