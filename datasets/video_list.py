"""Anybody's clips: lists of `path label` lines, and the data set that they make."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from datasets.clip_files import check_present
from datasets.errors import UserError
from datasets.list_labels import Labels, Line, all_integers, class_names, missing_numbers
from datasets.list_lines import FRAME_LISTS, VIDEOS, is_comment
from datasets.person_boxes import read_boxes
from datasets.source_names import SUFFIX, source_of
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import Folder, with_own_files

_COUNTED = re.compile(r".+ \d+")
"""What a path seems to be where a count of frames stands behind it."""
_HEADER = ({"path", "file", "filename", "video", "clip", "name"}, {"label", "class", "action", "category"})


@dataclass(frozen=True, kw_only=True)
class ListEntry:
    """Where the lists and the files of a data set lie.

    `classes` is a file with one class name a line, `boxes` one with boxes of persons (`person_boxes`).
    """

    name: str
    train: Path
    test: Path
    root: Path
    unlabeled: Path | None = None
    validation: Path | None = None
    classes: Path | None = None
    boxes: Path | None = None
    mirror: bool = False

    def lists(self) -> dict[str, Path]:
        """The given lists by role."""
        given = {
            "training": self.train,
            "test": self.test,
            "validation": self.validation,
            "unlabeled": self.unlabeled,
        }
        return {role: path for role, path in given.items() if path}


class VideoListSet:
    """A data set of lists, as registered with `bench data add`.

    With an unlabeled list the training list is the label draw as it is; without one the training list
    is a pool, of which a seed labels some.  Source videos are read from names like those of the public sets;
    any other clip counts as its own.

    All files lie below `root`: relative paths are taken from it, absolute ones become relative to it, and
    a path that leaves it is refused, so that keys name the same clips on every machine.  Lists of another
    machine, in which every path is absolute and none is below `root`, lose the folders that all their paths
    share; such a clip is found by the rest of its path, or by its name.
    """

    def __init__(self, entry: ListEntry) -> None:
        self.entry = entry
        self.name = entry.name
        self.summary = f"video lists, files in {entry.root}"

    def present(self) -> bool:
        """Whether the folder of the files and the lists are on this machine."""
        entry = self.entry
        needed = [*entry.lists().values(), *([entry.boxes] if entry.boxes else [])]
        with contextlib.suppress(OSError):  # a folder above them that may not be read
            return entry.root.is_dir() and all(path.is_file() for path in needed)
        return False

    def table(self) -> ClipTable:
        """The clips by role, from the lists alone.

        Raises:
            UserError: a list is missing, has a line that is not understood, a path outside of the root or
                a test or validation clip that is also trained on; names file and line.
        """
        return self._table

    @cached_property
    def _table(self) -> ClipTable:
        entry = self.entry
        lists = {
            role: (path, read_list(path, labeled=role != "unlabeled")) for role, path in entry.lists().items()
        }
        train = lists["training"][1]
        classes = class_names(entry.train, train, entry.classes)
        numbers = all_integers(train)
        labels = Labels(classes, numbers, positions=numbers and entry.classes is not None)

        foreign = _foreign_prefix(entry.root, [line.file for _, lines in lists.values() for line in lines])
        files = Folder(entry.root) if foreign else None
        places: dict[str, _Places] = {}

        def clips(role: str) -> tuple[ClipRef, ...]:
            path, lines = lists[role]
            places[role] = _Places(path, _keys(entry.root, path, lines, foreign))
            return tuple(
                ClipRef(
                    key=key,
                    path=files.find(key) if files else entry.root / key,
                    label=labels.index(path, line, hidden=role == "unlabeled"),
                    group=source_of(key),
                )
                for key, line in zip(places[role].lines, lines, strict=True)
            )

        table = ClipTable(
            name=entry.name,
            classes=classes,
            train=clips("training"),
            test=clips("test"),
            validation=clips("validation") if entry.validation else (),
            unlabeled=clips("unlabeled") if entry.unlabeled else None,
            mirror=entry.mirror,
        )
        table = with_own_files(table, entry.root) if foreign else table
        _check_apart(places)
        if entry.boxes is None:
            return table
        return replace(table, boxes=read_boxes(entry.boxes, [clip.key for clip in table.clips()]))

    def notes(self) -> list[str]:
        """What is odd about the lists and yet may be meant, in a sentence each."""
        missing = None if self.entry.classes else missing_numbers(self.table().classes)
        if missing is None:
            return []
        return [
            f"no line of {self.entry.train} has the class number {missing}, though higher ones are there; if "
            "a label is a slip, mend the list"
        ]

    def prepare(self) -> None:
        """Checks that the files are there: some may be missing, which counts them as undecodable.

        Raises:
            UserError: the folder, or more than half of the files, are missing.
        """
        root = self.entry.root
        clips = self.table().clips() if root.is_dir() else ()
        cure = "give the folder to which the lists' paths belong with --root."
        if clips and all(_COUNTED.fullmatch(clip.key) for clip in clips):
            cure = f"{FRAME_LISTS}."
        check_present(self.name, root, clips, "give the right one with --root.", cure)

    def how_to_add(self) -> str:
        """The command that brings this data set to another machine."""
        entry = self.entry
        options = {
            "--unlabeled": entry.unlabeled,
            "--validation": entry.validation,
            "--classes": entry.classes,
            "--boxes": entry.boxes,
        }
        given = "".join(f" {option} {path}" for option, path in options.items() if path)
        command = f"python -m bench data add {entry.name} --train {entry.train} --test {entry.test}{given}"
        return f"{command} --root {entry.root}{' --mirror' if entry.mirror else ''}"


def read_list(path: Path, labeled: bool = True) -> list[Line]:
    """Reads a list of `path label` lines.

    Columns are separated by tab, comma or space, whichever the first line shows; between spaces the last
    word is the label, so paths may hold spaces.  Blank lines, `#` comments (no video files, whose names may
    begin so), a header line, Windows line ends and a byte-order mark are passed over.

    Args:
        path: the list.
        labeled: whether every line must have a label.

    Raises:
        UserError: the list is missing, empty, no text, has a wrong number of columns or a path twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"the list {path} cannot be read ({error.strerror}); give the right path.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the list {path} is no UTF-8 text; give a list of 'path label' lines.") from error
    rows = [(number, row.strip()) for number, row in enumerate(text.split("\n"), start=1)]
    rows = [(number, row) for number, row in rows if row and not is_comment(row)]
    separator = _separator(rows[0][1]) if rows else " "
    lines: list[Line] = []
    seen: dict[str, int] = {}
    for number, row in rows:
        columns = _columns(row, separator)
        if (
            not lines
            and len(columns) == 2
            and all(c.lower() in h for c, h in zip(columns, _HEADER, strict=True))
        ):
            continue
        if len(columns) != 2 and (labeled or len(columns) != 1):
            wanted = "'path label'" if labeled else "'path' or 'path label'"
            counted = all(map(str.isdigit, columns[1:-1])) and not SUFFIX.search(columns[0])
            cure = f"; {FRAME_LISTS if counted else 'give one label a clip'}" if len(columns) > 2 else ""
            raise UserError(
                f"{path}:{number}: expected {wanted}, found {len(columns)} column(s): '{row}'{cure}."
            )
        file = columns[0].replace("\\", "/")
        if file in seen:
            raise UserError(f"{path}:{number}: '{file}' is already in line {seen[file]}; remove one of them.")
        seen[file] = number
        lines.append(Line(file, columns[1] if len(columns) == 2 else None, number))
    if not lines:
        raise UserError(f"the list {path} has no clips; give a list of 'path label' lines.")
    return lines


class _Places(NamedTuple):
    """A list and the line of each of its keys, in its order."""

    path: Path
    lines: dict[str, int]


def _foreign_prefix(root: Path, files: Sequence[str]) -> str:
    """The folders that all paths of another machine's lists share; empty for lists of this machine."""
    if not all(file.startswith("/") and _key(root, file) is None for file in files):
        return ""
    folders = [os.path.normpath(file).rpartition("/")[0] or "/" for file in files]
    return f"{os.path.commonpath(folders).rstrip('/')}/"


def _keys(root: Path, path: Path, lines: Iterable[Line], foreign: str = "") -> dict[str, int]:
    """The keys of a list and their lines; two spellings of one file are one key.

    With a `foreign` prefix, keys are the paths without it.

    Raises:
        UserError: a file lies outside of the root, or is there twice.
    """
    found: dict[str, int] = {}
    for line in lines:
        key = os.path.normpath(line.file).removeprefix(foreign) if foreign else _key(root, line.file)
        if key is None:
            raise UserError(
                f"{path}:{line.number}: '{line.file}' is not in the folder {root}; write paths that stay in "
                "it, or give with --root a folder that holds all clips."
            )
        if key in found:
            raise UserError(
                f"{path}:{line.number}: '{line.file}' is already in line {found[key]}; remove one of them."
            )
        found[key] = line.number
    return found


def _key(root: Path, file: str) -> str | None:
    """The path of a file from the root, or None where it leaves the root."""
    relative = Path(os.path.normpath(file))
    if relative.is_absolute():
        # The root is registered with its links resolved; a list may name the files through a link.
        resolved = relative.parent.resolve() / relative.name
        inside = next((each for each in (relative, resolved) if each.is_relative_to(root)), None)
        if inside is None:
            return None
        relative = inside.relative_to(root)
    return None if relative.parts[:1] in ((), ("..",)) else relative.as_posix()


def _check_apart(places: Mapping[str, _Places]) -> None:
    """That no clip is scored that is also trained on.

    Raises:
        UserError: naming the line and both lists.
    """
    for scored, trained in itertools.product(("test", "validation"), ("training", "unlabeled")):
        if scored not in places or trained not in places:
            continue
        here, there = places[scored], places[trained]
        for key, number in here.lines.items():
            if key in there.lines:
                raise UserError(
                    f"{here.path}:{number}: '{key}' is in the {scored} list and also in the {trained} list "
                    f"({there.path}:{there.lines[key]}); remove it from one of them."
                )


def _separator(row: str) -> str:
    """The separator of a list, from its first line; a comma inside of a path is none."""
    if "\t" in row:
        return "\t"
    last = row.rpartition(",")[2]
    return "," if "," in row and not SUFFIX.search(last.split()[0] if last.split() else "") else " "


def _columns(row: str, separator: str) -> list[str]:
    if separator != " ":
        return [column.strip() for column in row.split(separator)]
    head, _, last = row.rpartition(" ")
    head = head.strip()
    if not head or SUFFIX.search(last) or "/" in last:
        return [row]
    words = head.split(" ")
    if SUFFIX.search(words[-1]):
        return [head, last]
    # The path ends where a video's suffix does: what follows are further columns, as frame lists have one.
    ends = [i for i, word in enumerate(words[:-1], 1) if word.lower().endswith(VIDEOS)]
    if len(words) > 1 and SUFFIX.search(words[-2]):
        ends = [len(words) - 1]
    return [" ".join(words[: ends[-1]]), *words[ends[-1] :], last] if ends else [head, last]
