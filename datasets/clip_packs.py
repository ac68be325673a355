"""The files of a clip cache: packs, which hold clips and the index of these clips, and never change.

A pack is the clips' bytes one after the other, the index as JSON, and a trailer that finds and checks the
index.  It is written under another name and gets its own in one rename, so a pack is either whole or not
there.  Whatever happens to its bytes later shows by a checksum: of the index when a cache is opened, of each
clip when it is first read.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PIXELS = 1
"""Raised when equal settings give other pixels; it is part of what a trial's record says of its data."""

SUFFIX, PART = ".pack", ".part"
_MAGIC = b"SEFARPK2"
_TRAILER = struct.Struct("<8sQI")  # magic, bytes of the index, its CRC-32


class Entry(NamedTuple):
    """One clip in a pack: where its bytes are and what they should be, or why there are none.

    `bytes` and `crc` are those of the stored block; `flaw` is what is wrong with a clip that is used.
    """

    sha256: str
    offset: int = 0
    bytes: int = 0
    crc: int = 0
    frames: int = 0
    height: int = 0
    width: int = 0
    decoder: str = ""
    flaw: str | None = None
    error: str | None = None
    pack: str = ""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, 3) of its frames."""
        return self.frames, self.height, self.width, 3


def load_entries(folder: Path) -> dict[str, Entry]:
    """Entries of all packs of a folder by content hash; where two hold the same clip, the newer pack's."""
    found = [index for path in folder.glob(f"*{SUFFIX}") if (index := read_index(path)) is not None]
    return {entry.sha256: entry for _, entries in sorted(found, key=lambda f: f[0]) for entry in entries}


def read_index(path: Path) -> tuple[int, list[Entry]] | None:
    """When a pack was made (ns) and its entries; None for one that is gone, damaged or of another format."""
    try:
        with path.open("rb") as file:
            end = file.seek(-_TRAILER.size, os.SEEK_END)
            magic, length, crc = _TRAILER.unpack(file.read(_TRAILER.size))
            if magic != _MAGIC or length > end:
                return None
            file.seek(end - length)
            text = file.read(length)
        if zlib.crc32(text) != crc:
            return None
        stored = json.loads(text)
        entries = [Entry(*values)._replace(pack=path.name) for values in stored["entries"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return int(stored["made"]), entries


def mapped(path: Path) -> NDArray[np.uint8]:
    """The bytes of a pack, read-only, paged in as they are read; they stay valid when the file is removed."""
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)


class PackWriter:
    """A pack while it is written; nobody sees it before `publish`.

    Args:
        folder: where the pack will be.
        owner: a word in the name of the unfinished file, by which its leftovers are known.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._name = f"{uuid.uuid4().hex[:16]}{SUFFIX}"
        self._part = folder / f"{self._name}.{owner}{PART}"
        self._file = self._part.open("wb", buffering=0)
        self._entries: list[Entry] = []
        self.size = 0

    def add(self, entry: Entry, block: NDArray[np.uint8] | bytes | None) -> None:
        """Writes the bytes of a clip; None for one that could not be decoded."""
        if block is not None:
            data = memoryview(block.data if isinstance(block, np.ndarray) else block).cast("B")
            self._file.seek(self.size)
            self._write(data)
            entry = entry._replace(offset=self.size, bytes=len(data), crc=zlib.crc32(data))
            self.size += len(data)
        self._entries.append(entry)

    def publish(self) -> Path:
        """Makes what was added visible to everybody; on a full disk the last clips make room for the index.

        Returns:
            The path of the pack; where nothing was added there is no such file.
        """
        try:
            while self._entries:
                try:
                    self._finish()
                except OSError:
                    self.size -= self._entries.pop().bytes
                    if not self._entries:
                        raise
                else:
                    self._file.close()
                    self._part.replace(self._folder / self._name)
                    break
            return self._folder / self._name
        finally:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._file.truncate(self.size)
        self._file.seek(self.size)
        stored = [entry[:-1] for entry in self._entries]
        text = json.dumps({"made": time.time_ns(), "entries": stored}).encode()
        self._write(memoryview(text + _TRAILER.pack(_MAGIC, len(text), zlib.crc32(text))))

    def _write(self, data: memoryview) -> None:
        written = 0
        while written < len(data):
            written += self._file.write(data[written:]) or 0


def leftovers(folder: Path, owner: str) -> Iterator[Path]:
    """Unfinished packs of an owner, and packs of the folder that nobody can read."""
    yield from folder.glob(f"*.{owner}{PART}")
    for path in folder.glob(f"*{SUFFIX}"):
        if read_index(path) is None:
            yield path
