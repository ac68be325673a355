"""Where two entries differ: class by class and clip by clip.  Described, never tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records import ClipList

Right = NDArray[np.bool_]
"""(seeds, clips) whether the answer is right."""


@dataclass(frozen=True, kw_only=True)
class ClassGap:
    """One class: accuracies of both over the shared seeds.  Described, not tested."""

    label: int
    clips: int
    a: float
    b: float


@dataclass(frozen=True, kw_only=True)
class ClipGap:
    """One clip: on how many of the shared seeds each gets it right."""

    clip: str
    label: int
    a: int
    b: int


def class_gaps(a: Right, b: Right, scored: ClipList) -> tuple[ClassGap, ...]:
    """Every class that has test clips, the largest gap first."""
    gaps = []
    for label in np.unique(scored.labels):
        mine = scored.labels == label
        gaps.append(
            ClassGap(
                label=int(label),
                clips=int(mine.sum()),
                a=float(a[:, mine].mean()),
                b=float(b[:, mine].mean()),
            )
        )
    return tuple(sorted(gaps, key=lambda gap: (-abs(round(gap.a - gap.b, 9)), gap.label)))


def clip_gaps(a: Right, b: Right, scored: ClipList) -> tuple[ClipGap, ...]:
    """The clips that A gets right on more seeds than B, the largest gap first."""
    of_a, of_b = a.sum(0), b.sum(0)
    better = np.flatnonzero(of_a > of_b)
    order = sorted(better, key=lambda i: (-(of_a[i] - of_b[i]), -of_a[i], scored.clips[i]))
    return tuple(
        ClipGap(clip=scored.clips[i], label=int(scored.labels[i]), a=int(of_a[i]), b=int(of_b[i]))
        for i in order
    )


def swapped(gaps: Sequence[ClipGap]) -> tuple[ClipGap, ...]:
    """The same gaps seen from the other side."""
    return tuple(ClipGap(clip=gap.clip, label=gap.label, a=gap.b, b=gap.a) for gap in gaps)
