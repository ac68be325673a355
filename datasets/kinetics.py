"""Kinetics-400 (Kay et al., 2017): 400 human actions in 10-second clips of YouTube videos.

Annotations are tables `label,youtube_id,time_start,time_end,split[,is_cc]`, one for training and one for
validation (the test part here: the labels of the official test are rarely used).  A clip is a file
`<id>_%06d_%06d.mp4`, in a folder of its class with `_` for spaces or in one folder for all.  Many videos
have vanished since: absent ones are counted, never replaced.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from datasets.annotated import AnnotatedSet, one_each, read_rows
from datasets.errors import UserError
from datasets.list_labels import no_class
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import Folder

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


class Kinetics(AnnotatedSet):
    """Kinetics-400, trained on its training table and tested on its validation table."""

    formats: ClassVar[Mapping[str, str]] = {"kinetics400": "Kinetics-400, official train and validation"}
    origin: ClassVar[str] = "the Kinetics project page (train and val tables)"

    def read(self) -> ClipTable:
        """The two tables; classes are those of training, sorted."""
        train = read_table(
            self.annotation("kinetics_train.csv", "train.csv", "kinetics400_train.csv", "tiny_train.csv")
        )
        test = read_table(
            self.annotation(
                "kinetics_val.csv", "val.csv", "validate.csv", "kinetics400_val.csv", "tiny_val.csv"
            )
        )
        classes = tuple(sorted({row["label"] for _, row in train}))
        positions = {name: place for place, name in enumerate(classes)}
        files = Folder(self.place.videos)

        def clips(rows: list[tuple[str, dict[str, str]]]) -> tuple[ClipRef, ...]:
            return one_each((where, _clip(where, row, positions, files)) for where, row in rows)

        return ClipTable(self.name, classes, clips(train), clips(test), mirror=True)


def read_table(path: Path) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table with their places.

    Raises:
        UserError: a column is missing, or a row has another number of columns.
    """
    rows = read_rows(path)
    header = next(csv.reader([rows[0][1]]))
    if missing := [name for name in COLUMNS if name not in header]:
        raise UserError(
            f"{path}:{rows[0][0]}: the column '{missing[0]}' is missing; found: {', '.join(header)}; "
            "fetch the table again."
        )
    found = []
    for number, row in rows[1:]:
        values = next(csv.reader([row]))
        if len(values) != len(header):
            raise UserError(
                f"{path}:{number}: expected {len(header)} columns, found {len(values)}: '{row}'; "
                "mend the row."
            )
        found.append((f"{path}:{number}", dict(zip(header, values, strict=True))))
    return found


def _clip(where: str, row: Mapping[str, str], positions: Mapping[str, int], files: Folder) -> ClipRef:
    label, video = row["label"], row["youtube_id"]
    if label not in positions:
        raise no_class("class of the training table", label, positions, where, "take the published tables")
    try:
        stem = f"{video}_{int(row['time_start']):06d}_{int(row['time_end']):06d}"
    except ValueError:
        times = f"{row['time_start']},{row['time_end']}"
        raise UserError(f"{where}: the times '{times}' are no whole seconds; mend the row.") from None
    key = f"{label.replace(' ', '_')}/{stem}.mp4"
    path = files.find(key)
    return ClipRef(key, path if path.is_file() else files.clip(stem), positions[label], group=video)
