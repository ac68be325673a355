"""Label draws by source video, and splits as files."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.errors import UserError
from datasets.group_splits import Budget, held_out, labeled_by_source
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


@given(st.integers(0, 5), st.integers(1, 10), st.integers(1, 10))
def test_larger_budgets_keep_the_labels_of_smaller_ones(seed: int, first: int, second: int) -> None:
    small, large = sorted((first, second))
    few = labeled_by_source(FULL, Budget(per_class=small), seed)
    many = labeled_by_source(FULL, Budget(per_class=large), seed)
    assert set(few) <= set(many)
    assert Counter(FULL.train[i].label for i in few) == dict.fromkeys(range(4), small)


def test_fractions_nest_and_take_at_least_one() -> None:
    shares = ("0.01", "0.05", "0.1", "0.2")
    draws = [set(labeled_by_source(FULL, Budget(fraction=Decimal(share)), 0)) for share in shares]
    assert [len(draw) for draw in draws] == [4, 8, 12, 24]  # of 30 clips a class; round(1.5) is 2
    assert draws[0] <= draws[1] <= draws[2] <= draws[3]


def test_labels_come_from_few_sources_which_are_labeled_whole() -> None:
    labeled = labeled_by_source(FULL, Budget(per_class=9), 3)
    by_source = Counter(FULL.train[i].group for i in labeled)
    whole = sum(count == 3 for count in by_source.values())
    assert whole >= len(by_source) - 4, "a class splits its last source at most"


def test_the_order_of_a_list_has_no_effect() -> None:
    backwards = ClipTable("x", FULL.classes, train=FULL.train[::-1], test=FULL.test)
    keys = [
        {table.train[i].key for i in labeled_by_source(table, Budget(per_class=3), 1)}
        for table in (FULL, backwards)
    ]
    assert keys[0] == keys[1]


def test_small_classes_are_refused_or_taken_as_they_are() -> None:
    uneven = table_of([0] * 30 + [1] * 2)
    with pytest.raises(UserError, match=r"class 'b' .* has 2 training clips, but 5 .*--allow-empty-classes"):
        labeled_by_source(uneven, Budget(per_class=5), 0)
    taken = labeled_by_source(uneven, Budget(per_class=5, allow_empty_classes=True), 0)
    assert Counter(uneven.train[i].label for i in taken) == {0: 5, 1: 2}
    share = labeled_by_source(uneven, Budget(fraction=Decimal("0.1"), allow_empty_classes=True), 0)
    assert Counter(uneven.train[i].label for i in share) == {0: 3}, "a tenth of two clips is none"


@given(st.integers(0, 20))
def test_no_source_is_labeled_and_held_out(seed: int) -> None:
    labeled = [FULL.train[i] for i in labeled_by_source(FULL, Budget(per_class=25), seed)]
    held = held_out(labeled, seed)
    rest = {clip.group for clip in labeled if clip not in held}
    assert rest & {clip.group for clip in held} == set()
    assert all(count <= 5 for count in Counter(clip.label for clip in held).values())
    assert held


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
