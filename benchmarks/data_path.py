"""How fast the data path is: samples per second of one process, ours against two others, taking turns.

A sample is one clip with two views of 8 frames each, drawn independently from 8 equal segments; clips are
340 x 256 H.264 of 2 to 3 s that the script makes.  Each subject does the same clips in the same order, one
clip per turn, on one thread; a rate is the number of clips by the subject's time, a ratio the median over
clips of the times in one turn.

    published     a transcription of the published loader: for each view an OpenCV capture of its own, one
                  seek per frame, short side 480, BGR to RGB, float32 (x/255 - 0.45) / 0.225 of the whole
                  frames, then short side U[256, 320] and a random 224 crop
    decord        bare decord: one reader, one get_batch of the frames of both views, nothing else
    ours          decode once (every frame, checked; short side 256) for both views, frames of both gathered
    ours+views    the same, and both views made on this CPU: crop to 224, normalized, float32
    raw           the frames of both views from the raw cache, as one uint8 block each, ready for the device
    raw+views     the same, and both views made on this CPU
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
from datasets.loader import Frames, ViewSettings, render
from datasets.policy import AugmentPolicy
from datasets.sampling import Segments
from datasets.types import ClipRef

FRAMES, SIZE, SHORT_SIDE = 8, 224, 256
SIDES = (256, 320)
POLICY = AugmentPolicy(scale=(SIZE / SIDES[1], SIZE / SIDES[0]), translate=None)
SETTINGS = ViewSettings(policies={"view": POLICY}, size=SIZE, normalize="kinetics", mirror=False)
Positions = tuple[NDArray[np.int64], NDArray[np.int64]]


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
    """Both views as the published loader makes them."""
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
    """The frames of both views and nothing else."""
    import decord  # noqa: PLC0415

    reader = decord.VideoReader(str(path), num_threads=1)
    found: NDArray[np.uint8] = reader.get_batch(np.concatenate(wanted)).asnumpy()
    return found


def gathered(frames: Frames, wanted: Positions) -> list[NDArray[np.uint8]]:
    """What a data worker hands to the training device."""
    return [frames[indices] for indices in wanted]


def viewed(frames: Frames, count: int, wanted: Positions, place: int) -> list[Tensor]:
    """Both views as the loader makes them."""
    store, made = Shown(frames, count), []
    for view, indices in enumerate(wanted):
        numbers = augment.draw([draws.generator(place, f"augment/{view}")])
        made += render(store, ["clip"], [(indices,)], POLICY, numbers, SETTINGS, torch.device("cpu"))
    return made


def subjects(raw: ClipCache, jpeg: ClipCache) -> dict[str, Callable[[ClipRef, Positions, int], object]]:
    """Who takes turns."""

    def decoded(clip: ClipRef) -> NDArray[np.uint8]:
        return video_io.decode(clip.path, SHORT_SIDE).frames

    def ours_with_views(clip: ClipRef, wanted: Positions, place: int) -> object:
        frames = decoded(clip)
        return viewed(frames, len(frames), wanted, place)

    def cached_views(cache: ClipCache) -> Callable[[ClipRef, Positions, int], object]:
        return lambda clip, wanted, place: viewed(
            cache.frames(clip.key), cache.frame_count(clip.key), wanted, place
        )

    return {
        "published": lambda clip, wanted, place: published(clip.path, wanted, place),
        "decord": lambda clip, wanted, place: bare_decord(clip.path, wanted),
        "ours": lambda clip, wanted, place: gathered(decoded(clip), wanted),
        "ours+views": ours_with_views,
        "raw": lambda clip, wanted, place: gathered(raw.frames(clip.key), wanted),
        "raw+views": cached_views(raw),
        "jpeg": lambda clip, wanted, place: gathered(jpeg.frames(clip.key), wanted),
        "jpeg+views": cached_views(jpeg),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEFAR_BENCH_HOME"] = str(Path(folder) / "home")
        clips = make_clips(Path(folder), given.clips + 1)
        caches = [
            ClipCache.open(clips, "made", SHORT_SIDE, progress=False, form=form) for form in ("raw", "jpeg")
        ]
        who = subjects(*caches)
        seconds: dict[str, list[float]] = {name: [] for name in who}
        for place, clip in enumerate(clips):
            for cache in caches:
                cache.frames(clip.key)  # compares the checksum
            wanted = positions(caches[0].frame_count(clip.key), place)
            for name, work in who.items():
                started = time.perf_counter()
                work(clip, wanted, place)
                if place:  # the first clip imports the libraries
                    seconds[name].append(time.perf_counter() - started)
    print(f"{'subject':11s} {'samples/s':>9s} {'x published':>11s} {'x decord':>8s}")
    for name, times in seconds.items():
        against = [
            statistics.median(o / t for o, t in zip(seconds[other], times, strict=True))
            for other in ("published", "decord")
        ]
        print(f"{name:11s} {len(times) / sum(times):9.1f} {against[0]:11.1f} {against[1]:8.2f}")


if __name__ == "__main__":
    main()
