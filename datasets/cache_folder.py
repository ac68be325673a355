"""Where clip caches lie, how large they may grow, and which packs go when they are larger.

    CACHE/files/<data set>.json     which content each file has
    CACHE/<store>/*.pack            clips by content, one folder for each way of storing them

CACHE is `SEFAR_BENCH_CACHE`, by default the folder `cache` of the data home.  Clips are stored by content, so
data sets that share videos share them here.  A pack's modification time is the time of its last use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock

from datasets import jpeg_frames
from datasets.clip_packs import PART, SUFFIX
from datasets.errors import UserError
from datasets.home import data_home

HOME, LIMIT = "SEFAR_BENCH_CACHE", "SEFAR_BENCH_CACHE_GIB"
"""Environment variables: the folder, and the most GiB that it may hold."""

Form = Literal["raw", "jpeg"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class Storage:
    """What is stored of a clip: equal ones of equal content are equal.

    Attributes:
        short_side: shorter side of the frames in pixels, None for the video's own size.
        form: "raw" pixels, or "jpeg" pictures, which are smaller and not exact.
        decoder: who is asked first, see `video_io.decode`.
    """

    short_side: int | None
    form: Form = "raw"
    decoder: str = "decord"

    @property
    def folder(self) -> str:
        """Its folder in the cache, as "raw-48" or "jpeg95-256"."""
        form = self.form if self.form == "raw" else f"{self.form}{jpeg_frames.QUALITY}"
        suffix = "" if self.decoder == "decord" else f"-{self.decoder}"
        return f"{form}-{self.short_side or 'whole'}{suffix}"


def cache_home() -> Path:
    """The folder of all clip caches; it is not created by asking for it."""
    given = os.environ.get(HOME)
    return Path(os.path.expandvars(given)).expanduser() if given else data_home() / "cache"


def limit_bytes() -> int | None:
    """The most bytes that the caches together may have; None without a limit.

    Raises:
        UserError: the variable holds no positive number.
    """
    text = os.environ.get(LIMIT)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise UserError(f"{LIMIT} is '{text}'; it must be a positive number of GiB, such as 200.")
    return int(value * 2**30)


def safe(name: str) -> str:
    """A data set's name as a word for file names; other names give other words."""
    word = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return (
        word
        if word == name and word[:1] != "."
        else f"_{word}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    )


def table_path(root: Path, name: str) -> Path:
    """Where the table of the files of a data set lies."""
    return root / "files" / f"{safe(name)}.json"


def pack_files(root: Path) -> list[Path]:
    """All packs of all stores, unfinished ones included."""
    return [*root.glob(f"*/*{SUFFIX}"), *root.glob(f"*/*{PART}")]


def mark_used(paths: Collection[Path]) -> None:
    """Notes that packs are in use now; a cache that cannot be written stays as it is."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.utime(path)


class Budget:
    """Keeps the caches below their limit while a pack is written.

    Args:
        root: folder of all caches.
        limit: bytes, or None.
        name: of the data set for which room is made, for messages.
    """

    def __init__(self, root: Path, limit: int | None, name: str) -> None:
        self._root, self._limit, self._name = root, limit, name
        self._total = self._measure()

    def spend(self, size: int, keep: Collection[Path]) -> None:
        """Makes room for `size` bytes: removes the packs whose last use is longest ago, none of `keep`.

        Who has a removed pack open keeps reading it.

        Raises:
            UserError: what must be kept leaves no room.
        """
        self._total += size
        if self._limit is None or self._total <= self._limit:
            return
        with FileLock(self._root / ".evict.lock"):
            self._total = self._measure() + size
            for _, length, path in sorted(_last_uses(self._root)):
                if self._total <= self._limit:
                    return
                if path not in keep and not path.name.endswith(PART):
                    with contextlib.suppress(OSError):
                        path.unlink()
                        self._total -= length
        if self._total > self._limit:
            gib = self._limit / 2**30
            raise UserError(
                f"the clips of '{self._name}' do not fit into the {gib:.3g} GiB that the clip cache "
                f"{self._root} may have; give it more with --cache-gib, or use the store 'jpeg' (what is "
                "cached stays usable)."
            )

    def _measure(self) -> int:
        return 0 if self._limit is None else sum(length for _, length, _ in _last_uses(self._root))


def _last_uses(root: Path) -> list[tuple[int, int, Path]]:
    """(time of last use in ns, bytes, path) of every pack that is still there."""
    found = []
    for path in pack_files(root):
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_size, path))
    return found
