"""A file to all its frames, once: asks the decoders in turn, and decides whom to believe.

decord 0.6 is first, and is not trusted blindly: it counts frames by the file's header or packets and fills
gaps by repeating the last frame.  So before a decoder runs, the packets are counted without decoding.
decord is not asked where the header's count differs, an edit list hides packets, or there are several
streams.  Whoever ran, its frames must be as many as the packets that are shown, and no two neighboring
frames of decord may be identical; otherwise it counts as failed and the next one reads the clip.  A really
static clip therefore costs a second decode.

Where none gives all frames, the file is damaged: then counts what PyAV gives, which stops where the file
does and repeats nothing, or what torchcodec gives, if that is more.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.decoders import DECODERS, DEFAULT, order
from datasets.decoders.interface import Frame, UndecodableError, check_file
from datasets.decoders.with_pyav import Probe, probe
from datasets.video_writing import write_video

__all__ = ["Decoded", "Probe", "UndecodableError", "decode", "probe", "read_with", "write_video"]

_SILENT_PACKETS = {"mpeg4", "vp8", "vp9", "av1"}
"""Codecs in which a packet may show nothing by design (packed B-frames, alternate references)."""

_BELIEVED = ("pyav", "torchcodec")
"""Decoders that give nothing but what the file holds, so that a part of a file from them is a part of it."""

_PEEK = 16
"""Pictures are first compared on one row in so many: most differ there already."""


@dataclass(frozen=True)
class Decoded:
    """All frames of a clip, and what is known of its file.

    Attributes:
        frames: (T, H, W, 3) RGB uint8.
        decoder: who read them.
        flaw: what is wrong with the file, or None.
        facts: what PyAV says of the file, where it was asked.
    """

    frames: NDArray[np.uint8]
    decoder: str
    flaw: str | None = None
    facts: Probe | None = None


def decode(path: Path, short_side: int | None = None, decoders: str | Sequence[str] = DEFAULT) -> Decoded:
    """Decodes every frame of a clip, once.

    Args:
        path: the file.
        short_side: the shorter side of the result in pixels, aspect ratio kept; smaller files are scaled
            up, so that crops fit.  None keeps the file's size.
        decoders: who is asked, in this order; one name asks this one first and the others after it.  Those
            that this machine lacks are passed over.

    Raises:
        UndecodableError: no decoder reads a frame of it.
        KeyError: there is no such decoder.
    """
    check_file(path)
    asked = order(decoders) if isinstance(decoders, str) else decoders
    facts, reason = _facts(path, asked)
    if facts is None:  # nothing to check them by: those who invent nothing are asked first
        asked = sorted(asked, key=lambda name: name not in _BELIEVED)
    parts: dict[str, NDArray[np.uint8]] = {}
    for name in asked:
        if name not in _BELIEVED and facts is not None and not _honest(facts):
            continue
        try:
            with contextlib.nullcontext() if facts else _muted():
                frames, repeats = _collect(path, name, short_side)
        except UndecodableError as error:
            reason = reason or ("" if facts else error.reason)
            continue
        full = facts is None or len(frames) == facts.shown
        if full and (not repeats or name in _BELIEVED):
            return Decoded(frames, name, _flaw(facts, len(frames)), facts)
        if name in _BELIEVED:
            parts[name] = frames
            if facts is not None and facts.codec in _SILENT_PACKETS:
                break
    if not parts:
        raise UndecodableError(path, reason or "none of its frames can be decoded")
    name = max(parts, key=lambda each: len(parts[each]))
    return Decoded(parts[name], name, _flaw(facts, len(parts[name])), facts)


def read_with(path: Path, decoder: str, short_side: int | None = None) -> NDArray[np.uint8]:
    """All frames (T, H, W, 3) that one decoder gives, believed as they are.

    Raises:
        UndecodableError: it gives none.
        KeyError: there is no such decoder.
    """
    return _collect(path, decoder, short_side)[0]


def _facts(path: Path, asked: Sequence[str]) -> tuple[Probe | None, str]:
    """What PyAV says of a file, or why it cannot; nothing where PyAV is not to be asked."""
    if "pyav" not in asked:
        return None, ""
    try:
        return probe(path), ""
    except UndecodableError as error:
        return None, error.reason


def _honest(facts: Probe) -> bool:
    """Whether decord, which goes by the header and has its own idea of the best stream, may be asked."""
    return facts.shown == facts.packets and facts.header_frames in {0, facts.packets} and facts.streams == 1


def _flaw(facts: Probe | None, frames: int) -> str | None:
    if facts is None:
        return None
    if facts.header_frames > facts.packets:
        return f"the header promises {facts.header_frames} frames, the file holds {facts.packets}"
    if frames < facts.shown and facts.codec not in _SILENT_PACKETS:
        return f"{frames} of its {facts.shown} frames can be decoded"
    return None


def _collect(path: Path, decoder: str, short_side: int | None) -> tuple[NDArray[np.uint8], bool]:
    """Stacks frames as they come, each scaled at once so that large videos need little memory.

    Returns:
        The frames, and whether two neighbors are identical (in the size of the file).
    """
    kept: list[Frame] = []
    repeats = False
    last: Frame | None = None
    size: tuple[int, int] | None = None
    with contextlib.closing(DECODERS[decoder].frames(path)) as frames:  # no decoder outlives its clip
        for frame in frames:
            size = size or _scaled(frame.shape[0], frame.shape[1], short_side)
            repeats = repeats or (last is not None and _same(last, frame))
            last = frame
            kept.append(_resize(frame, size))
    if not kept:
        raise UndecodableError(path, "none of its frames can be decoded")
    return np.stack(kept), repeats


def _same(one: Frame, other: Frame) -> bool:
    if one.shape != other.shape or not np.array_equal(one[::_PEEK], other[::_PEEK]):
        return False
    return bool(np.array_equal(one, other))


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


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keeps C libraries from writing to standard error about a file that is no video anyway."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
