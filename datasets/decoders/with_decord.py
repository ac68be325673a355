"""decord: the fastest of the three, and the least careful one.

decord 0.6 counts frames by the file's header or packets and fills gaps by repeating the last frame.  So
`datasets.video_io` does not ask it about files whose header lies, and checks what it gives.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from datasets.decoders import with_pyav
from datasets.decoders.interface import Decoder, Frames, UndecodableError, check_file, last_clause


def batches(path: Path, most: int) -> Generator[Frames]:
    """All frames of a file; decord applies its rotation."""
    check_file(path)
    decord = _library()
    if isinstance(decord, str):
        raise UndecodableError(path, decord)
    failures = (decord.DECORDError, RuntimeError, AssertionError, IndexError, UnicodeError)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        total = len(reader)
        for start in range(0, total, most):
            found = reader.get_batch(range(start, min(start + most, total)))
            yield np.asarray(np.from_dlpack(_Pixels(found)), dtype=np.uint8)
    except failures as error:
        raise UndecodableError(path, last_clause(error)) from error


class _Pixels:
    """A batch of decord for `np.from_dlpack`, which takes its memory over: decord's `asnumpy` copies it."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __dlpack__(self, **_: object) -> Any:
        return self._batch.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # the first CPU


def missing() -> str | None:
    """Why decord cannot be used here."""
    found = _library()
    return found if isinstance(found, str) else None


@lru_cache(maxsize=1)
def _library() -> Any:
    """The library, or what is wrong with it.

    decord makes its FFmpeg and codecs visible to all libraries that are loaded later.  PyAV brings its own of
    another version under the same names, so it is loaded before: loaded after decord 0.6, its VP9 encoder
    calls decord's and refuses to open.
    """
    with_pyav.missing()
    try:
        import decord  # noqa: PLC0415
    except ImportError:  # there is no wheel for every kind of machine
        return "decord is not installed here (pip install decord)"
    except OSError as error:
        return f"decord does not load here ({last_clause(error)})"
    decord.logging.set_level(decord.logging.QUIET)
    return decord


DECODER = Decoder("decord", batches, missing)
