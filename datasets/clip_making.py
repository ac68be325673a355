"""Clips that a data set ships as something else: spans of full videos, or folders of single frames.

The decode path reads video files, so such clips are made once, below the data home, and are ordinary files
from then on: H.264, shorter side at most 320 pixels, which is what the published pipelines store, too.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from datasets.clip_recipes import Recipe, Recipes, source_hash
from datasets.contained import Lost, contained
from datasets.decoders import with_pyav
from datasets.decoders.interface import UndecodableError
from datasets.errors import UserError
from datasets.home import data_home
from datasets.progress import tracked
from datasets.video_writing import encode, picture_of

FULL = "the disk is full"
"""Why a clip could not be made, where that is so: no other one can be made, either."""

SHORT_SIDE = 320
"""Larger pictures are scaled down: crops of 224 out of [256, 320] need no more."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
FRAME_RATE = 25
"""Of clips that are made of frames, which tell none.  Sampling goes by frames, so it changes no result."""


@dataclass(frozen=True)
class Cut:
    """A clip to be made from the span [start, end] (seconds) of a video."""

    video: Path
    target: Path
    start: float
    end: float

    def recipe(self) -> Recipe:
        """What the clip is made of, as it is now."""
        try:
            stat = self.video.stat()
        except OSError:
            return Recipe("", self._span())
        files = [(str(self.video), stat.st_size, stat.st_mtime_ns)] if self.video.is_file() else []
        return Recipe(source_hash(files), self._span())

    def _span(self) -> str:
        return f"{self.start!r} to {self.end!r} s, {SHORT_SIDE}"


@dataclass(frozen=True)
class Join:
    """A clip to be made from `count` pictures of a folder (None: all).

    They begin with the one numbered `first` (None: the lowest), or behind the first `skipped` ones.
    """

    folder: Path
    target: Path
    first: int | None = None
    count: int | None = None
    skipped: int = 0

    def recipe(self) -> Recipe:
        """What the clip is made of, as it is now."""
        files = self.pictures() if self.folder.is_dir() else []
        stats = [(str(path), path.stat()) for path in files]
        source = source_hash((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)
        behind = f" behind {self.skipped}" if self.skipped else ""
        return Recipe(source, f"{self.count} pictures from {self.first}{behind}, {SHORT_SIDE}")

    def pictures(self) -> list[Path]:
        """The files of its pictures, in their order."""
        files = frame_files(self.folder)
        files = [path for path in files if self.first is None or _number(path) >= self.first]
        return files[self.skipped :][: self.count]


def made_folder(name: str) -> Path:
    """Where the made clips of a data set lie."""
    return data_home() / "made" / re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def made_of(name: str) -> tuple[int, int]:
    """How many made clips of a data set there are, and their bytes."""
    sizes = [path.stat().st_size for path in made_folder(name).rglob("*.mp4")]
    return len(sizes), sum(sizes)


def make_clips(
    jobs: Iterable[Cut | Join], name: str, workers: int | None = None, progress: bool = True
) -> dict[str, str]:
    """Makes, in child processes, the clips that are not here or that were made of something else.

    One that was made of something else and whose source is gone is removed: it would show what is not meant.

    Args:
        jobs: all clips of the data set.
        name: of it.
        workers: number of child processes.
        progress: whether to show it.

    Returns:
        Reasons, by file name, of those that could not be made; they stay missing.

    Raises:
        UserError: not one of them could be made, or the disk is full.
    """
    recipes = Recipes(made_folder(name))
    stale = [(job, recipe) for job in jobs if not recipes.current(job.target, recipe := job.recipe())]
    for job, recipe in stale:
        if not recipe.source:
            job.target.unlink(missing_ok=True)
    left = [(job, recipe) for job, recipe in stale if recipe.source]
    work = [job for job, _ in left]
    lost: dict[str, str] = {}
    results = contained(make, work, min(len(work), workers or os.cpu_count() or 1))
    for place, result in tracked(results, len(work), f"making clips of {name}", shown=progress):
        if result == FULL:
            raise _full(name)
        if isinstance(result, Lost) or result:
            lost[work[place].target.name] = result.reason if isinstance(result, Lost) else result
            work[place].target.unlink(missing_ok=True)
        else:
            _note(recipes, work[place].target, left[place][1], name)
    if lost and len(lost) == len(work):
        key, reason = next(iter(lost.items()))
        raise UserError(
            f"none of the {len(work)} missing clips of data set '{name}' could be made; the first, '{key}': "
            f"{reason}."
        )
    return lost


def _note(recipes: Recipes, target: Path, recipe: Recipe, name: str) -> None:
    try:
        recipes.note(target, recipe)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _full(name) from error
        raise UserError(
            f"{made_folder(name)} cannot be written ({error.strerror}); make it writable, or set "
            "SEFAR_BENCH_HOME to another folder."
        ) from error


def _full(name: str) -> UserError:
    return UserError(
        f"{FULL}: clips of data set '{name}' could not be written into {made_folder(name)}; free some space "
        "and run the same command again, which goes on, or set SEFAR_BENCH_HOME to a folder on another disk."
    )


def make(job: Cut | Join) -> str:
    """Makes one clip under its name when it is complete; returns what went wrong, or nothing."""
    try:
        if isinstance(job, Cut):
            rate = with_pyav.frame_rate(job.video) or Fraction(FRAME_RATE)
            pictures = with_pyav.pictures_between(job.video, job.start, job.end)
        else:
            rate, pictures = Fraction(FRAME_RATE), _pictures(job)
        count = encode(job.target, pictures, rate.limit_denominator(1001), _size)
    except UndecodableError as error:
        return error.reason
    except ValueError as error:
        return f"it cannot be read ({error})"
    except OSError as error:
        return FULL if error.errno in _NO_ROOM else f"it cannot be written ({error.strerror})"
    return "" if count else "there is no frame in its span"


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the number that ends their names."""
    with os.scandir(folder) as found:
        files = [Path(each.path) for each in found if each.is_file()]
    files = [path for path in files if path.suffix.lower() in FRAME_SUFFIXES]
    return sorted(files, key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    found = re.search(r"(\d+)$", path.stem)
    return int(found[1]) if found else -1


def _pictures(job: Join) -> Iterator[Any]:
    import cv2  # noqa: PLC0415

    for path in job.pictures():
        picture: Any = cv2.imread(str(path))
        if picture is None:
            raise ValueError(f"{path.name} is no picture")
        yield picture_of(picture)


def _size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the made clip: even, shorter side at most `SHORT_SIDE`."""
    factor = min(1.0, SHORT_SIDE / min(size))
    height, width = (max(2, round(side * factor / 2) * 2) for side in size)
    return height, width
