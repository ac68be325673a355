"""Which classes a list of clips has, and what the labels of its lines mean."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from datasets.errors import UserError, unknown_name
from datasets.types import UNKNOWN

_INTEGER = re.compile(r"-?\d+")
SHOWN = 10
"""Missing class numbers that a note names."""


class Line(NamedTuple):
    """One clip of a list: its file as written, its label (None where there is none), its line from 1."""

    file: str
    label: str | None
    number: int


def class_names(path: Path, train: Sequence[Line], classes: Path | None) -> tuple[str, ...]:
    """The classes of a data set: the lines of its classes file, or the labels of its training list.

    Numbers without a classes file are named by themselves, in numeric order; names are sorted.

    Raises:
        UserError: the classes file is missing, empty, or has a name twice; without one, a number is negative,
            or some labels are numbers and others names.
    """
    if classes is not None:
        return _class_file(classes)
    labels = {line.label: line for line in train if line.label is not None}
    _refuse_mixture(path, train)
    if not all_integers(train):
        return tuple(sorted(labels))
    for label, line in labels.items():
        if int(label) < 0:
            raise UserError(
                f"{path}:{line.number}: the label {label} is negative; class numbers start from 0."
            )
    return tuple(str(number) for number in sorted({int(label) for label in labels}))


def missing_numbers(classes: Sequence[str]) -> str | None:
    """The class numbers between others that no clip has, as `2, 4`; None where none are missing.

    Args:
        classes: the classes of a training list without a classes file.
    """
    if not all(_INTEGER.fullmatch(name) for name in classes):
        return None
    known = {int(name) for name in classes}
    count = max(known) - min(known) + 1 - len(known)  # a label may be any number: none is counted up to
    gaps = (number for number in itertools.count(min(known)) if number not in known)
    more = [f"and {count - SHOWN} more"] if count > SHOWN else []
    return ", ".join([*map(str, itertools.islice(gaps, min(count, SHOWN))), *more]) or None


def _refuse_mixture(path: Path, lines: Iterable[Line]) -> None:
    """That not one word among numbers, or number among words, becomes a class of its own.

    Raises:
        UserError: naming the first line of the kind that is rarer.
    """
    kinds: dict[str, list[Line]] = {"number": [], "name": []}
    for line in lines:
        if line.label is not None:
            kinds["number" if _INTEGER.fullmatch(line.label) else "name"].append(line)
    (odd, few), (usual, many) = sorted(kinds.items(), key=lambda kind: len(kind[1]))
    if few:
        raise UserError(
            f"{path}:{few[0].number}: the label '{few[0].label}' is a {odd}, but {len(many)} lines have a "
            f"{usual}; mend the list, or name all classes in a file with --classes."
        )


def _class_file(path: Path) -> tuple[str, ...]:
    try:
        rows = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the classes file {path} cannot be read as text; give one class name a line."
        ) from error
    names: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        name = row.strip()
        if name in names:
            raise UserError(
                f"{path}:{number}: class '{name}' is already in line {names[name]}; remove one of them."
            )
        if name:
            names[name] = number
    if not names:
        raise UserError(f"the classes file {path} is empty; give one class name a line.")
    return tuple(names)


def all_integers(lines: Iterable[Line]) -> bool:
    """Whether every line has a number as its label."""
    return all(line.label is not None and _INTEGER.fullmatch(line.label) for line in lines)


def no_class(kind: str, name: str, known: Iterable[str], where: str, cure: str) -> UserError:
    """The error for a label that is none of the classes, with what to do about it."""
    return UserError(f"{str(unknown_name(kind, name, known, where)).removesuffix('.')}; {cure}.")


@dataclass(frozen=True)
class Labels:
    """How the labels of a data set read: numbers (positions where a classes file names them) or names."""

    classes: tuple[str, ...]
    numbers: bool
    positions: bool

    def index(self, path: Path, line: Line, hidden: bool) -> int:
        """The class of a line; `hidden` lines (of an unlabeled list) may have none, or -1."""
        where = f"{path}:{line.number}"
        if line.label is None or (hidden and line.label == str(UNKNOWN)):
            return UNKNOWN
        if self.positions and _INTEGER.fullmatch(line.label):
            if 0 <= int(line.label) < len(self.classes):
                return int(line.label)
            last = len(self.classes) - 1
            raise UserError(
                f"{where}: the label {line.label} is out of range; the classes file has 0 to {last}."
            )
        number = self.numbers and _INTEGER.fullmatch(line.label)
        name = str(int(line.label)) if number else line.label
        if name in self.classes:
            return self.classes.index(name)
        cure = "mend the label, or name all classes in a file with --classes"
        raise no_class("class of the training list", line.label, self.classes, where, cure)
