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
from datasets.decoders.interface import Frames, UndecodableError, check_file
from datasets.decoders.with_pyav import Damage, Probe, damage, probe
from datasets.video_writing import write_video

__all__ = [
    "Damage",
    "Decoded",
    "Probe",
    "UndecodableError",
    "damage",
    "decode",
    "probe",
    "read_with",
    "write_video",
]

_SILENT_PACKETS = {"mpeg4", "vp8", "vp9", "av1"}
"""Codecs in which a packet may show nothing by design (packed B-frames, alternate references)."""

_WITHOUT_END = {"mpegts", "h264", "hevc"}
"""Formats without an index, in which decord 0.6 does not find the last frames: it would refuse the file after
it has decoded it, and keep some memory."""

_BELIEVED = ("pyav", "torchcodec")
"""Decoders that give nothing but what the file holds, so that a part of a file from them is a part of it."""

_PEEK = 16
"""Pictures are first compared on one row in so many: most differ there already."""

_BATCH_BYTES = 48 << 20
"""Decoders are asked for about so much at a time: most clips fit whole, and are then copied nowhere."""

_BATCH_FRAMES = 8
"""Frames at a time where their size is not known."""


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
                frames, repeats = _collect(path, name, short_side, _pixels(facts))
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


def read_with(path: Path, decoder: str, short_side: int | None = None, pixels: int = 0) -> NDArray[np.uint8]:
    """All frames (T, H, W, 3) that one decoder gives, believed as they are.

    Args:
        path: the file.
        decoder: its name.
        short_side: as for `decode`.
        pixels: of a picture of the file, where they are known: it is read faster then.

    Raises:
        UndecodableError: it gives none.
        KeyError: there is no such decoder.
    """
    return _collect(path, decoder, short_side, pixels)[0]


def _pixels(facts: Probe | None) -> int:
    return facts.width * facts.height if facts else 0


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
    whole = facts.shown == facts.packets and facts.header_frames in {0, facts.packets}
    return whole and facts.streams == 1 and facts.container not in _WITHOUT_END


def _flaw(facts: Probe | None, frames: int) -> str | None:
    if facts is None:
        return None
    if facts.header_frames > facts.packets:
        return f"the header promises {facts.header_frames} frames, the file holds {facts.packets}"
    if frames < facts.shown and facts.codec not in _SILENT_PACKETS:
        return f"{frames} of its {facts.shown} frames can be decoded"
    return None


def _collect(path: Path, decoder: str, short_side: int | None, pixels: int) -> tuple[Frames, bool]:
    """Collects frames as they come, each scaled at once so that large videos need little memory.

    Returns:
        The frames, and whether two neighbors of a decoder that may invent some are identical (in the size
        of the file).
    """
    kept: list[Frames] = []
    repeats = False
    last: Frames | None = None
    size: tuple[int, int] | None = None
    most = max(1, _BATCH_BYTES // (3 * pixels)) if pixels else _BATCH_FRAMES
    with contextlib.closing(DECODERS[decoder].batches(path, most)) as batches:  # none outlives its clip
        for batch in batches:
            size = size or _scaled(batch.shape[1], batch.shape[2], short_side)
            if decoder not in _BELIEVED and not repeats:
                repeats = _repeats(batch) or (last is not None and _same(last, batch[0]))
                last = batch[-1]
            kept.append(_resized(batch, size))
    if not kept:
        raise UndecodableError(path, "none of its frames can be decoded")
    return (kept[0] if len(kept) == 1 else np.concatenate(kept)), repeats


def _repeats(batch: Frames) -> bool:
    """Whether two neighbors are identical."""
    peeks = batch[:, ::_PEEK]
    alike = (peeks[1:] == peeks[:-1]).all((1, 2, 3))
    return any(np.array_equal(batch[place], batch[place + 1]) for place in np.flatnonzero(alike))


def _same(one: Frames, other: Frames) -> bool:
    if one.shape != other.shape or not np.array_equal(one[::_PEEK], other[::_PEEK]):
        return False
    return bool(np.array_equal(one, other))


def _scaled(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    if short_side is None:
        return height, width
    factor = short_side / min(height, width)
    return max(short_side, round(height * factor)), max(short_side, round(width * factor))


def _resized(batch: Frames, size: tuple[int, int]) -> Frames:
    """The batch itself where it has the size, otherwise a scaled copy."""
    if batch.shape[1:3] == size:
        return batch
    import cv2  # noqa: PLC0415

    height, width = size
    shrinks = height * width < batch.shape[1] * batch.shape[2]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled = np.empty((len(batch), height, width, 3), np.uint8)
    for source, target in zip(batch, scaled, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=how)
    return scaled


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
