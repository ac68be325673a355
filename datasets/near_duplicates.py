"""The same footage under another name: re-encoded, re-scaled, trimmed, at another frame rate.

Two clips of one scene have nearly the same background and the same performer, so how a frame *looks* says
little.  What two different performances never share is the motion.  So a clip gets, `RATE` times a second,
a perceptual hash of each frame (which neighboring blocks are brighter, 64 bits) and the change of its
blocks over `STEP` samples.  At each possible alignment in time the changes are correlated over all
frames that overlap; footage counts as the same where that correlation is at least `SAME_MOTION` and the
hashes differ in at most `SAME_LOOK` of 64 bits on average.  Clips that hardly move are told apart by
nothing and are left out (`Signature.still`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets import video_io
from datasets.decoders import DEFAULT
from datasets.decoding_rounds import Reading

RATE = 15
"""Samples a second: a trimmed copy is at most 1/30 s out of step."""

STEP = 3
"""Samples between the two frames of a change: 0.2 s, in which an action moves."""

SIDE = 16
"""Blocks per side of the change."""

SHORTEST = 8
"""Samples that must overlap (about half a second), and at least half of the shorter clip."""

SAME_MOTION = 0.7
SAME_LOOK = 12.0
STILL = 1.0
"""Mean absolute change in gray levels below which there is nothing to compare."""

PROBED = 4
"""One hash in so many of a scored clip is looked up; pairs without a similar one are not compared."""

SIMILAR = 16
"""Bits in which a looked-up hash may differ: more than in footage that counts as the same."""


@dataclass(frozen=True)
class Signature:
    """What is compared of a clip: changes (T, SIDE²) float32 and hashes (T,) of 64 bits."""

    change: NDArray[np.float32]
    look: NDArray[np.uint64]

    @property
    def still(self) -> bool:
        """Whether the clip is too short or moves too little to be told from another take of its scene."""
        return len(self.change) < SHORTEST or float(np.abs(self.change).mean()) < STILL


class NearDuplicate(NamedTuple):
    """Two clips that show the same footage: keys, correlation of motion, mean bits of difference."""

    scored: str
    trained: str
    motion: float
    look: float


def signature(path: Path, decoders: str | Sequence[str] = DEFAULT) -> Signature:
    """Decodes a clip and makes its signature.

    Raises:
        UndecodableError: no decoder reads it.
    """
    found = video_io.decode(path, 4 * SIDE, decoders)
    return signature_of(found.frames, (found.facts.fps if found.facts else 0.0) or float(RATE))


def signature_or_none(job: Reading) -> Signature | None:
    """The signature of a clip, or None where no decoder reads it.  Runs in a child process."""
    try:
        return signature(job.path, job.decoders)
    except video_io.UndecodableError:
        return None


def signature_of(frames: NDArray[np.uint8], fps: float) -> Signature:
    """The signature of frames (T, H, W, 3) shown at `fps`."""
    count = max(1, int(len(frames) * RATE / fps))
    places = np.minimum((np.arange(count) * fps / RATE).astype(np.int64), len(frames) - 1)
    gray = frames[places].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    blocks = _blocks(gray, SIDE, SIDE).reshape(count, -1)
    cells = _blocks(gray, 8, 9)
    change = blocks[STEP:] - blocks[:-STEP] if count > STEP else np.zeros((0, SIDE * SIDE), np.float32)
    bits = np.packbits((cells[:, :, 1:] > cells[:, :, :-1]).reshape(count, 64), axis=1)
    return Signature(change.astype(np.float32), bits.view(np.uint64)[: len(change), 0])


def compare(first: Signature, second: Signature) -> tuple[float, float]:
    """(correlation of motion, mean bits of difference of the hashes) at the best alignment in time.

    (0, 64) where the overlap is too short at every alignment, or one of them does not move.
    """
    if first.still or second.still:
        return 0.0, 64.0
    a, b = first.change, second.change
    dots = a @ b.T
    power_a, power_b = (np.concatenate([[0.0], (each * each).sum(1).cumsum()]) for each in (a, b))
    need = max(SHORTEST, min(len(a), len(b)) // 2)
    best, look = 0.0, 64.0
    for shift in range(need - len(a), len(b) - need + 1):
        start_a, start_b = max(0, -shift), max(0, shift)
        length = min(len(a) - start_a, len(b) - start_b)
        power = (power_a[start_a + length] - power_a[start_a]) * (
            power_b[start_b + length] - power_b[start_b]
        )
        motion = float(dots.trace(offset=shift)) / float(power) ** 0.5 if power else 0.0
        if motion > best:
            differ = first.look[start_a : start_a + length] ^ second.look[start_b : start_b + length]
            best, look = motion, float(np.bitwise_count(differ).mean())
    return best, look


def near_duplicates(
    scored: Mapping[str, Signature], trained: Mapping[str, Signature]
) -> Iterator[NearDuplicate]:
    """Pairs of the same footage, in the order of the scored clips."""
    names = [name for name, each in trained.items() if not each.still]
    looks = np.concatenate([trained[name].look for name in names]) if names else np.zeros(0, np.uint64)
    ends = np.cumsum([len(trained[name].look) for name in names])
    for key, each in scored.items():
        if each.still:
            continue
        similar: set[int] = set()
        for probe in each.look[PROBED // 2 :: PROBED]:
            places = np.flatnonzero(np.bitwise_count(looks ^ probe) <= SIMILAR)
            similar.update(np.searchsorted(ends, places, side="right").tolist())
        for place in sorted(similar):
            motion, look = compare(each, trained[names[place]])
            if motion >= SAME_MOTION and look <= SAME_LOOK:
                yield NearDuplicate(key, names[place], motion, look)


def _blocks(gray: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Means of a grid of blocks: (T, H, W) -> (T, rows, columns)."""
    tall, wide = _edges(gray.shape[1], rows), _edges(gray.shape[2], columns)
    sums = np.add.reduceat(np.add.reduceat(gray, tall[:-1], axis=1), wide[:-1], axis=2)
    return np.asarray(sums / np.outer(np.diff(tall), np.diff(wide)), np.float32)


def _edges(size: int, parts: int) -> Sequence[int]:
    return [round(place * size / parts) for place in range(parts + 1)]
