"""The nouns that data sets, methods and the harness share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from datasets import person_boxes
from datasets.person_boxes import Boxes

Clip = tuple[Tensor, ...]
"""A batch of clips: one (N, C, T, H, W) tensor per temporal level; ordinary methods have one level."""

Indices = tuple[NDArray[np.int64], ...]
"""Frame positions in decode order, one array per temporal level."""

UNKNOWN = -1
"""The label of a clip whose class nobody has told us."""


@dataclass(frozen=True)
class ClipRef:
    """One clip of a data set: a file, its class, and the source video that it was cut from.

    `key` identifies the clip inside its data set on every machine (a relative path); `path` is where
    it lies on this one.  `group` joins clips of one source video: statistics cluster by it and splits
    never separate it.
    """

    key: str
    path: Path
    label: int
    group: str


@dataclass(frozen=True)
class ClipTable:
    """All clips of a data set by their official role, before any label is hidden.

    `unlabeled` is None where the unlabeled pool is the training pool itself (every clip of `train`,
    labels hidden); otherwise the two lists are used as they are and `train` is itself the labeled
    draw (a *pinned* split).  `mirror` says whether a left-right flip keeps the label.  `boxes`: where
    persons are, by clip, for data sets that come with it.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[ClipRef, ...]
    test: tuple[ClipRef, ...]
    validation: tuple[ClipRef, ...] = ()
    unlabeled: tuple[ClipRef, ...] | None = None
    mirror: bool = False
    boxes: Mapping[str, Boxes] = field(default_factory=lambda: person_boxes.NONE)

    @property
    def pinned(self) -> bool:
        """Whether the labeled clips are given by a list instead of drawn by seed."""
        return self.unlabeled is not None

    def clips(self) -> tuple[ClipRef, ...]:
        """Every clip once, in a stable order (a clip may play two roles)."""
        roles = (*self.train, *(self.unlabeled or ()), *self.validation, *self.test)
        return tuple({clip.key: clip for clip in roles}.values())


class ClipSampler(Protocol):
    """Chooses the frames of a clip: a pure function of its length and a generator."""

    @property
    def levels(self) -> tuple[int, ...]:
        """Frames taken per temporal level."""

    def indices(self, frame_count: int, rng: np.random.Generator | None) -> Indices:
        """Frame positions for a clip of `frame_count` frames; without `rng` the deterministic choice."""


@dataclass(frozen=True)
class View:
    """What a method wants to see of a clip: which frames, and how augmented.

    `augment` names a policy of the suite (`weak`, `strong`, `labeled`, ...).  Views of one sample with
    equal (sampler, draw) show the same frames.  `persons`: the method also wants to know where persons are
    in this view (`Batch.persons`), for data sets that come with boxes.
    """

    sampler: ClipSampler
    augment: str
    draw: int = 0
    persons: bool = False


@dataclass(frozen=True)
class Recipe:
    """The named views that a method needs of each labeled and each unlabeled clip."""

    labeled: Mapping[str, View]
    unlabeled: Mapping[str, View]


@dataclass(frozen=True)
class Batch:
    """One training batch: per view name a clip of batch size B (labeled) or U (unlabeled).

    `labeled_index` (B,) and `unlabeled_index` (U,) are stable positions in their splits, for methods
    that keep a memory per sample.  Labels of unlabeled clips are not here and cannot be reached.
    `persons` has, per unlabeled view that asks for it, a bool (U, T, H, W) per level: True where a box of
    the data set lies, after the view's crop; it is empty where the data set has no boxes.
    """

    labeled: Mapping[str, Clip]
    label: Tensor
    labeled_index: Tensor
    unlabeled: Mapping[str, Clip]
    unlabeled_index: Tensor
    persons: Mapping[str, Clip] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
    """What a method may know of its task: sizes, class counts of the *labeled* clips, frames per view.

    `mirror`: a left-right flip keeps the label.  `boxes`: the data set comes with boxes of persons.
    """

    classes: int
    labeled: int
    unlabeled: int
    class_counts: tuple[int, ...]
    frames: int
    mirror: bool = False
    boxes: bool = False


class DataSet(Protocol):
    """A data set as the registry knows it.  Adding one is one file with one such class."""

    name: str
    summary: str

    def present(self) -> bool:
        """Whether the files are on this machine (or can be generated here)."""

    def table(self) -> ClipTable:
        """The clips by role; must not need the files where their names and labels are known without."""

    def prepare(self) -> None:
        """Make the files available (generate, or do nothing); shows progress; safe to call twice."""

    def how_to_add(self) -> str:
        """The command that brings this data set to a machine that lacks it."""
