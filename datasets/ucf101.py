"""UCF101 (Soomro et al., 2012): 101 sports and everyday actions, three official splits.

`trainlist01.txt` has lines `Folder/file.avi 1` with labels from 1, `testlist01.txt` the files alone: the
class of a test clip is its folder.  As published, the folder `HandstandPushups` holds files that spell
`HandStandPushups`, and copies of the lists and of the videos differ in that case, so classes and files are
found in any case.  Copies whose test list has a label, even twice, are read, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from datasets.annotated import AnnotatedSet, label_in, one_each, read_rows
from datasets.errors import UserError
from datasets.official_splits import split_formats, split_of
from datasets.source_names import source_of
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import Folder


class UCF101(AnnotatedSet):
    """UCF101; `ucf101` is split 1."""

    formats: ClassVar[Mapping[str, str]] = split_formats("ucf101", "UCF101")
    origin: ClassVar[str] = "the UCF Center for Research in Computer Vision (ucfTrainTestlist)"

    def read(self) -> ClipTable:
        """The lists of one split."""
        split = split_of(self.place.format)
        classes = read_classes(self.annotation("classInd.txt"))
        files = Folder(self.place.videos)
        train, test = (self.annotation(f"{role}list0{split}.txt") for role in ("train", "test"))
        return ClipTable(
            name=self.name,
            classes=classes,
            train=one_each(clips(train, classes, files, labeled=True)),
            test=one_each(clips(test, classes, files, labeled=False)),
            mirror=True,
        )


def read_classes(path: Path) -> tuple[str, ...]:
    """The class names of `classInd.txt`, whose lines are `1 ApplyEyeMakeup`.

    Raises:
        UserError: a line is not understood, or the numbers are not 1, 2, 3, ...
    """
    names: list[str] = []
    for number, row in read_rows(path):
        label, _, name = row.partition(" ")
        if not name or not label.isdigit() or int(label) != len(names) + 1:
            raise UserError(f"{path}:{number}: expected '{len(names) + 1} ClassName', found '{row}'.")
        names.append(name.strip())
    return tuple(names)


def clips(
    path: Path, classes: tuple[str, ...], files: Folder, labeled: bool
) -> Iterator[tuple[str, ClipRef]]:
    """The clips of a list with their places.

    Raises:
        UserError: a folder is no class, or a label is missing, out of range, or not that of the folder.
    """
    known = {name.lower(): place for place, name in enumerate(classes)}
    for number, row in read_rows(path):
        where = f"{path}:{number}"
        file, *labels = row.split()
        folder = file.rpartition("/")[0].rpartition("/")[2].lower()
        if folder not in known:
            raise UserError(
                f"{where}: '{file}' is in no folder of a class of classInd.txt; take the lists as published."
            )
        if labeled and not labels:
            raise UserError(f"{where}: expected 'Folder/file.avi label', found '{row}'.")
        for label in labels:
            if label_in(classes, label, where, first=1) != known[folder]:
                raise UserError(
                    f"{where}: label {label} is {classes[int(label) - 1]}, but the clip lies in the folder "
                    f"of {classes[known[folder]]}; take the lists as published."
                )
        # One key for all spellings: the folder of the class, the file as in the lists.
        key = f"{classes[known[folder]]}/{file.rpartition('/')[2]}"
        yield where, ClipRef(key, files.find(file), known[folder], source_of(key))
