"""Clips as H.264 files: encoding, and writing many of them so that any interruption can be continued.

Imported only where files are made: it needs a video encoder and OpenCV, which the rest of the data path
does without.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datasets.draws import generator
from datasets.errors import UserError
from datasets.gym_render import Frames, render_clip
from datasets.gymnast import Element, GymParameters
from datasets.video_writing import planes_to_mp4

MARKER = "complete.json"
CHUNK = 12
"""Clips that a worker makes before it reports."""


@dataclass(frozen=True)
class ClipJob:
    """One file to make: `key` below the data set's folder, and all that its pixels depend on."""

    key: str
    element: Element
    seed: int
    purpose: str
    index: int


def encode(frames: Frames, parameters: GymParameters) -> bytes:
    """An MP4 file (H.264, yuv420p) of uint8 RGB frames (T, H, W, 3); equal frames give equal bytes.

    Without frame times, or with x264's look-ahead (and macroblock tree), a file in a few hundred differs
    from run to run: measured as 13 of 5 220 with the look-ahead and 0 of 11 400 without.  There are no
    B-frames, so that decode order is display order.
    """
    options = {
        "preset": parameters.preset,
        "crf": str(parameters.crf),
        "bf": "0",
        "rc-lookahead": "0",
        "threads": "1",
    }
    planes = (cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in frames)
    height, width = frames.shape[1:3]
    return planes_to_mp4(planes, (height, width), parameters.fps, options)


def make_clip(job: ClipJob, parameters: GymParameters) -> bytes:
    """The file of one job, in memory."""
    rng = generator(job.seed, job.purpose, index=job.index)
    return encode(render_clip(job.element, parameters, rng), parameters)


def write_clips(folder: Path, jobs: Sequence[ClipJob], parameters: GymParameters) -> int:
    """Make the files of `jobs` below `folder`, each whole or not at all; returns how many.

    Raises:
        OSError: the file system refused.
    """
    for job in jobs:
        path = folder / job.key
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(make_clip(job, parameters))
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    return len(jobs)


def generate(
    folder: Path, jobs: Sequence[ClipJob], parameters: GymParameters, *, workers: int, quiet: bool = False
) -> None:
    """Make the files of `jobs` that `folder` lacks, and mark it complete.

    Files appear under their names only when they are whole, so that a killed run is continued by calling
    again; concurrent callers wait for each other.

    Raises:
        UserError: the disk is full, the folder cannot be written, or a worker died.
    """
    if is_complete(folder, jobs):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, quiet):
            missing = [job for job in jobs if not _is_whole(folder / job.key)]
            for parent in {(folder / job.key).parent for job in jobs}:
                parent.mkdir(parents=True, exist_ok=True)
                for part in parent.glob("*.part"):
                    part.unlink()
            with _progress(folder.name, len(missing), quiet) as advance:
                _make(folder, missing, parameters, workers, advance)
            if missing or not (folder / MARKER).is_file():
                _mark(folder, jobs)
    except OSError as error:
        raise _explained(error, folder) from error
    except BrokenProcessPool as error:
        raise UserError(
            f"A process that wrote clips into {folder} was killed (out of memory?); "
            "run the command again, it continues where it stopped."
        ) from error


def is_complete(folder: Path, jobs: Sequence[ClipJob]) -> bool:
    """Whether `folder` was finished and still has all of its files."""
    return (folder / MARKER).is_file() and all(_is_whole(folder / job.key) for job in jobs)


def _is_whole(path: Path) -> bool:
    # A file may be there and empty when the machine lost power after the rename.
    return path.is_file() and path.stat().st_size > 0


def _mark(folder: Path, jobs: Sequence[ClipJob]) -> None:
    """Write the marker: the number of clips and one digest over all names and files."""
    digest = hashlib.sha256()
    for job in jobs:
        digest.update(job.key.encode() + hashlib.sha256((folder / job.key).read_bytes()).digest())
    part = folder / (MARKER + ".part")
    part.write_text(json.dumps({"clips": len(jobs), "sha256": digest.hexdigest()}) + "\n")
    part.replace(folder / MARKER)


def _explained(error: OSError, folder: Path) -> UserError:
    """The sentence for a file system that refuses."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UserError(
            f"The disk is full: clips could not be written into {folder}; free some space, or set "
            "SEFAR_BENCH_HOME to a folder on another disk, and run the command again."
        )
    reason = error.strerror or str(error)
    return UserError(
        f"Clips cannot be written into {folder} ({reason}); "
        "set SEFAR_BENCH_HOME to a folder that you may write to."
    )


@contextmanager
def _alone(folder: Path, quiet: bool) -> Iterator[None]:
    """Hold the folder's lock; say so when another process has it."""
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not quiet:
            Console(stderr=True).print(f"Another process is making {folder.name}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


Advance = Callable[[int], None]


def _make(
    folder: Path, jobs: Sequence[ClipJob], parameters: GymParameters, workers: int, advance: Advance
) -> None:
    """Make `jobs`, in this process if they are few, else in `workers` processes."""
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    workers = min(workers, len(chunks) // 2)  # two chunks or less take longer to hand over than to make
    if workers <= 1:
        for chunk in chunks:
            advance(write_clips(folder, chunk, parameters))
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        for done in as_completed([pool.submit(write_clips, folder, chunk, parameters) for chunk in chunks]):
            advance(done.result())
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Settings of a worker process: one thread, Ctrl-C left to the parent, never outliving it."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _progress(label: str, total: int, quiet: bool) -> Iterator[Advance]:
    """A bar with the time left on a terminal, a line per quarter elsewhere, nothing when quiet."""
    console = Console(stderr=True)
    if quiet or not total:
        yield lambda count: None
    elif console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(f"Making {label}", total=total)
            yield lambda count: bar.advance(task, count)
    else:
        console.print(f"Making {label}: {total} clips", highlight=False)
        yield _quarters(label, total, console)


def _quarters(label: str, total: int, console: Console) -> Advance:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if done * 4 // total > (done - count) * 4 // total:
            console.print(f"Making {label}: {done} of {total} clips", highlight=False)

    return advance
