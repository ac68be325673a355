"""torchcodec: reads with the FFmpeg libraries of the system, so also what the other two were not built for.

It is an optional extra.  Its packet interface is used, not `VideoDecoder`: that one finds frames by their
times, and files without usable times (AVI with B-frames, raw streams) end it early.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from ctypes.util import find_library
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from datasets.decoders import with_decord
from datasets.decoders.interface import Decoder, Frames, UndecodableError, check_file, last_clause

INSTALL = "pip install 'sefar-bench[torchcodec]'"
FFMPEG = "install FFmpeg 4 to 9, for example with: apt-get install ffmpeg"


def batches(path: Path, most: int = 1) -> Generator[Frames]:
    """All frames of a file that can be decoded, one by one; torchcodec applies its rotation."""
    check_file(path)
    library = _library()
    if isinstance(library, str):
        raise UndecodableError(path, library)
    try:
        packets = library.Demuxer(str(path), streams="video")
        try:
            decoder = packets.streams[0].make_decoder(device="cpu", num_ffmpeg_threads=1)
        finally:
            packets.streams = ()  # they and their demuxer hold each other, which would keep the file open
        colors = library.ColorConverter(device="cpu")
    except (RuntimeError, ValueError) as error:
        raise UndecodableError(path, last_clause(error)) from error
    for raw in _raw(packets, decoder):
        try:
            yield np.asarray(colors.convert(raw).data.permute(1, 2, 0).numpy(), dtype=np.uint8)[None]
        except RuntimeError as error:
            raise UndecodableError(path, last_clause(error)) from error


def _raw(packets: Any, decoder: Any) -> Iterator[Any]:
    """Decoded pictures up to the end or to the first place where the container itself is broken."""
    while True:
        try:
            packet = next(packets, None)
        except RuntimeError:
            break
        if packet is None:
            break
        try:
            found = decoder.decode(packet)
        except RuntimeError:
            continue  # a damaged packet: its frame is left out, the next ones may be whole
        yield from found
    yield from decoder.drain()


def missing() -> str | None:
    """Why torchcodec cannot be used here."""
    found = _library()
    return found if isinstance(found, str) else None


@lru_cache(maxsize=1)
def _library() -> Any:
    """The module with its decoders, or what is wrong with it."""
    _load_the_others()
    try:
        import torchcodec  # noqa: PLC0415
        from torchcodec import decoders  # noqa: PLC0415
    except ModuleNotFoundError:
        return f"torchcodec is not installed here ({INSTALL})"
    except (ImportError, OSError, RuntimeError) as error:
        return f"torchcodec does not load here ({last_clause(error)}); its build must fit that of torch"
    if not hasattr(decoders, "Demuxer"):
        return f"torchcodec is older than 0.17 here ({INSTALL})"
    if getattr(torchcodec, "ffmpeg_major_version", None) is None:
        if find_library("avcodec") is None:
            return f"torchcodec finds no FFmpeg libraries here; {FFMPEG}"
        return f"torchcodec does not fit the FFmpeg libraries here, or the build of torch; {FFMPEG}"
    return decoders


def _load_the_others() -> None:
    """All bring FFmpeg and codecs of other versions under the same names; see `with_decord`."""
    with_decord.missing()
    with contextlib.suppress(ImportError):
        import cv2  # noqa: F401, PLC0415


DECODER = Decoder("torchcodec", batches, missing)
