"""Something-Something V2 (Goyal et al., ICCV 2017): 174 things that people do with things.

`labels.json` maps templates without brackets to numbers; `train.json` and `validation.json` (the test part
here: the official test has no labels) are lists of clips with their template.  Files are `<id>.webm`.
Left and right matter ("Pushing something from left to right"), so clips are never mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from datasets.annotated import AnnotatedSet, label_in, one_each, read_json
from datasets.errors import UserError
from datasets.list_labels import no_class
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import Folder

PREFIX = "something-something-v2-"


class SomethingSomething(AnnotatedSet):
    """Something-Something V2, trained on its training list and tested on its validation list."""

    formats: ClassVar[Mapping[str, str]] = {
        "ssv2": "Something-Something V2, official train and validation",
    }
    origin: ClassVar[str] = "the Something-Something V2 page (labels)"

    def read(self) -> ClipTable:
        """The two lists; a clip names its source nowhere, so each counts as its own."""
        templates = self.annotation(f"{PREFIX}labels.json", "labels.json")
        classes = read_labels(templates)
        files = Folder(self.place.videos)
        train, test = (
            self.annotation(f"{PREFIX}{role}.json", f"{role}.json") for role in ("train", "validation")
        )
        return ClipTable(
            name=self.name,
            classes=classes,
            train=one_each(_clips(train, classes, files, templates)),
            test=one_each(_clips(test, classes, files, templates)),
            mirror=False,
        )


def read_labels(path: Path) -> tuple[str, ...]:
    """The templates in the order of their numbers.

    Raises:
        UserError: the file is no mapping, or its numbers are not 0, 1, 2, ...
    """
    found = read_json(path)
    if not isinstance(found, dict) or not found:
        raise UserError(f'{path}: expected {{"template": "number", ...}}; fetch the file again.')
    numbers = {name: label_in(len(found), str(number), str(path)) for name, number in found.items()}
    if len(set(numbers.values())) != len(numbers):
        raise UserError(f"{path}: two templates have one number; fetch the file again.")
    return tuple(sorted(numbers, key=numbers.__getitem__))


def _clips(
    path: Path, classes: tuple[str, ...], files: Folder, templates: Path
) -> Iterator[tuple[str, ClipRef]]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of clips; fetch the file again.")
    places = {name: place for place, name in enumerate(classes)}
    for number, row in enumerate(rows, start=1):
        where = f"{path}: entry {number}"
        if not isinstance(row, dict) or "id" not in row or "template" not in row:
            raise UserError(f"{where}: expected 'id' and 'template'; the test list has none and is not read.")
        template = str(row["template"]).replace("[", "").replace("]", "")
        if template not in places:
            cure = "take lists and labels of one release"
            raise no_class(f"template of {templates}", template, classes, where, cure)
        key = f"{row['id']}.webm"
        yield where, ClipRef(key, files.clip(str(row["id"])), places[template], group=key)
