"""The contract between methods and the harness.

A method *declares* the views that it needs (`recipe`) and returns *named, weighted losses* (`step`).
The harness owns decoding, augmentation, devices, precision, optimizer, checkpoints and evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol, Self, cast

import torch
from annotated_types import Ge
from torch import Tensor, nn

from datasets.sampling import Segments
from datasets.types import Batch, Clip, ClipSampler, Recipe, TaskInfo, View
from methods import ema, losses
from methods.config import Decay, Share
from methods.draws import Draws


class Source(NamedTuple):
    """Where a method comes from."""

    paper: str
    venue: str
    year: int
    link: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where training stands: `step` of `total_steps` (0-based), of which `warmup_steps` use labels alone."""

    step: int
    total_steps: int
    warmup_steps: int
    draws: Draws

    @property
    def fraction(self) -> float:
        """Share of all steps that is done, in [0, 1)."""
        return self.step / self.total_steps

    @property
    def semi_step(self) -> int:
        """Steps done since the warm-up ended."""
        return self.step - self.warmup_steps

    @property
    def semi_fraction(self) -> float:
        """Share of the steps after the warm-up that is done, in [0, 1)."""
        return self.semi_step / max(1, self.total_steps - self.warmup_steps)


@dataclass(frozen=True)
class Step:
    """What a step returns: losses, already weighted, whose sum is minimised; diagnostics of pseudo-labels.

    `pseudo_label` (U,) or (U, C) and `weight` (U,) let the harness log the same curves for all methods.
    """

    losses: Mapping[str, Tensor]
    pseudo_label: Tensor | None = None
    weight: Tensor | None = None


class Backbone(Protocol):
    """A net that turns a clip level into a feature vector."""

    dim: int
    patch: tuple[int, int, int]

    def __call__(self, x: Tensor, level: int = 0) -> Tensor:
        """(N, C, T, H, W) -> (N, dim), for any T; `level` names the temporal level."""


class Head(nn.Module):
    """Level features -> embedding -> dropout -> linear.  The dropout is the head's only randomness.

    Subclasses define `embed`.  The parts are apart because a method may want several stochastic passes:
    they cost one `embed` and K times dropout and `classify`.
    """

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(width, classes)

    def embed(self, features: tuple[Tensor, ...]) -> Tensor:
        """One (N, D) feature per level -> (N, width)."""
        raise NotImplementedError

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """One (N, D) feature per level -> (N, classes) logits."""
        return cast(Tensor, self.classify(self.dropout(self.embed(features))))


class LinearHead(Head):
    """Concatenates the features of all levels."""

    def __init__(self, dim: int, classes: int, dropout: float, levels: int = 1) -> None:
        super().__init__(dim * levels, classes, dropout)

    def embed(self, features: tuple[Tensor, ...]) -> Tensor:
        """One (N, D) feature per level -> (N, levels D)."""
        return torch.cat(features, 1)


class Classifier(nn.Module):
    """A backbone, applied to every level of a clip, and a head over the features of all levels."""

    head: Head

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def features(self, clip: Clip) -> tuple[Tensor, ...]:
        """One (N, D) feature per level."""
        return tuple(self.backbone(x, level) for level, x in enumerate(clip))

    def forward(self, clip: Clip) -> Tensor:
        """(N, classes) logits."""
        return cast(Tensor, self.head(self.features(clip)))


def joint(model: nn.Module, *clips: Clip) -> tuple[Tensor, ...]:
    """Logits of several clips from one forward pass, so that batch statistics are shared.

    Args:
        model: a classifier of clips.
        clips: clips with the same levels and sizes, batch sizes may differ.

    Returns:
        One (N_i, classes) tensor per clip.
    """
    together = tuple(torch.cat(levels) for levels in zip(*clips, strict=True))
    logits: Tensor = model(together)
    return torch.split(logits, [clip[0].shape[0] for clip in clips])


BuildBackbone = Callable[[], nn.Module]


class Method(nn.Module):
    """Base of all methods: a student, its EMA teacher, and the default recipe of weak and strong views.

    Subclasses override `step` and, where they differ, `recipe`, `sampler`, `build_model`.  Everything
    that must survive an interruption is a parameter or a registered buffer.
    """

    name: ClassVar[str]
    source: ClassVar[Source]
    separable: ClassVar[bool] = False
    """Whether its losses are means of terms of single clips that depend on no other clip, so that accumulated
    micro-batches make the step of the whole batch (batch normalization and dropout aside, which belong to the
    net).  `check-method` proves it."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings that all methods share.

        `frames`: frames of a view; 0 takes all that the task allows.  `dropout`: before the last linear
        layer.  `warmup`: share of the steps at the start that use labels alone.  `ema_decay`: decay of the
        teacher per optimizer step; 0 makes the teacher the student.  `ema_warm`: start the decay low.
        `ema_start`: whether the average runs from the first step or starts as a copy after the warm-up.
        """

        frames: Annotated[int, Ge(0)] = 0
        dropout: Share = 0.0
        warmup: Share = 0.0
        ema_decay: Decay = 0.0
        ema_warm: bool = True
        ema_start: Literal["first_step", "after_warmup"] = "first_step"

    config: Config

    @classmethod
    def unsupported(cls, config: Config, task: TaskInfo) -> str | None:
        """Why this method cannot run on this task (which input is missing, how to give it), or None."""
        if config.frames > task.frames:
            return (
                f"config field 'frames' is {config.frames}, but the task gives each clip {task.frames} frames"
            )
        return None

    def unsupported_size(self, size: int) -> str | None:
        """Why this method cannot use clips of this crop side in pixels with its net, or None."""
        return None

    @classmethod
    def unused(cls, config: Config) -> frozenset[str]:
        """Fields that have no effect under this config, so that tuning does not waste its search on them."""
        return frozenset()

    @classmethod
    def separable_with(cls, config: Config) -> bool:
        """Whether it is `separable` under this config too."""
        return cls.separable

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__()
        self.config = config
        self.task = task
        self.student = self.build_model(build_backbone)
        self.teacher = ema.frozen_copy(self.student)

    def build_model(self, build_backbone: BuildBackbone) -> Classifier:
        """The student; by default a backbone with a linear head."""
        backbone = build_backbone()
        return Classifier(
            backbone, LinearHead(cast(int, backbone.dim), self.task.classes, self.config.dropout)
        )

    def train(self, mode: bool = True) -> Self:
        """As any module's, but the teacher stays in evaluation mode: it never drops or counts anything."""
        super().train(mode)
        self.teacher.eval()
        return self

    @property
    def patch(self) -> tuple[int, int, int]:
        """The grid (frames, pixels, pixels) on which the student's clips may be mixed."""
        return cast(tuple[int, int, int], self.student.backbone.patch)

    def sampler(self) -> ClipSampler:
        """How frames are chosen in every view, evaluation included."""
        return Segments(self.config.frames or self.task.frames)

    def recipe(self) -> Recipe:
        """The views of labeled and unlabeled clips."""
        sampler = self.sampler()
        return Recipe(
            labeled={"labeled": View(sampler, "labeled")},
            unlabeled={"weak": View(sampler, "weak"), "strong": View(sampler, "strong", draw=1)},
        )

    def supervised_loss(self, logits: Tensor, batch: Batch, progress: Progress) -> Tensor:
        """The loss of the (B, C) labeled logits, here and in the warm-up."""
        return losses.supervised(logits, batch.label)

    def warm_up(self, batch: Batch, progress: Progress) -> Step:
        """A step that uses labels alone."""
        logits = self.student(batch.labeled["labeled"])
        return Step({"supervised": self.supervised_loss(logits, batch, progress)})

    def step(self, batch: Batch, progress: Progress) -> Step:
        """The losses of one batch."""
        raise NotImplementedError(f"method '{type(self).__name__}' does not define step()")

    def after_step(self, progress: Progress) -> None:
        """Called after every optimizer step: moves the teacher."""
        decay = ema.decay_at(self.config.ema_decay, progress.step, self.config.ema_warm)
        if self.config.ema_start == "after_warmup" and progress.step < progress.warmup_steps:
            decay = 0.0
        ema.update(self.teacher, self.student, decay)

    def predict(self, clip: Clip, model: nn.Module | None = None) -> Tensor:
        """(N, classes) logits of `model`: the student, or the average of it that the harness keeps."""
        return cast(Tensor, (self.student if model is None else model)(clip))
