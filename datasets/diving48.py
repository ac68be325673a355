"""Diving48 (Li et al., ECCV 2018): dives in 48 types, told apart by motion and hardly by scene.

`Diving48_V2_train.json` and `_test.json` are lists of `{"vid_name", "label"}`, `Diving48_vocab.json` a list
of 48 types, each a list of four words.  Files are `<vid_name>.mp4`, named by YouTube video and number.
Version 2 corrects labels of the first; lists of the first version have the same shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from datasets.annotated import AnnotatedSet, label_in, one_each, read_json
from datasets.errors import UserError
from datasets.source_names import source_of
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import Folder


class Diving48(AnnotatedSet):
    """Diving48 in version 2 of its labels."""

    formats: ClassVar[Mapping[str, str]] = {"diving48": "Diving48, labels of version 2"}
    origin: ClassVar[str] = "the RESOUND / Diving48 project page"

    def read(self) -> ClipTable:
        """The official lists; without the vocabulary, classes are numbers."""
        train = _rows(self.annotation("Diving48_V2_train.json", "Diving48_train.json"))
        test = _rows(self.annotation("Diving48_V2_test.json", "Diving48_test.json"))
        if self.has_annotation("Diving48_vocab.json"):
            classes = _vocabulary(self.annotation("Diving48_vocab.json"))
        else:
            labels = {str(label) for _, _, label in (*train, *test)}
            count = 1 + max((int(label) for label in labels if label.isdigit()), default=0)
            classes = tuple(str(number) for number in range(count))
        files = Folder(self.place.videos)

        def clips(rows: list[tuple[str, str, str]]) -> Iterator[tuple[str, ClipRef]]:
            for where, name, label in rows:
                key = f"{name}.mp4"
                yield where, ClipRef(key, files.clip(name), label_in(classes, label, where), source_of(key))

        return ClipTable(self.name, classes, one_each(clips(train)), one_each(clips(test)), mirror=True)


def _rows(path: Path) -> list[tuple[str, str, str]]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of clips; fetch the file again.")
    found = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}: entry {number}"
        if not isinstance(row, dict) or "vid_name" not in row or "label" not in row:
            raise UserError(f"{where}: expected 'vid_name' and 'label'.")
        found.append((where, str(row["vid_name"]), str(row["label"])))
    return found


def _vocabulary(path: Path) -> tuple[str, ...]:
    rows = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: expected a list of dive types; fetch the file again.")
    return tuple(" ".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows)
