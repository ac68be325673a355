"""How long the device waits for data: the share of a SeFAR step's time that passes before its batch is there.

Clips are those of `data_path.py`, stored as JPEG.  Steps are those of the paper's sets: 8 labeled and 24
unlabeled clips of 8 frames, crops of 224 pixels, views made on the device.  Two ways of reading take turns in
blocks of steps: by the training process itself, and ahead of time by threads.  A step ends when the device
has finished it, so what passes until the next batch is ready is time in which the device has nothing to do.

With a GPU the step is that of ViT-S in bfloat16 (goal: below 5 % with 8 threads).  Without one it is a pause
of --step-ms, in which the processors are free, as they are while a GPU computes: it shows what these
processors can read in such a time, and nothing of a GPU; views are then left out, since they would be made on
it.  The texture of these clips is noise: a picture takes twice the time of those of real videos.

Example: python benchmarks/data_wait.py --workers 8
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from data_path import POLICY, SETTINGS, SHORT_SIDE, make_clips
from sefar_step import K, Scale, make, training, verdict

from datasets.clip_cache import ClipCache
from datasets.loader import BatchSizes, Gathered, Loader
from datasets.read_ahead import ReadAhead
from datasets.types import ClipRef
from sefar.method import SeFAR

LABELED, UNLABELED = 8, 24
SPARE = 2
"""A block begins with one step per thread and these, which do not count: what was read before it."""
GOAL = 0.05
Spent = tuple[float, float]
"""Seconds of waiting, and in all."""


def make_loader(cache: ClipCache, clips: list[ClipRef], method: SeFAR, device: torch.device) -> Loader:
    """Batches of the paper's sizes."""
    policies = dict.fromkeys(("labeled", "weak", "strong"), POLICY)
    return Loader(
        store=cache,
        labeled=clips[:LABELED],
        unlabeled=clips,
        recipe=method.recipe(),
        settings=dataclasses.replace(SETTINGS, policies=policies),
        sizes=BatchSizes(labeled=LABELED, unlabeled=UNLABELED, warmup=LABELED),
        warmup_steps=0,
        seed=0,
        device=device,
    )


def block(
    get: Callable[[int], object], work: Callable[[Any], None], first: int, warm_up: int, steps: int
) -> Spent:
    """A block of steps: seconds that passed in waiting, and in all, of those that count."""
    waited = total = 0.0
    for number in range(warm_up + steps):
        began = time.perf_counter()
        batch = get(first + number)
        ready = time.perf_counter()
        work(batch)
        if number >= warm_up:
            waited += ready - began
            total += time.perf_counter() - began
    return waited, total


def compare(given: argparse.Namespace, clips: list[ClipRef], device: torch.device) -> dict[str, list[Spent]]:
    """What each way of reading took, in blocks that take turns."""
    cache = ClipCache.open(clips, "made", SHORT_SIDE, progress=False, form=given.store)
    for clip in clips:
        cache.frames(clip.key)  # compares the checksum, once for a clip
    scale = Scale("small", 224, LABELED, UNLABELED, device.type, "bfloat16")
    method = make(scale, K)
    loader = make_loader(cache, clips, method, device)
    on_gpu = device.type == "cuda"
    step = training(method, scale)

    def work(batch: Any) -> None:
        if on_gpu:
            step(batch)
            torch.cuda.synchronize()
        else:
            time.sleep(given.step_ms / 1e3)

    found: dict[str, list[Spent]] = {"by itself": [], "ahead": []}
    warm_up = given.workers + SPARE
    each = warm_up + given.steps
    for turn in range(given.turns):
        first = 2 * turn * each
        plain = loader.batch if on_gpu else loader.read
        found["by itself"].append(block(plain, work, first, warm_up, given.steps))
        # It reads on beyond the block, so that the last steps have as much company as the first.
        reader = ReadAhead(
            loader if on_gpu else Unseen(loader), steps=first + 3 * each, workers=given.workers, pin=on_gpu
        )
        found["ahead"].append(block(reader.batch, work, first + each, warm_up, given.steps))
        reader.close()
    return found


class Unseen:
    """A loader whose batches stay bytes, since no device is here to make their views."""

    def __init__(self, loader: Loader) -> None:
        self.read = loader.read

    def show(self, read: Gathered) -> Gathered:
        """The bytes themselves."""
        return read


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--steps", type=int, default=60, help="of a block, that count")
    parser.add_argument("--turns", type=int, default=3, help="blocks of each way of reading")
    parser.add_argument("--workers", type=int, default=8, help="threads that read ahead")
    parser.add_argument("--store", choices=["raw", "jpeg"], default="jpeg")
    parser.add_argument("--step-ms", type=float, default=250.0, help="the pause that stands for a step")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEFAR_BENCH_HOME"] = str(Path(folder) / "home")
        found = compare(given, make_clips(Path(folder), given.clips), device)
    what = torch.cuda.get_device_name() if device.type == "cuda" else f"a pause of {given.step_ms:g} ms"
    print(f"step: {what}; {given.store} cache, {given.workers} threads, {os.cpu_count()} processors")
    for name, spent in found.items():
        shares = [waited / total for waited, total in spent]
        step = 1e3 * statistics.median(total for _, total in spent) / given.steps
        print(
            f"read {name:10s} {step:7.1f} ms a step, waiting for data "
            f"{', '.join(f'{share:.1%}' for share in shares)}"
        )
    share = statistics.median(waited / total for waited, total in found["ahead"])
    verdict("share of the wall time that waits for data", share, GOAL, most=True)


if __name__ == "__main__":
    main()
