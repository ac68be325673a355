"""Which frames of a clip a view shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.types import ClipSampler, Indices


@dataclass(frozen=True)
class Segments:
    """One frame from each of `frames` equal segments (TSN, Wang et al., ECCV 2016).

    With a generator the frame is uniform inside its segment, without one it is the segment's middle.
    Clips shorter than `frames` repeat frames; the order is never broken.
    """

    frames: int

    @property
    def levels(self) -> tuple[int, ...]:
        """One level of `frames` frames."""
        return (self.frames,)

    def indices(self, frame_count: int, rng: np.random.Generator | None) -> Indices:
        """Positions in [0, frame_count), ascending, shape (frames,)."""
        offset = np.full(self.frames, 0.5) if rng is None else rng.random(self.frames)
        position = (np.arange(self.frames) + offset) * frame_count / self.frames
        return (np.minimum(position.astype(np.int64), frame_count - 1),)


@dataclass(frozen=True)
class DenseClip:
    """`frames` frames at a fixed `stride` (SlowFast's 8 x 8), from a random or the central start.

    Clips that are too short hold their last frame.
    """

    frames: int
    stride: int

    @property
    def levels(self) -> tuple[int, ...]:
        """One level of `frames` frames."""
        return (self.frames,)

    def indices(self, frame_count: int, rng: np.random.Generator | None) -> Indices:
        """Positions in [0, frame_count), ascending, shape (frames,)."""
        slack = max(0, frame_count - (self.frames - 1) * self.stride - 1)
        start = slack // 2 if rng is None else int(rng.integers(0, slack + 1))
        return (np.minimum(start + np.arange(self.frames) * self.stride, frame_count - 1),)


def windowed(sampler: ClipSampler, frame_count: int, shrink: float, rng: np.random.Generator) -> Indices:
    """Indices drawn inside a random sub-window that is up to the share `shrink` shorter than the clip.

    The temporal counterpart of a random crop: it moves and rescales the action in time.
    """
    share = 1.0 - rng.random() * shrink
    start = rng.random() * (1.0 - share)
    wanted = min(frame_count, sum(sampler.levels))  # a long enough clip stays long enough for the sampler
    length = max(1, wanted, round(share * frame_count))
    offset = min(int(start * frame_count), frame_count - length)
    return tuple(level + offset for level in sampler.indices(length, rng))
