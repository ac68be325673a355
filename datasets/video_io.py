"""Files to frames and frames to files: the only place that knows decord and PyAV.

A decoder is a function in `DECODERS`, path -> frames in decode order; `decode` scales the frames, and
decides whom to believe.  decord 0.6 is first, and is not trusted blindly: it counts frames by the
file's header or packets and fills gaps by repeating the last frame.  So before it runs, the packets are
counted without decoding (about 0.5 ms for a small clip): it is not asked where the header's count
differs, where an edit list hides packets, or where PyAV cannot open the file at all.  After it ran, its
frame count must equal the packets', and no two neighboring frames may be identical.  Otherwise PyAV,
which stops where the file does, reads the clip; a really static clip therefore costs a second decode,
and is never refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
FrameReader = Callable[[Path], Iterator[Frame]]
"""path -> RGB frames (H, W, 3), upright, in decode order; raises UndecodableError."""

_CHUNK_BYTES = 32 << 20
_SILENT_PACKETS = {"mpeg4", "vp8", "vp9", "av1"}
"""Codecs in which a packet may show nothing by design (packed B-frames, alternate references)."""


class UndecodableError(Exception):
    """A file that gives no frames; `reason` is one clause without the path."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}."


@dataclass(frozen=True)
class Probe:
    """What a file says of its video stream, without decoding it.

    `packets` counts those that the file holds, `shown` those that its edit list shows, `header_frames`
    is the header's claim (0: none).  Sizes are of the coded picture, before rotation.
    """

    codec: str
    width: int
    height: int
    fps: float
    packets: int
    shown: int
    header_frames: int


@dataclass(frozen=True)
class Decoded:
    """All frames of a clip, (T, H, W, 3) uint8, who read them, and what is wrong with the file (or None)."""

    frames: NDArray[np.uint8]
    decoder: str
    flaw: str | None = None


def probe(path: Path) -> Probe:
    """Counts the packets of the best video stream.

    Raises:
        UndecodableError: the file is missing, empty, no video, or cannot be opened.
    """
    import av  # noqa: PLC0415

    _check_file(path)
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = _video_stream(container, path)
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
            )
    except (av.FFmpegError, ValueError) as error:
        raise UndecodableError(path, _reason(error)) from error


def decode(path: Path, short_side: int | None = None, decoder: str = "decord") -> Decoded:
    """Decodes every frame of a clip, once.

    Args:
        path: the file.
        short_side: the shorter side of the result in pixels, aspect ratio kept; smaller files are scaled
            up, so that crops fit.  None keeps the file's size.
        decoder: who is asked first; PyAV is the fallback of every other.

    Raises:
        UndecodableError: no decoder reads a frame of it.
        KeyError: there is no such decoder.
    """
    first = DECODERS[decoder]
    facts = probe(path)
    flaw = None
    if facts.header_frames > facts.packets:
        flaw = f"the header promises {facts.header_frames} frames, the file holds {facts.packets}"
    honest = facts.shown == facts.packets and facts.header_frames in {0, facts.packets}
    if decoder != "pyav" and honest:
        try:
            frames = _collect(first(path), short_side)
        except UndecodableError:
            frames = None
        if frames is not None and len(frames) == facts.shown and not _repeats(frames):
            return Decoded(frames, decoder, flaw)
    frames = _collect(_read_pyav(path), short_side)
    if frames is None:
        raise UndecodableError(path, "none of its frames can be decoded")
    if flaw is None and len(frames) < facts.shown and facts.codec not in _SILENT_PACKETS:
        flaw = f"{len(frames)} of its {facts.shown} frames can be decoded"
    return Decoded(frames, "pyav", flaw)


def write_video(path: Path, frames: NDArray[np.uint8], fps: int = 25, crf: int = 18) -> None:
    """Writes frames (T, H, W, 3) RGB uint8 as H.264; the same frames give the same bytes.

    The file appears under its name only when it is complete.  Odd sizes are stored without chroma
    subsampling, which needs even ones.
    """
    import av  # noqa: PLC0415

    _, height, width, _ = frames.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with av.open(str(temporary), "w") as container:
            stream: Any = container.add_stream("libx264", rate=fps)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuv420p" if width % 2 == 0 and height % 2 == 0 else "yuv444p"
            stream.options = {"crf": str(crf), "threads": "1"}
            scaler = av.video.reformatter.VideoReformatter()
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(stream.encode(scaler.reformat(picture, format=stream.pix_fmt, threads=1)))
            container.mux(stream.encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_decord(path: Path) -> Iterator[Frame]:
    decord = _decord()
    if decord is None:
        raise UndecodableError(path, "decord is not installed here")
    failures = (decord.DECORDError, RuntimeError, AssertionError, IndexError)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        total = len(reader)
        first = reader.get_batch([0]).asnumpy()
        yield first[0]
        step = max(1, _CHUNK_BYTES // first.nbytes)
        for start in range(1, total, step):
            yield from reader.get_batch(range(start, min(start + step, total))).asnumpy()
    except failures as error:
        raise UndecodableError(path, _reason(error)) from error


def _read_pyav(path: Path) -> Iterator[Frame]:
    import av  # noqa: PLC0415

    _check_file(path)
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = _video_stream(container, path)
            stream.codec_context.thread_count = 1
            # One scaler for all frames, on one thread: with its defaults PyAV starts threads per frame.
            scaler = av.video.reformatter.VideoReformatter()
            for packet in _packets(container, stream):
                try:
                    pictures = packet.decode()
                except av.FFmpegError:
                    continue  # a damaged packet: its frame is left out, the next ones may be whole
                for picture in pictures:
                    rgb: Frame = np.asarray(
                        scaler.reformat(picture, format="rgb24", threads=1).to_ndarray(), dtype=np.uint8
                    )
                    turns = round(picture.rotation / 90)
                    yield np.rot90(rgb, turns) if turns else rgb
    except (av.FFmpegError, ValueError) as error:
        raise UndecodableError(path, _reason(error)) from error


DECODERS: dict[str, FrameReader] = {"decord": _read_decord, "pyav": _read_pyav}


@lru_cache(maxsize=1)
def _decord() -> Any:
    try:
        import decord  # noqa: PLC0415
    except (ImportError, OSError):  # no wheel for this machine, or one that does not load
        return None
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UndecodableError(path, "the file does not exist")
    if not path.is_file():
        raise UndecodableError(path, "it is not a file")
    if path.stat().st_size == 0:
        raise UndecodableError(path, "the file is empty")
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs.github.com"):
            raise UndecodableError(
                path, "it is a Git LFS pointer, not the video; fetch it with `git lfs pull`"
            )


def _video_stream(container: Any, path: Path) -> Any:
    stream = container.streams.best("video")
    if stream is None:
        raise UndecodableError(path, "it has no video stream")
    return stream


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Packets up to the end or to the first place where the container itself is broken, then a flush."""
    import av  # noqa: PLC0415

    try:
        yield from container.demux(stream)
    except av.FFmpegError:
        return


def _reason(error: BaseException) -> str:
    """The part of a decoder's message that helps a reader: without trace, path and place in C++."""
    import av  # noqa: PLC0415

    if isinstance(error, av.FFmpegError):
        return f"it is no readable video ({error.strerror})"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rsplit(": ", 1)[-1].rstrip(".")


def _collect(frames: Iterator[Frame], short_side: int | None) -> NDArray[np.uint8] | None:
    """Stacks frames as they come, each scaled at once so that large videos need little memory."""
    kept: list[Frame] = []
    size: tuple[int, int] | None = None
    for frame in frames:
        size = size or _scaled(frame.shape[0], frame.shape[1], short_side)
        kept.append(_resize(frame, size))
    return np.stack(kept) if kept else None


def _scaled(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    if short_side is None:
        return height, width
    factor = short_side / min(height, width)
    return max(short_side, round(height * factor)), max(short_side, round(width * factor))


def _resize(frame: Frame, size: tuple[int, int]) -> Frame:
    height, width = size
    if frame.shape[:2] == size:
        return frame
    import cv2  # noqa: PLC0415

    shrinks = height * width < frame.shape[0] * frame.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), dtype=np.uint8)


def _repeats(frames: NDArray[np.uint8]) -> bool:
    return any(np.array_equal(frames[i - 1], frames[i]) for i in range(1, len(frames)))
