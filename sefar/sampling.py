"""SeFAR's dual-level element sampler (AAAI 2025; released code, commit d0435a9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.types import Indices


def assign_segments(
    levels: tuple[int, ...], segments: int, rng: np.random.Generator | None
) -> tuple[list[int], ...]:
    """Which of `segments` equal segments each level takes, every level ascending.

    From the last level (the context) to the first: with interval v = segments / n, scan the segments
    and take one that is free whenever it is at or past (number taken) · v.  A level that finds fewer than
    n free ones (short videos only) draws one from each of its n intervals instead, taken or not.
    """
    free = [True] * segments
    chosen: list[list[int]] = []
    for n in reversed(levels):
        interval = segments / n
        taken: list[int] = []
        for j in range(segments):
            if len(taken) < n and free[j] and j >= len(taken) * interval:
                taken.append(j)
                free[j] = False
        if len(taken) < n:
            bounds = [(round(k * interval), round((k + 1) * interval - 1)) for k in range(n)]
            # Where n > segments, half-to-even rounding can name the segment behind the last one.
            taken = [_within(min(low, segments - 1), high, rng) for low, high in bounds]
        chosen.append(taken)
    return tuple(reversed(chosen))


def _within(low: int, high: int, rng: np.random.Generator | None) -> int:
    """A uniform integer of [low, high], or its middle without a generator; `low` where high < low."""
    high = max(low, high)
    return (low + high) // 2 if rng is None else int(rng.integers(low, high + 1))


@dataclass(frozen=True)
class DualLevel:
    """Frames for several temporal levels; the last level is the context, the others are fine-grained.

    `sizes` are the frames per level, (2, 2, 4) in the paper.  Levels interleave and, from as many frames
    as the levels sum to, never overlap.
    """

    sizes: tuple[int, ...] = (2, 2, 4)

    @property
    def levels(self) -> tuple[int, ...]:
        """Frames per level."""
        return self.sizes

    def indices(self, frame_count: int, rng: np.random.Generator | None) -> Indices:
        """One ascending array of positions in [0, frame_count) per level; round() is half to even.

        A clip with fewer frames than the context level is slowed down to that many, each shown as often as
        needed.  (The release fails on it; here every method sees the same clips.)
        """
        context = self.sizes[-1]
        if frame_count < context:
            return tuple(level * frame_count // context for level in self.indices(context, rng))
        segments = sum(self.sizes)
        if segments > frame_count:
            segments = max(context, frame_count)
        rate = frame_count / segments
        return tuple(
            np.array([self._frame(j, rate, rng) for j in level], np.int64)
            for level in assign_segments(self.sizes, segments, rng)
        )

    @staticmethod
    def _frame(segment: int, rate: float, rng: np.random.Generator | None) -> int:
        first = round(segment * rate)
        return _within(first, max(round((segment + 1) * rate), first + 1) - 1, rng)
