"""Decode once: the frames of clips in memory-mapped packs that every later run reads.

Clips are stored by the hash of their file's content and the way of storing (`cache_folder.Storage`), so one
clip of two data sets is decoded once.  Packs never change.  New or changed clips go into a new pack, which
appears in one rename: whatever interrupts a build, what it has published is whole.  Opening a complete cache
reads indexes and the files' sizes and times, and no decoder.  A clip's checksum is compared when a process
first reads it; a damaged one is decoded again and must then give the same pixels.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets import clip_build
from datasets.cache_folder import Form, Storage, cache_home, mark_used, table_path
from datasets.clip_packs import PIXELS, Entry, load_entries, mapped
from datasets.errors import UserError
from datasets.file_hashes import (
    ABSENT,
    Known,
    compare,
    extend_table,
    fingerprint,
    fingerprints,
    load_table,
    problem,
    unreadable,
)
from datasets.jpeg_frames import JpegFrames
from datasets.progress import tracked

if TYPE_CHECKING:  # the child processes import this module, and need no torch
    from datasets.types import ClipRef

__all__ = ["ClipCache", "fingerprint"]

SHOWN_BYTES = 1 << 30
"""Hashing at least so much shows its progress."""

ATTEMPTS = 4
"""Times that `open` starts anew because other processes removed what it was about to read."""


class ClipCache:
    """Frames of the clips of a data set, by key; read-only.  Made by `ClipCache.open`.

    Attributes:
        errors: reasons of the clips (of those asked for) that cannot be decoded, by key.
        flaws: what is wrong with clips that are used all the same, by key.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        storage: Storage,
        paths: Mapping[str, Path],
        entries: Mapping[str, Entry],
        errors: Mapping[str, str],
    ) -> None:
        self._name, self._folder, self._storage = name, folder, storage
        self._paths = paths
        self._entries = entries
        packs = {entry.pack for entry in entries.values() if entry.error is None}
        # All at once: what is mapped now stays readable when another process removes the file.
        self._packs = {pack: mapped(folder / pack) for pack in packs}
        mark_used([folder / pack for pack in packs])
        self._checked: set[str] = set()
        self._mended: dict[str, NDArray[np.uint8]] = {}
        self._mending = threading.Lock()
        self.errors: dict[str, str] = dict(errors)
        self.flaws: dict[str, str] = {key: entry.flaw for key, entry in entries.items() if entry.flaw}

    @classmethod
    def open(
        cls,
        clips: Sequence[ClipRef],
        name: str,
        short_side: int | None,
        home: Path | None = None,
        workers: int = 1,
        progress: bool = True,
        decoder: str = "decord",
        form: Form = "raw",
    ) -> ClipCache:
        """Opens the cache of these clips; decodes first those that it lacks or whose file has changed.

        A clip that is in the cache may be absent from the disk.  Several processes may call this at once.

        Args:
            clips: the clips that will be read.
            name: of the data set.
            short_side: shorter side of the cached frames in pixels; None keeps each video's size.
            home: a data home, whose folder `cache` is then used; by default see `cache_home`.
            workers: child processes that decode, so that a decoder that crashes on a bad file does not end
                this one; 0 decodes here, which is for files that are known to be whole.
            progress: whether to show it.
            decoder: who is asked first, see `video_io.decode`.
            form: how frames are stored: "raw", or "jpeg", which is smaller and not exact.

        Raises:
            UserError: the disk or the cache is full, or the folder cannot be written; what was cached stays
                usable.
        """
        root, storage = _root(home), Storage(short_side, form, decoder)
        folder = root / storage.folder
        paths = {clip.key: clip.path for clip in clips}
        for _ in range(ATTEMPTS):
            contents, errors = _identify(root, name, paths, workers, progress)
            entries = clip_build.usable_entries(root, name, storage)
            missing = {content: key for key, content in contents.items() if content not in entries}
            jobs = _jobs(root, name, missing, paths, storage)
            errors |= {
                key: problem(paths[key]) or ABSENT for content, key in missing.items() if content not in jobs
            }
            lost: dict[str, str] = {}
            if jobs:
                lost = clip_build.build(root, name, jobs, workers, progress, set(contents.values()))
                entries = load_entries(folder)
            errors |= {key: lost[content] for key, content in contents.items() if content in lost}
            wanted = {key: content for key, content in contents.items() if key not in errors}
            if all(content in entries for content in wanted.values()):
                found = {key: entries[content] for key, content in wanted.items()}
                errors |= {key: entry.error for key, entry in found.items() if entry.error}
                try:
                    return cls(name, folder, storage, paths, found, errors)
                except FileNotFoundError:  # another process has just removed a pack of this index
                    continue
        raise UserError(
            f"other processes keep removing clips of '{name}' from the clip cache {root}, which is too small "
            "for what runs at once; give it more with --cache-gib."
        )

    @staticmethod
    def complete(
        clips: Sequence[ClipRef],
        name: str,
        short_side: int | None,
        home: Path | None = None,
        decoder: str = "decord",
        form: Form = "raw",
    ) -> bool:
        """Whether `open` would have nothing to decode: no clip lacks its entry, no file has changed."""
        return not _lacking(clips, name, _root(home), Storage(short_side, form, decoder))

    @staticmethod
    def lacking(
        clips: Sequence[ClipRef],
        name: str,
        short_side: int | None,
        home: Path | None = None,
        decoder: str = "decord",
        form: Form = "raw",
    ) -> list[ClipRef]:
        """Clips whose file is here and that `open` would have to look at: new, changed or not cached."""
        found = _lacking(clips, name, _root(home), Storage(short_side, form, decoder))
        return [clip for clip in clips if clip.key in found and problem(clip.path) is None]

    def __contains__(self, key: str) -> bool:
        return key in self._entries and key not in self.errors

    def frame_count(self, key: str) -> int:
        """Number of frames of a clip."""
        return self._entry(key).frames

    def frames(self, key: str) -> NDArray[np.uint8] | JpegFrames:
        """The frames of a clip, (T, H, W, 3): a read-only view of the mapped file, or decoded when indexed.

        Raises:
            UserError: the clip is not in the cache, cannot be decoded, or its copy here is damaged and cannot
                be made again.
        """
        entry = self._entry(key)
        block = self._block(key, entry)
        return JpegFrames(block, entry.shape) if self._storage.form == "jpeg" else block.reshape(entry.shape)

    def content_hash(self, keys: Sequence[str]) -> str:
        """SHA-256 of what the frames of these clips are, from the index alone: no pixel is read.

        Video files, decoders, shapes and reasons of failure count; where and when files lie does not.
        """
        form = "" if self._storage.form == "raw" else f" {self._storage.folder}"
        digest = hashlib.sha256(f"format {PIXELS}{form}".encode())
        for key in sorted(set(keys)):
            entry = self._entries.get(key)
            seen = (entry.sha256, entry.frames, entry.height, entry.width, entry.decoder) if entry else ()
            digest.update(repr((key, seen, key in self.errors)).encode())
        return digest.hexdigest()

    def pixel_hash(self, keys: Sequence[str]) -> str:
        """SHA-256 over shapes and checksums (CRC-32) of the stored frames of these clips.

        Equal for equal frames, whichever file or decoder they came from.  Every clip that this process
        reads is compared with its checksum first, so the hash stands for the pixels that were seen.
        """
        digest = hashlib.sha256()
        for key in sorted(set(keys)):
            entry = self._entries.get(key)
            seen = (*entry.shape, entry.crc) if entry is not None and key not in self.errors else ()
            digest.update(repr((key, seen)).encode())
        return digest.hexdigest()

    def _entry(self, key: str) -> Entry:
        if key in self.errors:
            raise UserError(f"clip '{key}' of '{self._name}' cannot be decoded: {self.errors[key]}.")
        if key not in self._entries:
            raise UserError(
                f"clip '{key}' is not among the clips for which the cache of '{self._name}' was opened."
            )
        return self._entries[key]

    def _block(self, key: str, entry: Entry) -> NDArray[np.uint8]:
        if key in self._checked:
            return self._packs[entry.pack][entry.offset : entry.offset + entry.bytes]
        if key in self._mended:
            return self._mended[key]
        block = self._packs[entry.pack][entry.offset : entry.offset + entry.bytes]
        if len(block) == entry.bytes and zlib.crc32(block.data) == entry.crc:
            self._checked.add(key)
            return block
        with self._mending:
            if key not in self._mended:  # another thread has not mended it meanwhile
                self._mended[key] = self._mend(key, entry)
        return self._mended[key]

    def _mend(self, key: str, entry: Entry) -> NDArray[np.uint8]:
        """Decodes a clip whose bytes in the pack are damaged, and caches it again if that is possible."""
        path = self._paths[key]
        damaged = f"the copy of clip '{key}' of '{self._name}' in {self._folder / entry.pack} is damaged"
        try:
            known = fingerprint(path)
        except OSError as error:
            raise UserError(
                f"{damaged}, and {path} cannot be read ({error.strerror}); restore it."
            ) from error
        outcome = clip_build.decode_again(path, known, self._storage, entry.decoder)
        if not outcome.keep and known.sha256 == entry.sha256:
            raise UserError(f"{damaged}, and it could not be decoded again: {outcome.entry.error}.")
        if known.sha256 != entry.sha256 or outcome.block is None:
            raise UserError(f"{damaged}, and {path} has changed; run again, so that the new file is cached.")
        block = np.frombuffer(outcome.block, np.uint8)
        if zlib.crc32(block.data) != entry.crc:
            raise UserError(
                f"{damaged}, and decoding gives other pixels than when it was cached (another version of the "
                f"decoder); cache all clips anew: bench data cache rm {self._name}."
            )
        clip_build.replace(self._folder, self._name, outcome)
        warnings.warn(f"{damaged}; it was decoded again.", stacklevel=4)
        block.flags.writeable = False
        return block


def _root(home: Path | None) -> Path:
    return cache_home() if home is None else home / "cache"


def _lacking(clips: Sequence[ClipRef], name: str, root: Path, storage: Storage) -> set[str]:
    """Keys of clips that are new, changed, absent, or not in the packs."""
    paths = {clip.key: clip.path for clip in clips}
    contents, changed, absent = compare(paths.items(), load_table(table_path(root, name)))
    entries = clip_build.usable_entries(root, name, storage)
    return {*changed, *absent, *(key for key, content in contents.items() if content not in entries)}


def _identify(
    root: Path, name: str, paths: Mapping[str, Path], workers: int, progress: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Content hashes by key, and reasons of clips that have none; hashes new and changed files."""
    place = table_path(root, name)
    contents, changed, absent = compare(paths.items(), load_table(place))
    errors = {key: problem(paths[key]) or ABSENT for key in absent}
    if changed:
        new: dict[str, Known] = {}
        shown = progress and sum(paths[key].stat().st_size for key in changed) >= SHOWN_BYTES
        results = fingerprints({key: paths[key] for key in changed}, workers)
        for key, found in tracked(results, len(changed), f"hashing {name}", shown=shown):
            if isinstance(found, OSError):
                errors[key] = unreadable(found)
            else:
                new[key] = found
        with clip_build.full_disk(root):
            extend_table(place, new)
        contents |= {key: known.sha256 for key, known in new.items()}
    return contents, errors


def _jobs(
    root: Path, name: str, missing: Mapping[str, str], paths: Mapping[str, Path], storage: Storage
) -> dict[str, clip_build.Job]:
    """What to decode, by content; content whose file is gone is left out."""
    if not missing:
        return {}
    table = load_table(table_path(root, name))
    return {
        content: clip_build.Job(paths[key], table[key], storage)
        for content, key in missing.items()
        if problem(paths[key]) is None
    }
