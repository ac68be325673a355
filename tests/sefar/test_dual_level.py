"""The dual-level sampler against the tables of the specification and, for any levels, its invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sefar.sampling import DualLevel, assign_segments

RNG = np.random.default_rng
LEVELS = st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)


def windows(frames: int, draws: int = 400) -> list[list[set[int]]]:
    """Per level and position, every frame that was drawn."""
    seen: list[list[set[int]]] = [[set() for _ in range(n)] for n in (2, 2, 4)]
    rng = RNG(frames)
    for _ in range(draws):
        for level, indices in enumerate(DualLevel().indices(frames, rng)):
            for position, index in enumerate(indices.tolist()):
                seen[level][position].add(index)
    return seen


def spans(text: str) -> list[set[int]]:
    """`0-3,8` -> [{0, 1, 2, 3}, {8}]."""
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return [set(range(end[0], end[-1] + 1)) for end in ends]


@pytest.mark.parametrize(
    ("frames", "level1", "level2", "level3"),
    [
        (8, "3,7", "1,5", "0,2,4,6"),
        (16, "6-7,14-15", "2-3,10-11", "0-1,4-5,8-9,12-13"),
        (20, "8-9,18-19", "2-4,12-14", "0-1,5-7,10-11,15-17"),
        (30, "11-14,26-29", "4-7,19-21", "0-3,8-10,15-18,22-25"),
        (64, "24-31,56-63", "8-15,40-47", "0-7,16-23,32-39,48-55"),
        (4, "0-1,2-3", "0-1,2-3", "0,1,2,3"),
        (5, "0-2,2-4", "0-2,2-4", "0,2,3,4"),
        (6, "0-2,3-5", "1,4", "0,2,3,5"),
        (7, "0-2,4-6", "1,5", "0,2,4,6"),
    ],
)
def test_frame_windows_are_those_of_the_release(frames: int, level1: str, level2: str, level3: str) -> None:
    assert windows(frames) == [spans(level1), spans(level2), spans(level3)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((2, 2, 4), ([3, 7], [1, 5], [0, 2, 4, 6])),
        ((4, 4, 8), ([3, 7, 11, 15], [1, 5, 9, 13], [0, 2, 4, 6, 8, 10, 12, 14])),
        ((4, 4), ([1, 3, 5, 7], [0, 2, 4, 6])),
        ((2, 2, 2, 2), ([3, 7], [2, 6], [1, 5], [0, 4])),
    ],
)
def test_segments_of_other_levels(sizes: tuple[int, ...], expected: tuple[list[int], ...]) -> None:
    assert assign_segments(sizes, sum(sizes), RNG(0)) == expected


@given(frames=st.integers(1, 400), seed=st.one_of(st.none(), st.integers(0, 2**32 - 1)))
def test_default_levels_for_every_length(frames: int, seed: int | None) -> None:
    rng = None if seed is None else RNG(seed)
    levels = DualLevel().indices(frames, rng)
    if frames < 4:  # slowed down to the 4 frames of the context, which shows every frame in order
        assert tuple(map(len, levels)) == (2, 2, 4)
        assert levels[2].tolist() == [i * frames // 4 for i in range(4)]
        assert max(map(max, levels)) < frames
        return
    assert tuple(map(len, levels)) == (2, 2, 4)
    taken = np.concatenate(levels)
    assert taken.min() >= 0
    assert taken.max() < frames
    assert all((np.diff(level) >= 0).all() for level in levels)
    if frames >= 8:
        assert len(set(taken.tolist())) == 8


@given(sizes=LEVELS, more=st.integers(0, 100), seed=st.integers(0, 2**32 - 1))
def test_any_levels_never_overlap_in_a_long_enough_clip(sizes: tuple[int, ...], more: int, seed: int) -> None:
    taken = np.concatenate(DualLevel(sizes).indices(sum(sizes) + more, RNG(seed)))
    assert len(set(taken.tolist())) == sum(sizes)


@given(sizes=LEVELS, data=st.data(), seed=st.one_of(st.none(), st.integers(0, 2**32 - 1)))
def test_any_levels_stay_inside_a_short_clip(
    sizes: tuple[int, ...], data: st.DataObject, seed: int | None
) -> None:
    frames = data.draw(st.integers(sizes[-1], max(sizes[-1], sum(sizes))))
    levels = DualLevel(sizes).indices(frames, None if seed is None else RNG(seed))
    assert tuple(map(len, levels)) == sizes == DualLevel(sizes).levels
    assert all(0 <= i < frames for level in levels for i in level)
    assert all((np.diff(level) >= 0).all() for level in levels)


def test_without_a_generator_the_choice_is_the_middle_and_always_the_same() -> None:
    first, second = DualLevel().indices(64, None), DualLevel().indices(64, None)
    assert [level.tolist() for level in first] == [[27, 59], [11, 43], [3, 19, 35, 51]]
    assert all(map(np.array_equal, first, second))
