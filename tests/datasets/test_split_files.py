"""Splits as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.errors import UserError
from datasets.split_files import read_split, write_split
from datasets.splits import make_split
from datasets.types import ClipRef, ClipTable


def table_of(labels: list[int], per_source: int = 3, classes: int = 4) -> ClipTable:
    clips = tuple(
        ClipRef(f"{i:03d}.mp4", Path(f"{i:03d}.mp4"), label, f"video{i // per_source}")
        for i, label in enumerate(labels)
    )
    test = (ClipRef("t.mp4", Path("t.mp4"), 0, "t"),)
    return ClipTable("x", tuple("abcd"[:classes]), train=clips, test=test)


FULL = table_of([i % 4 for i in range(120)])


def test_a_split_travels_as_a_file_and_a_changed_line_is_noticed(tmp_path: Path) -> None:
    split = make_split(FULL, "5", 0)
    path = tmp_path / "deep/split.tsv"
    write_split(path, split, FULL.classes)
    assert read_split(path, FULL) == split
    path.write_text(path.read_text().replace("labeled\t", "unlabeled\t", 1))
    with pytest.raises(UserError, match=r"does not have the hash that it states"):
        read_split(path, FULL)
    path.write_text(path.read_text() + "labeled\tother.mp4\ta\n")
    with pytest.raises(UserError, match=r"split\.tsv:\d+: 'other\.mp4' is no clip of data set 'x'"):
        read_split(path, FULL)
