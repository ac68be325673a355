"""Decode once: the frames of a data set's clips in memory-mapped packs that every later run reads.

A cache is a folder of one data set and one decode setting: `index.json`, and packs of uint8 frames to
which the index points.  Packs never change.  New or changed clips go into a new pack, then a new index
takes the place of the old one in one rename: whatever interrupts a build, the last index and its packs
are whole.  Opening a complete cache reads the index and the files' sizes and times, and no decoder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from datasets import video_io
from datasets.clip_packs import FORMAT, Entry, PackWriter, load_index, mapped
from datasets.contained import Lost, contained
from datasets.errors import UserError
from datasets.home import data_home
from datasets.progress import tracked

if TYPE_CHECKING:  # the child processes import this module, and need no torch
    from datasets.types import ClipRef

PACK_BYTES = 1 << 30
"""A build publishes what it has at this size, so that a killed one loses little."""


@dataclass(frozen=True)
class _Job:
    path: Path
    short_side: int
    decoder: str
    known: Entry | None


@dataclass(frozen=True)
class _Outcome:
    entry: Entry
    frames: NDArray[np.uint8] | None  # None: an error, or the content is what it was


class ClipCache:
    """Frames of the clips of a data set, by key; read-only.  Made by `ClipCache.open`.

    Attributes:
        errors: reasons of the clips (of those asked for) that cannot be decoded, by key.
        flaws: what is wrong with clips that are used all the same, by key.
    """

    def __init__(
        self, name: str, folder: Path, entries: Mapping[str, Entry], errors: Mapping[str, str]
    ) -> None:
        self._name = name
        self._entries = entries
        packs = {entry.pack for entry in entries.values()} - {""}
        self._packs = {pack: mapped(folder / pack) for pack in packs}
        self.errors: dict[str, str] = dict(errors)
        self.flaws: dict[str, str] = {key: entry.flaw for key, entry in entries.items() if entry.flaw}

    @classmethod
    def open(
        cls,
        clips: Sequence[ClipRef],
        name: str,
        short_side: int,
        home: Path | None = None,
        workers: int = 1,
        progress: bool = True,
        decoder: str = "decord",
    ) -> ClipCache:
        """Opens the cache of these clips; decodes first those that it lacks or whose file has changed.

        A clip that is in the cache may be absent from the disk.  Several processes may call this at once.

        Args:
            clips: the clips that will be read.
            name: of the data set.
            short_side: shorter side of the cached frames in pixels.
            home: the data home, by default the user's.
            workers: 1 decodes in this process; more use as many child processes, which also keeps the
                crash of a decoder on a bad file from ending the run.
            progress: whether to show it.
            decoder: who is asked first, see `video_io.decode`.

        Raises:
            UserError: the disk is full or the folder cannot be written; what was cached stays usable.
        """
        folder = _folder(name, short_side, home, decoder)
        wanted = {clip.key: clip for clip in clips}
        entries = load_index(folder)
        stale, absent = _to_decode(wanted, entries)
        if stale:
            jobs = {key: _Job(wanted[key].path, short_side, decoder, entries.get(key)) for key in stale}
            entries = _build(folder, jobs, name, workers, progress)
        errors = dict.fromkeys(absent, "the file does not exist")
        found = {key: entries[key] for key in wanted if key in entries}
        errors |= {key: entry.error for key, entry in found.items() if entry.error}
        try:
            return cls(name, folder, found, errors)
        except FileNotFoundError:  # another process has just replaced what this index points to
            return cls.open(clips, name, short_side, home, workers, progress, decoder)

    @staticmethod
    def complete(
        clips: Sequence[ClipRef],
        name: str,
        short_side: int,
        home: Path | None = None,
        decoder: str = "decord",
    ) -> bool:
        """Whether `open` would have nothing to decode: no clip lacks its entry, no file has changed."""
        entries = load_index(_folder(name, short_side, home, decoder))
        return not any(_to_decode({clip.key: clip for clip in clips}, entries))

    def __contains__(self, key: str) -> bool:
        return key in self._entries and key not in self.errors

    def frame_count(self, key: str) -> int:
        """Number of frames of a clip."""
        return self._entry(key).frames

    def frames(self, key: str) -> NDArray[np.uint8]:
        """All frames of a clip, (T, H, W, 3), a read-only view of the mapped file.

        Raises:
            UserError: the clip is not in the cache, or cannot be decoded.
        """
        entry = self._entry(key)
        pack = self._packs[entry.pack]
        pixels = pack[entry.offset : entry.offset + entry.bytes]
        return pixels.reshape(entry.frames, entry.height, entry.width, 3)

    def content_hash(self, keys: Sequence[str]) -> str:
        """SHA-256 of what the frames of these clips are, from the index alone: no pixel is read.

        Video files, decoders, shapes and reasons of failure count; where and when files lie does not.
        """
        digest = hashlib.sha256(f"format {FORMAT}".encode())
        for key in sorted(set(keys)):
            entry = self._entries.get(key)
            seen = (entry.sha256, entry.frames, entry.height, entry.width, entry.decoder) if entry else ()
            digest.update(repr((key, seen, key in self.errors)).encode())
        return digest.hexdigest()

    def _entry(self, key: str) -> Entry:
        if key in self.errors:
            raise UserError(f"clip '{key}' of '{self._name}' cannot be decoded: {self.errors[key]}.")
        if key not in self._entries:
            raise UserError(
                f"clip '{key}' is not among the clips for which the cache of '{self._name}' was opened."
            )
        return self._entries[key]


def fingerprint(path: Path) -> tuple[str, int, int]:
    """(sha256 of the content, size, modification time in ns) of a file."""
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, stat.st_size, stat.st_mtime_ns


def _folder(name: str, short_side: int, home: Path | None, decoder: str) -> Path:
    suffix = "" if decoder == "decord" else f"-{decoder}"
    return (home or data_home()) / "cache" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}-{short_side}{suffix}"


def _to_decode(wanted: Mapping[str, ClipRef], entries: Mapping[str, Entry]) -> tuple[list[str], list[str]]:
    """Keys whose file is not the one in the index, and keys that have neither file nor entry."""
    stale: list[str] = []
    absent: list[str] = []
    for key, clip in wanted.items():
        entry = entries.get(key)
        try:
            stat = os.stat(clip.path)  # noqa: PTH116 - twice as fast as Path.stat, for thousands of clips
        except OSError:
            if entry is None:
                absent.append(key)
            continue
        if entry is None or (stat.st_size, stat.st_mtime_ns) != (entry.size, entry.mtime_ns):
            stale.append(key)
    return stale, absent


def _build(
    folder: Path, jobs: Mapping[str, _Job], name: str, workers: int, progress: bool
) -> dict[str, Entry]:
    """Decodes under the cache's lock what still needs it and returns the new index."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            entries = load_index(folder)
            # Another process may have decoded them while this one waited for the lock.
            left = {key: job for key, job in jobs.items() if entries.get(key) == job.known}
            if left:
                results = tracked(_decoded(left, workers), len(left), f"decoding {name}", shown=progress)
                _write(folder, entries, results)
            return load_index(folder)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            message = f"the disk of {folder} is full; free some space (what is cached stays usable), or point"
            raise UserError(f"{message} SEFAR_BENCH_HOME to another disk.") from error
        raise UserError(f"the clip cache {folder} cannot be written: {error.strerror}.") from error


def _decoded(jobs: Mapping[str, _Job], workers: int) -> Iterator[tuple[str, _Outcome]]:
    keys, work = list(jobs), list(jobs.values())
    if workers <= 1:
        for key, job in jobs.items():
            yield key, _decode(job)
        return
    for place, result in contained(_decode, work, min(workers, len(work))):
        if isinstance(result, Lost):
            yield keys[place], _Outcome(_failed(work[place].path, result.reason), None)
        else:
            yield keys[place], result


def _decode(job: _Job) -> _Outcome:
    try:
        digest, size, mtime = fingerprint(job.path)
    except OSError as error:
        return _Outcome(Entry("", -1, -1, error=f"the file cannot be read ({error.strerror})"), None)
    if job.known is not None and job.known.sha256 == digest:
        return _Outcome(job.known._replace(size=size, mtime_ns=mtime), None)
    try:
        found = video_io.decode(job.path, job.short_side, job.decoder)
    except video_io.UndecodableError as error:
        return _Outcome(Entry(digest, size, mtime, error=error.reason), None)
    frames, height, width, _ = found.frames.shape
    entry = Entry(digest, size, mtime, "", 0, frames, height, width, decoder=found.decoder, flaw=found.flaw)
    return _Outcome(entry, found.frames)


def _failed(path: Path, reason: str) -> Entry:
    try:
        return Entry(*fingerprint(path), error=reason)
    except OSError:
        return Entry("", -1, -1, error=reason)


def _write(folder: Path, entries: dict[str, Entry], results: Generator[tuple[str, _Outcome]]) -> None:
    """Writes frames into new packs; publishes what is whole also when it is interrupted."""
    for leftover in folder.glob("*.part"):
        leftover.unlink(missing_ok=True)
    pack = PackWriter(folder, entries)
    try:
        with contextlib.closing(results):
            for key, outcome in results:
                pack.add(key, outcome.entry, outcome.frames)
                if pack.size >= PACK_BYTES:
                    pack.publish()
                    pack = PackWriter(folder, entries)
    except BaseException:
        # The first failure is the one to tell: on a full disk even the index may not fit any more.
        with contextlib.suppress(OSError):
            pack.publish()
        raise
    pack.publish()
