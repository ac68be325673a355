"""What the readers of public data sets share: files of annotations on one side, videos on the other.

A reader is a subclass of `AnnotatedSet` in a file of its own and an entry point of the group
`sefar_bench.readers`.  It tells which *formats* it reads (`gym99`, `gym99_ub`), and makes the clips by
role of what lies in the folder of annotations; the same folder and format give the same keys, labels and
sources on every machine.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from datasets.clip_files import check_present
from datasets.errors import UserError
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import with_own_files


@dataclass(frozen=True)
class Place:
    """Where a data set of a reader lies on this machine, and under which name.

    `mirror` is for formats that cannot know whether a left-right flip keeps the label; `accept_leak` takes
    lists in which clips are both trained on and scored.
    """

    name: str
    format: str
    videos: Path
    annotations: Path
    mirror: bool = False
    accept_leak: bool = False


class AnnotatedSet(ABC):
    """A data set that a reader makes of annotation files; subclasses fill in `read`.

    Attributes:
        formats: format name -> one line about it.
        origin: where the annotations and videos come from, in words.
        unmade: reasons of clips that `prepare` had to make and could not, by file name.
    """

    formats: ClassVar[Mapping[str, str]]
    origin: ClassVar[str]

    @property
    def videos_option(self) -> str:
        """The option of the command that adds the set which names the folder of the videos."""
        return "--videos"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.name
        self.summary = self.formats[place.format]
        self.unmade: Mapping[str, str] = {}

    @abstractmethod
    def read(self) -> ClipTable:
        """The clips by role, from the annotations alone.

        Raises:
            UserError: an annotation file is missing or has a mistake; names file and line.
        """

    @property
    def lists(self) -> Path | None:
        """The folder of published lists that the clips come from, for those formats that are such."""
        return None

    def present(self) -> bool:
        """Whether both folders are on this machine."""
        with contextlib.suppress(OSError):  # a folder above them that may not be read
            return self.place.videos.is_dir() and self.place.annotations.exists()
        return False

    def table(self) -> ClipTable:
        """The clips by role; read once."""
        return self._table

    @cached_property
    def _table(self) -> ClipTable:
        table = with_own_files(self.read(), self.place.videos)
        _check_roles(table, self.place)
        return table

    def prepare(self) -> None:
        """Checks that the videos are there: some may be missing, which counts them as undecodable.

        Raises:
            UserError: the folder, or more than half of the files, are missing.
        """
        check_present(
            self.name,
            self.place.videos,
            self.table().clips() if self.place.videos.is_dir() else (),
            f"add the set again with the right {self.videos_option}, after: "
            f"python -m bench data rm {self.name}",
            f"give with {self.videos_option} the folder that holds the clips.",
        )

    def how_to_add(self) -> str:
        """The command that brings this data set to another machine."""
        place = self.place
        form = "" if place.name == place.format else f" --format {place.format}"
        return (
            f"python -m bench data add {place.name}{form} --videos {place.videos} "
            f"--annotations {place.annotations}{' --mirror' if place.mirror else ''}"
            f"{' --accept-leak' if place.accept_leak else ''}"
        )

    def annotation(self, *names: str) -> Path:
        """The first of these files that is in the folder of annotations, or in a folder of it.

        Raises:
            UserError: none of them is there.
        """
        folder = self.place.annotations
        for name in names:
            for path in (folder / name, *sorted(folder.glob(f"*/{name}"))):
                if path.is_file():
                    return path
        wanted = " or ".join(f"'{name}'" for name in names)
        raise UserError(
            f"--annotations: {folder} has no file {wanted}, which data set '{self.name}' needs; get it from "
            f"{self.origin}."
        )

    def has_annotation(self, name: str) -> bool:
        """Whether a file of that name is in the folder of annotations."""
        folder = self.place.annotations
        return any(path.is_file() for path in (folder / name, *folder.glob(f"*/{name}")))


def read_rows(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that hold something, stripped, with their numbers from 1.

    Windows line ends, a byte-order mark and a missing last newline are passed over.

    Raises:
        UserError: the file is missing, empty or no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give the right folder.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text; fetch the annotation file again.") from error
    rows = [(number, row.strip()) for number, row in enumerate(text.split("\n"), start=1) if row.strip()]
    if not rows:
        raise UserError(f"{path} is empty; fetch the annotation file again.")
    return rows


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply; fetch the annotation file again.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give the right folder.") from error
    except ValueError as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{path}{line} is no JSON; fetch the annotation file again.") from error


def label_in(classes: Sequence[str] | int, text: str, where: str, first: int = 0) -> int:
    """The class of a label that is a number, counted from `first`.

    Raises:
        UserError: it is no number, or out of range.
    """
    count = classes if isinstance(classes, int) else len(classes)
    last = count - 1 + first
    if not text.isascii() or not text.isdigit():
        raise UserError(f"{where}: '{text}' is no label; expected a number from {first} to {last}.")
    label = int(text) - first
    if not 0 <= label < count:
        raise UserError(f"{where}: the label {text} is out of range; expected {first} to {last}.")
    return label


def one_each(clips: Iterable[tuple[str, ClipRef]]) -> tuple[ClipRef, ...]:
    """Clips with the place (file:line) where each is named, checked to be named once.

    Raises:
        UserError: a clip is named twice.
    """
    seen: dict[str, str] = {}
    found = []
    for where, clip in clips:
        if clip.key in seen:
            raise UserError(f"{where}: '{clip.key}' is already in {seen[clip.key]}; remove one of them.")
        seen[clip.key] = where
        found.append(clip)
    return tuple(found)


def _check_roles(table: ClipTable, place: Place) -> None:
    """That there is something to train and to test on, and that no clip is both.

    Raises:
        UserError: a role is empty, or a clip is trained on and scored and nobody has accepted that.
    """
    for role, clips in (("training", table.train), ("test", table.test)):
        if not clips:
            raise UserError(
                f"{place.annotations}: data set '{table.name}' has no {role} clips; check the annotations."
            )
    trained = {clip.key for clip in (*table.train, *(table.unlabeled or ()))}
    leaked = [clip.key for clip in (*table.test, *table.validation) if clip.key in trained]
    if leaked and not place.accept_leak:
        raise UserError(
            f"{place.annotations}: {len(leaked)} clips of data set '{table.name}' are trained on and also "
            f"scored, the first is '{leaked[0]}'; mend the lists, or add the set with "
            "--accept-leak."
        )
