"""PyAV: stops where the file does, repeats nothing, and says what a file claims before it is decoded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.decoders.interface import Decoder, Frames, UndecodableError, check_file


@dataclass(frozen=True)
class Probe:
    """What a file says of its video stream, without decoding it.

    `packets` counts those that the file holds, `shown` those that its edit list shows, `header_frames`
    is the header's claim (0: none).  Sizes are of the coded picture, before rotation.  `streams` counts the
    video streams; the described one is FFmpeg's choice, which players show.  `container` is FFmpeg's name of
    the format of the file, as "mov,mp4,m4a,3gp,3g2,mj2".
    """

    codec: str
    width: int
    height: int
    fps: float
    packets: int
    shown: int
    header_frames: int
    streams: int = 1
    container: str = ""


def probe(path: Path) -> Probe:
    """Counts the packets of the best video stream (about 0.5 ms for a small clip).

    Raises:
        UndecodableError: the file is missing, empty, no video, or cannot be opened.
    """
    with _opened(path) as (container, stream):
        packets = [packet.is_discard for packet in _packets(container, stream) if packet.size]
        rate = stream.average_rate or stream.guessed_rate
        context = stream.codec_context
        return Probe(
            codec=str(context.name),
            width=int(context.width),
            height=int(context.height),
            fps=float(rate) if rate else 0.0,
            packets=len(packets),
            shown=len(packets) - sum(packets),
            header_frames=int(stream.frames),
            streams=len(container.streams.video),
            container=str(container.format.name),
        )


class Damage(NamedTuple):
    """What of a file is not whole: frames in all, those marked as damaged, and packets that gave none."""

    frames: int
    corrupt: int
    failed: int


def damage(path: Path) -> Damage:
    """Decodes a file to count what is damaged in it; the pixels are not looked at.

    Raises:
        UndecodableError: the file cannot be opened.
    """
    import av  # noqa: PLC0415

    frames = corrupt = failed = 0
    with _opened(path) as (container, stream):
        stream.codec_context.thread_count = 1
        for packet in _packets(container, stream):
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                failed += bool(packet.size)
                continue
            frames += len(pictures)
            corrupt += sum(bool(picture.is_corrupt) for picture in pictures)
    return Damage(frames, corrupt, failed)


def batches(path: Path, most: int = 1) -> Generator[Frames]:
    """All frames of a file that can be decoded, one by one; a damaged packet costs its own frames only."""
    import av  # noqa: PLC0415

    with _opened(path) as (container, stream):
        stream.codec_context.thread_count = 1
        # One scaler for all frames, on one thread: with its defaults PyAV starts threads per frame.
        scaler = av.video.reformatter.VideoReformatter()
        for packet in _packets(container, stream):
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                continue  # its frame is left out, the next ones may be whole
            for picture in pictures:
                rgb: Frames = np.asarray(
                    scaler.reformat(picture, format="rgb24", threads=1).to_ndarray(), dtype=np.uint8
                )
                yield (np.rot90(rgb, turns) if (turns := _quarter_turns(picture)) else rgb)[None]


def pictures_between(path: Path, start: float, end: float) -> Iterator[Any]:
    """Decoded pictures (`av.VideoFrame`), upright, with times in [start, end] (seconds from the first one).

    Raises:
        UndecodableError: the file cannot be opened.
    """
    with _opened(path) as (container, stream):
        if stream.time_base is None:
            return
        begin = float(stream.start_time or 0) * float(stream.time_base)
        # To the last key frame before the start.
        container.seek(max(0, int((start + begin) / float(stream.time_base))), stream=stream)
        for frame in container.decode(stream):
            time = (frame.time or 0.0) - begin
            if time > end:
                return
            if time >= start:
                yield _upright(frame)


def frame_rate(path: Path) -> Fraction | None:
    """Frames per second as the file states or suggests them.

    Raises:
        UndecodableError: the file cannot be opened.
    """
    with _opened(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
        return Fraction(rate) if rate else None


def missing() -> str | None:
    """Why PyAV cannot be used here."""
    return _problem()


@lru_cache(maxsize=1)
def _problem() -> str | None:
    try:
        import av  # noqa: F401, PLC0415
    except ImportError as error:
        return f"PyAV is not installed here, or does not load ({error}); pip install av"
    return None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its best video stream; what FFmpeg raises becomes an UndecodableError."""
    check_file(path)
    if problem := _problem():
        raise UndecodableError(path, problem)
    import av  # noqa: PLC0415

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = container.streams.best("video")
            if stream is None:
                raise UndecodableError(path, "it has no video stream")
            yield container, stream
    except av.FFmpegError as error:
        raise UndecodableError(path, f"it is no readable video ({error.strerror})") from error
    except ValueError as error:
        raise UndecodableError(path, f"it is no readable video ({error})") from error


def _quarter_turns(picture: Any) -> int:
    """Quarter turns, counterclockwise, that make a decoded picture upright: PyAV leaves them to its users."""
    return round(int(picture.rotation) / 90) % 4


def _upright(picture: Any) -> Any:
    import av  # noqa: PLC0415

    turns = _quarter_turns(picture)
    if not turns:
        return picture
    turned = np.rot90(picture.to_ndarray(format="rgb24"), turns)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(turned), format="rgb24")


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Packets up to the end or to the first place where the container itself is broken, then a flush."""
    import av  # noqa: PLC0415

    try:
        yield from container.demux(stream)
    except av.FFmpegError:
        return


DECODER = Decoder("pyav", batches, missing)
