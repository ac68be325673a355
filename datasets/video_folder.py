"""Which file of a folder of videos a name of an annotation means: copies are laid out in many ways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from datasets.errors import UserError
from datasets.types import ClipRef, ClipTable

VIDEO_SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mov")
"""Tried in this order where an annotation names a clip without its extension."""


class Folder:
    """The files of a folder of videos, listed once; finds a clip whose exact spelling is not known.

    What is exactly as written comes first, for names may differ in the case of their letters alone (those
    of YouTube do); then what is written in another case, then what lies deeper.  Of several files that are
    as good the one nearest to the root is meant; two of one depth are a mistake that the user has to mend.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, relative: str) -> Path:
        """A file by its path, where need be in another case, or by the end of it; absent ones as written.

        Of a path with folders the name alone is enough if one file has it.

        Raises:
            UserError: two files are as near to what is written.
        """
        exact = self.root / relative
        if relative in self._paths or (
            Path(relative).suffix.lower() not in VIDEO_SUFFIXES and exact.is_file()
        ):
            return exact
        key, (_, _, name) = relative.lower(), relative.rpartition("/")
        named = self._names.get(name.lower(), [])
        asked: Sequence[Callable[[str], bool]] = (
            lambda path: path.lower() == key and path.endswith(name),
            lambda path: path.lower() == key,
            lambda path: path.endswith(f"/{relative}"),
            lambda path: path.lower().endswith(f"/{key}") and path.endswith(name),
            lambda path: path.lower().endswith(f"/{key}"),
        )
        for fits in asked:
            if found := [path for path in named if fits(path)]:
                return self._one(relative, _nearest(found))
        for spelled in ([path for path in named if path.rpartition("/")[2] == name], named):
            nearest = _nearest(spelled)
            if nearest:  # the namesakes of two folders tell neither: one of a third is just not here
                return self.root / nearest[0] if len(nearest) == 1 else exact
        return exact

    def clip(self, stem: str) -> Path:
        """A file by its name without extension; for an absent one the path that it would have.

        Raises:
            UserError: two files are as near to what is written.
        """
        for suffix in VIDEO_SUFFIXES:
            if f"{stem}{suffix}" in self._paths:
                return self.root / f"{stem}{suffix}"
        named = self._stems.get(stem.lower(), [])
        exact = [path for path in named if _stem(path) == stem]
        if found := exact or named:
            return self._one(stem, _by_suffix(_nearest(found)))
        return self.root / f"{stem}{VIDEO_SUFFIXES[0]}"

    @cached_property
    def _paths(self) -> frozenset[str]:
        files = (path for path in self.root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        return frozenset(path.relative_to(self.root).as_posix() for path in files)

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return _grouped(self._paths, lambda path: path.rpartition("/")[2].lower())

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        return _grouped(self._paths, lambda path: _stem(path).lower())

    def _one(self, wanted: str, found: Sequence[str]) -> Path:
        if len(found) > 1:
            raise UserError(
                f"the clip '{wanted}' may be {self.root / found[0]} or {self.root / found[1]}; give the "
                "folder of one of them with --videos (--root for lists), or take the other one away."
            )
        return self.root / found[0]


def with_own_files(table: ClipTable, root: Path) -> ClipTable:
    """The table with clips absent that were found, by less than their path, as the file of another clip.

    Args:
        table: what a reader has made.
        root: of the videos.
    """
    owners: dict[Path, str] = {}
    for clip in sorted(table.clips(), key=lambda clip: len(clip.key)):
        if clip.path.with_suffix("").as_posix().endswith(f"/{_without_suffix(clip.key)}"):
            owners[clip.path] = clip.key

    def own(clips: tuple[ClipRef, ...]) -> tuple[ClipRef, ...]:
        return tuple(
            clip if owners.get(clip.path, clip.key) == clip.key else replace(clip, path=root / clip.key)
            for clip in clips
        )

    unlabeled = None if table.unlabeled is None else own(table.unlabeled)
    train, test, validation = own(table.train), own(table.test), own(table.validation)
    return replace(table, train=train, test=test, validation=validation, unlabeled=unlabeled)


def _nearest(paths: Sequence[str]) -> list[str]:
    """Those of the least depth."""
    depth = min((path.count("/") for path in paths), default=0)
    return [path for path in paths if path.count("/") == depth]


def _by_suffix(paths: Sequence[str]) -> list[str]:
    """Of files that differ in their extension alone, the one whose extension is tried first."""
    first: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: VIDEO_SUFFIXES.index(Path(path).suffix.lower())):
        first.setdefault(_without_suffix(path), path)
    return sorted(first.values())


def _grouped(paths: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        found[key(path)].append(path)
    return found


def _stem(path: str) -> str:
    return Path(path).stem


def _without_suffix(path: str) -> str:
    return Path(path).with_suffix("").as_posix()
