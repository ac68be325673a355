"""How fast the data path is: samples per second of one process, ours against two others, taking turns.

Clips are 340 x 256 H.264 of 2 to 3 s that the script makes; a view is 8 frames, one from each of 8 equal
segments.  A sample is (1) one clip with both views, drawn independently, and (2) a labeled clip with one view
beside an unlabeled one with both.  Each subject does the same frames of the same clips in the same order, one
clip per turn.  Times are medians over the turns, of the CPU (all threads of this process) and of the wall
clock, and so are the ratios, of times in one turn; on a busy machine the CPU time is the one to look at.

    published     a transcription of the published loader: for each view an OpenCV capture of its own, one
                  seek per frame, short side 480, BGR to RGB, float32 (x/255 - 0.45) / 0.225 of the whole
                  frames, then short side U[256, 320] and a random 224 crop
    decord        bare decord: one reader, one get_batch of the frames of all views, each once and in order
                  (in the order of the views it goes back and takes twice as long), nothing else
    ours          decode once (every frame, checked; short side 256) for all views, their frames gathered
    verified      the same after `data verify`, which has done the checks
    verified+views  the same, and the views made on this CPU: crop to 224, normalized, float32
    raw           the frames of the views from the raw cache, as one uint8 block each, ready for the device
    raw+views     the same, and the views made on this CPU
    jpeg          as raw, from the jpeg store
    jpeg+views    as raw+views, from the jpeg store

In training, views are made on the training device in batches: what a data worker does is `ours`, `raw` or
`jpeg`; `+views` counts all that `published` counts.  The first read of a clip from a cache, which compares
its checksum, is not counted.

Example: python benchmarks/data_path.py --clips 24
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets import augment, draws, video_io
from datasets.clip_cache import ClipCache
from datasets.decoders import order
from datasets.manifest import Pin, decode_pinned, pins
from datasets.policy import AugmentPolicy
from datasets.sampling import Segments
from datasets.types import ClipRef, ClipTable
from datasets.verify import verify
from datasets.views import Frames, ViewSettings, render

FRAMES, SIZE, SHORT_SIDE = 8, 224, 256
SIDES = (256, 320)
POLICY = AugmentPolicy(scale=(SIZE / SIDES[1], SIZE / SIDES[0]), translate=None)
SETTINGS = ViewSettings(policies={"view": POLICY}, size=SIZE, normalize="kinetics", mirror=False)
Positions = tuple[NDArray[np.int64], ...]
"""The frames of each view."""
Subject = Callable[[ClipRef, Positions, int], object]
Spent = tuple[float, float]
"""Seconds of the wall clock, and of the CPU."""


class Shown:
    """A frame store of one clip."""

    def __init__(self, frames: Frames, count: int) -> None:
        self._frames, self._count = frames, count

    def frames(self, key: str) -> Frames:
        """The frames of the clip."""
        return self._frames

    def frame_count(self, key: str) -> int:
        """Their number."""
        return self._count


class Made:
    """The made clips as a data set, for `verify`."""

    name, summary = "made", "clips of this benchmark"

    def __init__(self, clips: list[ClipRef]) -> None:
        self._clips = tuple(clips)

    def present(self) -> bool:
        """They are here."""
        return True

    def table(self) -> ClipTable:
        """All of them for training."""
        return ClipTable(name=self.name, classes=("0",), train=self._clips, test=())

    def prepare(self) -> None:
        """Nothing is to do."""

    def how_to_add(self) -> str:
        """Nobody adds them."""
        return ""


def make_clips(folder: Path, count: int) -> list[ClipRef]:
    """Moving, textured clips of 50 to 75 frames at 25 frames a second."""
    clips = []
    for place in range(count):
        rng = np.random.default_rng(place)
        ground = rng.integers(0, 256, (64 + 75, 85 + 75, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        length = int(rng.integers(50, 76))
        frames = np.stack([ground[2 * t : 2 * t + 256, 3 * t : 3 * t + 340] for t in range(length)])
        path = folder / f"{place:04d}.mp4"
        video_io.write_video(path, frames, crf=23)
        clips.append(ClipRef(path.name, path, 0, path.name))
    return clips


def positions(count: int, place: int) -> Positions:
    """The frames of both views of a clip."""
    first, second = (
        Segments(FRAMES).indices(count, draws.generator(place, f"view/{view}"))[0] for view in (0, 1)
    )
    return first, second


def published(path: Path, wanted: Positions, place: int) -> list[Tensor]:
    """The views as the published loader makes them."""
    import cv2  # noqa: PLC0415

    rng = draws.generator(place, "published")
    views = []
    for indices in wanted:
        capture = cv2.VideoCapture(str(path))
        pictures = []
        for index in indices:
            capture.set(cv2.CAP_PROP_POS_FRAMES, float(index))
            _, picture = capture.read()
            height, width = picture.shape[:2]
            factor = 480 / min(height, width)
            picture = cv2.resize(picture, (round(width * factor), round(height * factor)))
            pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        capture.release()
        frames = torch.from_numpy(np.stack(pictures)).float().div_(255).sub_(0.45).div_(0.225)
        frames = frames.permute(3, 0, 1, 2)
        side = int(rng.integers(SIDES[0], SIDES[1] + 1))
        factor = side / min(frames.shape[2:])
        size = [round(length * factor) for length in frames.shape[2:]]
        frames = torch.nn.functional.interpolate(frames, size=size, mode="bilinear", align_corners=False)
        top, left = (int(rng.integers(0, length - SIZE + 1)) for length in frames.shape[2:])
        views.append(frames[:, :, top : top + SIZE, left : left + SIZE].contiguous())
    return views


def bare_decord(path: Path, wanted: Positions) -> NDArray[np.uint8]:
    """The frames of all views, each once, and nothing else."""
    import decord  # noqa: PLC0415

    reader = decord.VideoReader(str(path), num_threads=1)
    found: NDArray[np.uint8] = reader.get_batch(np.unique(np.concatenate(wanted))).asnumpy()
    return found


def gathered(frames: Frames, wanted: Positions) -> list[NDArray[np.uint8]]:
    """What a data worker hands to the training device."""
    return [frames[indices] for indices in wanted]


def viewed(frames: Frames, count: int, wanted: Positions, place: int) -> list[Tensor]:
    """The views as the loader makes them."""
    store, made = Shown(frames, count), []
    for view, indices in enumerate(wanted):
        numbers = augment.draw([draws.generator(place, f"augment/{view}")])
        made += render(store, ["clip"], [(indices,)], POLICY, numbers, SETTINGS, torch.device("cpu"))
    return made


def subjects(raw: ClipCache, jpeg: ClipCache, pins: dict[str, Pin]) -> dict[str, Subject]:
    """Who takes turns."""

    def verified(clip: ClipRef) -> NDArray[np.uint8]:
        return decode_pinned(clip.path, SHORT_SIDE, order(), pins[clip.key]).frames

    def verified_views(clip: ClipRef, wanted: Positions, place: int) -> object:
        frames = verified(clip)
        return viewed(frames, len(frames), wanted, place)

    def cached_views(cache: ClipCache) -> Subject:
        return lambda clip, wanted, place: viewed(
            cache.frames(clip.key), cache.frame_count(clip.key), wanted, place
        )

    return {
        "published": lambda clip, wanted, place: published(clip.path, wanted, place),
        "decord": lambda clip, wanted, place: bare_decord(clip.path, wanted),
        "ours": lambda clip, wanted, place: gathered(video_io.decode(clip.path, SHORT_SIDE).frames, wanted),
        "verified": lambda clip, wanted, place: gathered(verified(clip), wanted),
        "verified+views": verified_views,
        "raw": lambda clip, wanted, place: gathered(raw.frames(clip.key), wanted),
        "raw+views": cached_views(raw),
        "jpeg": lambda clip, wanted, place: gathered(jpeg.frames(clip.key), wanted),
        "jpeg+views": cached_views(jpeg),
    }


def timed(work: Subject, clip: ClipRef, wanted: Positions, place: int) -> Spent:
    """Does it and says what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(clip, wanted, place)
    return time.perf_counter() - wall, time.process_time() - cpu


def measured(clips: list[ClipRef]) -> dict[str, dict[str, list[Spent]]]:
    """What each kind of sample took each subject in each turn."""
    caches = [
        ClipCache.open(clips, "made", SHORT_SIDE, progress=False, form=form) for form in ("raw", "jpeg")
    ]
    lists = Made(clips)
    verify(lists, progress=False)
    who = subjects(caches[0], caches[1], pins(lists.name))
    both: dict[str, list[Spent]] = {name: [] for name in who}
    mixed: dict[str, list[Spent]] = {name: [] for name in who}
    for place, clip in enumerate(clips):
        for cache in caches:
            cache.frames(clip.key)  # compares the checksum
        wanted = positions(caches[0].frame_count(clip.key), place)
        for name, work in who.items():
            one, two = (timed(work, clip, wanted[:count], place) for count in (1, 2))
            if place:  # the first clip imports the libraries
                both[name].append(two)
                mixed[name].append((one[0] + two[0], one[1] + two[1]))
    return {"one clip, both views": both, "labeled clip + unlabeled clip with both views": mixed}


def show(title: str, spent: dict[str, list[Spent]]) -> None:
    """Prints a table: each time and ratio by the CPU, then by the wall clock."""
    print(f"\n{title}\n{'subject':14s} {'ms':>15s} {'samples/s':>15s} {'x published':>15s} {'x decord':>13s}")
    for name, times in spent.items():
        cells = []
        for clock in (1, 0):
            mine = [each[clock] for each in times]
            against = [
                statistics.median(other[clock] / own for other, own in zip(spent[rival], mine, strict=True))
                for rival in ("published", "decord")
            ]
            middle = statistics.median(mine)
            cells.append(
                (f"{1e3 * middle:.2f}", f"{1 / middle:.1f}", f"{against[0]:.1f}", f"{against[1]:.2f}")
            )
        columns = [" / ".join(pair) for pair in zip(*cells, strict=True)]
        print(f"{name:14s} {columns[0]:>15s} {columns[1]:>15s} {columns[2]:>15s} {columns[3]:>13s}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEFAR_BENCH_HOME"] = str(Path(folder) / "home")
        found = measured(make_clips(Path(folder), given.clips + 1))
    print("each cell: CPU / wall clock")
    for title, spent in found.items():
        show(title, spent)


if __name__ == "__main__":
    main()
