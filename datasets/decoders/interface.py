"""What a decoder is: a name, a function from a file to its frames, and a word on what it lacks here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.file_hashes import problem, unreadable

Frames = NDArray[np.uint8]
"""Neighboring RGB pictures (n, H, W, 3), upright."""


class UndecodableError(Exception):
    """A file that gives no frames; `reason` is one clause without the path."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}."


@dataclass(frozen=True)
class Decoder:
    """A way to read videos.

    Attributes:
        name: as `--decoder` takes it.
        batches: (path, most) -> frames in the order in which they are decoded, up to `most` at a time; raises
            UndecodableError.  Whatever it opens is closed when its iterator ends or is closed.
        missing: what this machine lacks for it and the cure, in one clause; None where it works.
    """

    name: str
    batches: Callable[[Path, int], Generator[Frames]]
    missing: Callable[[], str | None]


def check_file(path: Path) -> None:
    """Refuses what is no video whoever reads it.

    Raises:
        UndecodableError: the file is missing, no file, empty, unreadable or a Git LFS pointer.
    """
    if found := problem(path):
        raise UndecodableError(path, found)
    try:
        with path.open("rb") as file:
            head = file.read(40)
    except OSError as error:
        raise UndecodableError(path, unreadable(error)) from error
    if not head:
        raise UndecodableError(path, "the file is empty")
    if head.startswith(b"version https://git-lfs.github.com"):
        raise UndecodableError(path, "it is a Git LFS pointer, not the video; fetch it with `git lfs pull`")


def last_clause(error: BaseException) -> str:
    """The part of a decoder's message that helps a reader: without trace, path and place in C++."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rsplit(": ", 1)[-1].rstrip(".")
