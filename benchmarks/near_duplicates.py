"""How often the audit takes copies for the same footage, and other clips of one scene for copies.

Rendered: `--scenes` rooms with `--takes` takes each, in which the same performer moves on another path.
Real: the videos below `--videos`, of which `--clips` are taken, spread over the sorted list.  Of every clip
four copies are made: re-encoded (crf 34), trimmed (9 frames at the start, 6 at the end), re-scaled (to 3/4,
4 frames trimmed), and at 30 frames a second (25 where it has 30).  Each copy and each original is compared
with every original.  A *hit* is a copy that is found; a *false alarm* is a pair of clips that do not show the
same footage.  Pairs of different real clips are listed, since a collection may hold overlapping cuts of one
recording: look at them.

Example: python benchmarks/near_duplicates.py --videos CLIPS --clips 40
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets import near_duplicates as near
from datasets import video_io
from datasets.annotated import VIDEO_SUFFIXES

Frames = NDArray[np.uint8]
SIDE = 240
"""Shorter side of the copies of real clips."""
SHORTEST = 24
"""Frames of a clip that is used: a trimmed copy must have half a second left."""


@dataclass(frozen=True)
class Original:
    """A clip, its frames a second, and its scene (a name of its own where nobody knows)."""

    name: str
    scene: str
    frames: Frames
    fps: float


def take(scene: int, number: int, count: int = 50) -> Frames:
    """A performer (the same in all takes) moves over the background of a scene on a path of its own."""
    height, width = 96, 128
    room = np.random.default_rng(scene).integers(0, 200, (6, 8, 3), dtype=np.uint8)
    back = cv2.resize(room, (width, height), interpolation=cv2.INTER_CUBIC)
    knots = np.random.default_rng([scene, number, 7]).uniform(0.1, 0.9, (6, 2))
    when = np.linspace(0, 5, count)
    path = np.stack([np.interp(when, np.arange(6), knots[:, axis]) for axis in (0, 1)], 1)
    frames = np.repeat(back[None], count, 0)
    for frame, (x, y) in zip(frames, path, strict=True):
        cv2.ellipse(frame, (int(x * width), int(y * height)), (8, 16), x * 180, 0, 360, (250, 240, 60), -1)
    return np.asarray(frames, np.uint8)


def rendered(scenes: int, takes: int) -> Iterator[Original]:
    """All takes of all scenes."""
    for scene in range(scenes):
        for number in range(takes):
            yield Original(f"scene {scene} take {number}", f"scene {scene}", take(scene, number), 25.0)


def real(folder: Path, count: int) -> Iterator[Original]:
    """Videos of a folder, spread over the sorted list, without those that cannot be read or are short."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    for path in files[:: max(1, len(files) // count)][:count]:
        try:
            fps = video_io.probe(path).fps or 25.0
            frames = video_io.decode(path, SIDE).frames
        except video_io.UndecodableError:
            continue
        if len(frames) >= SHORTEST:
            name = path.relative_to(folder).as_posix()
            yield Original(name, name, np.asarray(frames), fps)


def reencoded(clip: Original, path: Path) -> None:
    """The same frames at a lower quality."""
    video_io.write_video(path, clip.frames, fps=round(clip.fps), crf=34)


def trimmed(clip: Original, path: Path) -> None:
    """Without 9 frames at the start and 6 at the end."""
    video_io.write_video(path, clip.frames[9:-6], fps=round(clip.fps), crf=28)


def rescaled(clip: Original, path: Path) -> None:
    """At 3/4 of the size, without 4 frames at the start."""
    height, width = clip.frames.shape[1:3]
    size = (width * 3 // 8 * 2, height * 3 // 8 * 2)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip.frames[4:]]
    video_io.write_video(path, np.asarray(small, np.uint8), fps=round(clip.fps), crf=30)


def other_rate(clip: Original, path: Path) -> None:
    """The same seconds at 30 frames a second, or at 25 where it has 30."""
    fps = 25 if round(clip.fps) == 30 else 30
    count = int(len(clip.frames) * fps / clip.fps)
    places = np.minimum((np.arange(count) * clip.fps / fps).round().astype(int), len(clip.frames) - 1)
    video_io.write_video(path, clip.frames[places], fps=fps, crf=28)


COPIES: tuple[Callable[[Original, Path], None], ...] = (reencoded, trimmed, rescaled, other_rate)


def same(first: near.Signature, second: near.Signature) -> bool:
    """Whether the audit calls two clips the same footage."""
    motion, look = near.compare(first, second)
    return motion >= near.SAME_MOTION and look <= near.SAME_LOOK


def measure(title: str, clips: Iterator[Original]) -> None:
    """Prints hits and false alarms on some clips."""
    known: dict[str, near.Signature] = {}
    scenes: dict[str, str] = {}
    copies: dict[tuple[str, str], near.Signature] = {}
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            known[clip.name], scenes[clip.name] = near.signature_of(clip.frames, clip.fps), clip.scene
            for make in COPIES:
                path = Path(folder) / "copy.mp4"
                make(clip, path)
                copies[make.__name__, clip.name] = near.signature(path)
    still = sorted(name for name, each in known.items() if each.still)
    moving = {name: each for name, each in known.items() if not each.still}
    print(f"{title}: {len(known)} clips, {len(still)} of them too still or short to be compared")
    _report(moving, copies, scenes)


def _report(
    moving: Mapping[str, near.Signature],
    copies: Mapping[tuple[str, str], near.Signature],
    scenes: Mapping[str, str],
) -> None:
    hits: Counter[str] = Counter()
    pairs: set[tuple[str, str]] = set()
    others = inside = 0
    named = [*copies.items(), *(((("original", name), each)) for name, each in moving.items())]
    for (kind, name), made in named:
        if name not in moving:
            continue
        for other, each in moving.items():
            if other == name:
                hits[kind] += kind != "original" and same(made, each)
                continue
            others += 1
            inside += scenes[other] == scenes[name]
            if same(made, each):
                pairs.add((min(name, other), max(name, other)))
    for make in COPIES:
        print(f"  {make.__name__}: {hits[make.__name__]} of {len(moving)} found")
    print(f"  {others} comparisons of different clips ({inside} within a scene): {len(pairs)} pairs alarmed")
    for first, second in sorted(pairs):
        print(f"    {first} ~ {second}")


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--takes", type=int, default=4)
    parser.add_argument("--videos", type=Path, help="folder of real videos")
    parser.add_argument("--clips", type=int, default=40, help="how many of them")
    arguments = parser.parse_args()
    measure("rendered", rendered(arguments.scenes, arguments.takes))
    if arguments.videos:
        measure("real", real(arguments.videos, arguments.clips))
    return 0


if __name__ == "__main__":
    sys.exit(main())
