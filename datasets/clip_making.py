"""Clips that a data set ships as something else: spans of full videos, or folders of single frames.

The decode path reads video files, so such clips are made once, below the data home, and are ordinary files
from then on: H.264, shorter side at most 320 pixels, which is what the published pipelines store, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from datasets.contained import Lost, contained
from datasets.errors import UserError
from datasets.home import data_home
from datasets.progress import tracked

SHORT_SIDE = 320
"""Larger pictures are scaled down: crops of 224 out of [256, 320] need no more."""

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
FRAME_RATE = 25
"""Of clips that are made of frames, which tell none.  Sampling goes by frames, so it changes no result."""


@dataclass(frozen=True)
class Cut:
    """A clip to be made from the span [start, end] (seconds) of a video."""

    video: Path
    target: Path
    start: float
    end: float


@dataclass(frozen=True)
class Join:
    """A clip to be made from `count` pictures of a folder, from the one numbered `first` on (None: all)."""

    folder: Path
    target: Path
    first: int | None = None
    count: int | None = None


def made_folder(name: str) -> Path:
    """Where the made clips of a data set lie."""
    return data_home() / "made" / re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def make_clips(
    jobs: Sequence[Cut | Join], name: str, workers: int | None = None, progress: bool = True
) -> int:
    """Makes clips in child processes; returns how many could not be made (those stay missing).

    Raises:
        UserError: not one of them could be made, or the disk is full.
    """
    lost: dict[str, str] = {}
    results = contained(make, jobs, min(len(jobs), workers or os.cpu_count() or 1))
    for place, result in tracked(results, len(jobs), f"making clips of {name}", shown=progress):
        if isinstance(result, Lost) or result:
            lost[jobs[place].target.name] = result.reason if isinstance(result, Lost) else result
    if lost and len(lost) == len(jobs):
        key, reason = next(iter(lost.items()))
        raise UserError(
            f"none of the {len(jobs)} missing clips of data set '{name}' could be made; the first, '{key}': "
            f"{reason}."
        )
    return len(lost)


def make(job: Cut | Join) -> str:
    """Makes one clip under its name when it is complete; returns what went wrong, or nothing."""
    import av  # noqa: PLC0415

    try:
        if isinstance(job, Cut):
            return _write(job.target, _span(job), _rate(job.video))
        return _write(job.target, _pictures(job), Fraction(FRAME_RATE))
    except (av.FFmpegError, ValueError) as error:
        return f"it cannot be read ({error})"
    except OSError as error:
        return f"it cannot be written ({error.strerror})"


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the number that ends their names."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES]
    return sorted(files, key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    found = re.search(r"(\d+)$", path.stem)
    return int(found[1]) if found else -1


def _rate(video: Path) -> Fraction:
    import av  # noqa: PLC0415

    with av.open(str(video), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        rate = None if stream is None else stream.average_rate or stream.guessed_rate
    return Fraction(rate or FRAME_RATE).limit_denominator(1001)


def _span(job: Cut) -> Iterator[Any]:
    """Decoded frames with times in [start, end], from the last key frame before the start."""
    import av  # noqa: PLC0415

    with av.open(str(job.video), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        if stream is None or stream.time_base is None:
            return
        begin = float(stream.start_time or 0) * float(stream.time_base)
        container.seek(max(0, int((job.start + begin) / float(stream.time_base))), stream=stream)
        frames: Iterator[Any] = container.decode(stream)
        for frame in frames:
            time = (frame.time or 0.0) - begin
            if time > job.end:
                return
            if time >= job.start:
                yield frame


def _pictures(job: Join) -> Iterator[Any]:
    import av  # noqa: PLC0415
    import cv2  # noqa: PLC0415

    files = [path for path in frame_files(job.folder) if job.first is None or _number(path) >= job.first]
    for path in files[: job.count]:
        picture: Any = cv2.imread(str(path))
        if picture is None:
            raise ValueError(f"{path.name} is no picture")
        yield av.VideoFrame.from_ndarray(picture, format="bgr24")


def _write(target: Path, frames: Iterator[Any], rate: Fraction) -> str:
    import av  # noqa: PLC0415

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.mp4")
    count = 0
    try:
        with av.open(str(temporary), "w") as container:
            stream: Any = None
            scaler = av.video.reformatter.VideoReformatter()
            for frame in frames:
                if stream is None:
                    stream = container.add_stream("libx264", rate=rate)
                    stream.width, stream.height = _size(frame.width, frame.height)
                    stream.pix_fmt, stream.options = "yuv420p", {"crf": "18", "threads": "1"}
                picture = scaler.reformat(
                    frame, width=stream.width, height=stream.height, format="yuv420p", threads=1
                )
                picture.pts = None
                container.mux(stream.encode(picture))
                count += 1
            if stream is not None:
                container.mux(stream.encode())
        if count:
            temporary.replace(target)
        return "" if count else "there is no frame in its span"
    finally:
        temporary.unlink(missing_ok=True)


def _size(width: int, height: int) -> tuple[int, int]:
    """The size of the made clip: even, shorter side at most `SHORT_SIDE`."""
    factor = min(1.0, SHORT_SIDE / min(width, height))
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)
