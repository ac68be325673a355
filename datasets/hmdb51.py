"""HMDB51 (Kuehne et al., ICCV 2011): 51 actions from films and the web, three official splits.

Per class and split there is a file `<class>_test_split<n>.txt` with lines `<file>.avi <flag> `: flag 1 is
training, 2 test, 0 neither.  The lines end in a space, file names hold `! ( ) ; & #`, and a class is
exactly what stands before `_test_split`: `climb` is not `climb_stairs`.  A file is named after its film and
then its class; the film alone is the source, since one film gives clips of several classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from datasets.annotated import AnnotatedSet, one_each, read_rows
from datasets.errors import UserError
from datasets.official_splits import split_formats, split_of
from datasets.source_names import source_of
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import Folder

UNUSED, TRAIN, TEST = "0", "1", "2"

_FILE = re.compile(r"(?P<name>.+)_test_split(?P<split>[123])\.txt")


class HMDB51(AnnotatedSet):
    """HMDB51; `hmdb51` is split 1.  Clips with flag 0 are not used."""

    formats: ClassVar[Mapping[str, str]] = split_formats("hmdb51", "HMDB51")
    origin: ClassVar[str] = "the HMDB page of the Serre lab (test_train_splits)"

    def read(self) -> ClipTable:
        """The files of one split."""
        split = split_of(self.place.format)
        found: dict[str, Path] = {}
        for path in sorted(self.place.annotations.rglob(f"*_test_split{split}.txt")):
            if match := _FILE.fullmatch(path.name):
                found.setdefault(match["name"], path)
        if not found:
            self.annotation(f"<class>_test_split{split}.txt")  # says where they come from
        classes, files = tuple(sorted(found)), Folder(self.place.videos)
        rows = [
            entry for label, name in enumerate(classes) for entry in _clips(found[name], name, label, files)
        ]
        return ClipTable(
            name=self.name,
            classes=classes,
            train=one_each((where, clip) for where, flag, clip in rows if flag == TRAIN),
            test=one_each((where, clip) for where, flag, clip in rows if flag == TEST),
            mirror=True,
        )


def _clips(path: Path, name: str, label: int, files: Folder) -> Iterator[tuple[str, str, ClipRef]]:
    for number, row in read_rows(path):
        where = f"{path}:{number}"
        file, _, flag = row.rpartition(" ")
        if not file or flag not in {UNUSED, TRAIN, TEST}:
            raise UserError(f"{where}: expected '<file> <flag>' with a flag of 0, 1 or 2, found '{row}'.")
        key = f"{name}/{file.strip()}"
        film = source_of(key).removesuffix(f"_{name}")
        yield where, flag, ClipRef(key, files.find(key), label, film)
