"""Lists of clips as the field's programs write them, one clip a line.

    path label                  SeFAR, mmaction2, SlowFast; label a number or a name
    path frames label           folders of frames: TSN, mmaction2; SlowFast with frame counts
    path offset frames label    folders of frames, mmaction2
    path                        no label

Columns are separated by spaces, commas or tabs, lines end in LF or CRLF, the last may lack its end.
All lines of a list have the same columns, and a video file has one label: several a clip are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from datasets.annotated import read_rows
from datasets.errors import UserError
from datasets.source_names import SUFFIX

_INTEGER = re.compile(r"-?\d+")
_HEADER = {"label", "class", "action", "category"}
FORMS = ("'path'", "'path label'", "'path frames label'", "'path offset frames label'")
VIDEOS = (".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".3gp")
"""Endings behind which no path goes on."""
FRAME_LISTS = (
    "lists with frame counts are read with --format lists: "
    "python -m bench data add NAME --format lists --videos DIR --annotations LISTS"
)
"""What to do with lists of folders of frames where videos are meant."""
_ENDING = "|".join(re.escape(ending) for ending in VIDEOS)
_HASH_FILE = re.compile(rf"#\S.*?(?:{_ENDING})(?=[\s,]|$)", re.IGNORECASE)
_FILE_AND_MORE = re.compile(rf".*\S(?:{_ENDING})\s+[^/]+$", re.IGNORECASE)


class ListRow(NamedTuple):
    """One clip: its file with slashes, its label (None: none), which frames of a folder, its line.

    Several clips may be of one folder: `file` of one that begins later is `folder@offset`.
    """

    file: str
    label: str | None
    offset: int | None
    frames: int | None
    number: int

    @property
    def listed(self) -> str:
        """The file or folder as it is listed."""
        return self.file.removesuffix(f"@{self.offset}") if self.offset else self.file

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return self.file.rpartition("/")[2]


@dataclass(frozen=True)
class ClipList:
    """A list and how it is written: rows, separator, whether lines end in CRLF and the last one ends."""

    path: Path
    rows: tuple[ListRow, ...]
    separator: str
    crlf: bool
    ended: bool

    def labels(self) -> dict[str, str | None]:
        """Label by file."""
        return {row.file: row.label for row in self.rows}


def is_comment(row: str) -> bool:
    """Whether a line of a list is a comment; names of video files may begin with `#`, too (HMDB51's do)."""
    return row.startswith("#") and _HASH_FILE.match(row) is None


def read_clip_list(path: Path) -> ClipList:
    """Reads a list in any of the forms above; comments (`#`) and a header line are passed over.

    Raises:
        UserError: the list is missing, empty or no text, its columns vary, a video has several labels, or a
            clip is there twice.
    """
    rows = [(number, row) for number, row in read_rows(path) if not is_comment(row)]
    separator = _separator(rows[0][1]) if rows else " "
    if rows and _columns(rows[0][1], separator)[-1].lower() in _HEADER:
        rows = rows[1:]
    if not rows:
        raise UserError(f"the list {path} has no clips; give a list of 'path label' lines.")
    parsed = [(number, _columns(row, separator)) for number, row in rows]
    first, width = parsed[0][0], len(parsed[0][1])
    seen: dict[str, int] = {}
    found = []
    for (number, columns), (_, row) in zip(parsed, rows, strict=True):
        if len(columns) != width or not 1 <= width <= len(FORMS):
            forms = FORMS[width - 1] if 1 <= width <= len(FORMS) else " or ".join(FORMS)
            raise UserError(
                f"{path}:{number}: expected {forms} as in line {first}, found {len(columns)} columns: "
                f"'{row}'; give one label a clip."
            )
        _refuse_labels(f"{path}:{number}", columns, row)
        clip = _row(path, number, columns[0].replace("\\", "/"), columns[1:])
        if clip.file in seen:
            raise UserError(
                f"{path}:{number}: '{clip.file}' is already in line {seen[clip.file]}; remove one of them."
            )
        seen[clip.file] = number
        found.append(clip)
    data = path.read_bytes()
    return ClipList(path, tuple(found), separator, b"\r\n" in data, data.endswith(b"\n"))


def _refuse_labels(where: str, columns: Sequence[str], row: str) -> None:
    """That a video file has one label: frames are counted of folders alone.

    Raises:
        UserError: something stands between it and its label.
    """
    file = columns[0]
    if (len(columns) > 2 and SUFFIX.search(file)) or (
        not SUFFIX.search(file) and _FILE_AND_MORE.match(file) is not None
    ):
        raise UserError(
            f"{where}: the video of '{row}' has more than one label, and several labels a clip are not "
            "supported; give one label a clip."
        )


def _row(path: Path, number: int, file: str, values: Sequence[str]) -> ListRow:
    *counts, label = values or (None,)
    for count in counts:
        if count is None or not count.isdigit():
            raise UserError(f"{path}:{number}: '{count}' is no frame count; expected a number.")
    numbers = [int(count) for count in counts if count is not None]
    offset = numbers[0] if len(numbers) == 2 else None
    return ListRow(
        f"{file}@{offset}" if offset else file,
        label,
        offset=offset,
        frames=numbers[-1] if numbers else None,
        number=number,
    )


def _separator(row: str) -> str:
    if "\t" in row:
        return "\t"
    last = row.rpartition(",")[2].strip()
    # A comma inside of a path is followed by more of the path: a space, a slash or an extension.
    return "," if "," in row and last and not re.search(r"[\s/]", last) and not SUFFIX.search(last) else " "


def _columns(row: str, separator: str) -> list[str]:
    if separator != " ":
        return [column.strip() for column in row.split(separator)]
    words = row.split()
    numbers = 0
    while numbers < len(words) - 1 and _INTEGER.fullmatch(words[-1 - numbers]):
        numbers += 1
    if not numbers:
        head, _, last = row.rpartition(" ")
        named = bool(head) and not SUFFIX.search(last) and "/" not in last
        return [head.strip(), last] if named else [row]
    return [row.rsplit(maxsplit=numbers)[0], *words[len(words) - numbers :]]
