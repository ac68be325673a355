"""The files of a clip cache: packs of uint8 frames that never change, and the index that points into them."""

from __future__ import annotations

import json
import mmap
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
"""Raised when the index or the pixels of equal settings change; caches of another format are rebuilt."""


class Entry(NamedTuple):
    """One clip in the index: which file it was, and where its frames are or why there are none."""

    sha256: str
    size: int
    mtime_ns: int
    pack: str = ""
    offset: int = 0
    frames: int = 0
    height: int = 0
    width: int = 0
    decoder: str = ""
    flaw: str | None = None
    error: str | None = None

    @property
    def bytes(self) -> int:
        """Bytes of its frames."""
        return self.frames * self.height * self.width * 3


def load_index(folder: Path) -> dict[str, Entry]:
    """Entries whose frames are there; none where there is no index, a damaged one or another format."""
    try:
        stored = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            return {}
        entries = {key: Entry(*values) for key, values in stored["entries"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    sizes = {pack: _size(folder / pack) for pack in {entry.pack for entry in entries.values()} if pack}
    return {
        key: entry
        for key, entry in entries.items()
        if not entry.pack or entry.offset + entry.bytes <= sizes[entry.pack]
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def save_index(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Replaces the index in one rename."""
    temporary = folder / f".index.{uuid.uuid4().hex}"
    try:
        temporary.write_text(
            json.dumps({"format": FORMAT, "entries": list(entries.items())}), encoding="utf-8"
        )
        temporary.replace(folder / "index.json")
    finally:
        temporary.unlink(missing_ok=True)


def mapped(path: Path) -> NDArray[np.uint8]:
    """The bytes of a pack, read-only, paged in as they are read."""
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)


class PackWriter:
    """A pack while it is written; `entries` is the index to which `publish` adds its clips."""

    def __init__(self, folder: Path, entries: dict[str, Entry]) -> None:
        self._folder = folder
        self._entries = entries
        self._new: dict[str, Entry] = {}
        self._name = f"{uuid.uuid4().hex[:12]}.u8"
        self._part = folder / f"{self._name}.part"
        self._file = self._part.open("wb", buffering=0)
        self.size = 0

    def add(self, key: str, entry: Entry, frames: NDArray[np.uint8] | None) -> None:
        """Writes the frames of a clip; None leaves its entry as it is (an error, or known content)."""
        if frames is not None:
            data = np.ascontiguousarray(frames).reshape(-1).data
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
            entry = entry._replace(pack=self._name, offset=self.size)
            self.size += len(data)
        self._new[key] = entry

    def publish(self) -> None:
        """Makes what was added visible to everybody, and removes packs to which nothing points."""
        try:
            self._file.truncate(self.size)
            self._file.close()
            if self.size:
                self._part.replace(self._folder / self._name)
            self._entries.update(self._new)
            save_index(self._folder, self._entries)
        finally:
            self._file.close()
            self._part.unlink(missing_ok=True)
        used = {entry.pack for entry in self._entries.values()}
        for path in self._folder.glob("*.u8"):
            if path.name not in used:
                path.unlink(missing_ok=True)
