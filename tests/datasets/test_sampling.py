"""Which frames a view shows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datasets.sampling import DenseClip, Segments, windowed
from datasets.types import ClipSampler
from sefar.sampling import DualLevel

FRAMES = st.integers(1, 32)
COUNTS = st.integers(1, 400)
SEEDS = st.one_of(st.none(), st.integers(0, 2**32 - 1))


def rng(seed: int | None) -> np.random.Generator | None:
    return None if seed is None else np.random.default_rng(seed)


@given(frames=FRAMES, count=COUNTS, seed=SEEDS)
def test_segments_take_one_frame_from_each_part(frames: int, count: int, seed: int | None) -> None:
    (taken,) = Segments(frames).indices(count, rng(seed))
    assert Segments(frames).levels == (frames,) == taken.shape
    edges = np.arange(frames + 1) * count / frames
    assert (taken >= np.floor(edges[:-1])).all()
    assert (taken <= np.ceil(edges[1:])).all()
    assert taken.min() >= 0
    assert taken.max() < count
    assert (np.diff(taken) >= 0).all()
    if count >= frames and seed is None:
        assert len(set(taken.tolist())) == frames


def test_segments_without_a_generator_are_the_middles() -> None:
    assert Segments(4).indices(16, None)[0].tolist() == [2, 6, 10, 14]
    assert Segments(8).indices(3, None)[0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_segments_with_a_generator_reach_every_frame_of_their_part() -> None:
    drawn = np.stack([Segments(4).indices(16, rng(seed))[0] for seed in range(200)])
    assert [sorted(set(column.tolist())) for column in drawn.T] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
        [12, 13, 14, 15],
    ]


@given(frames=FRAMES, stride=st.integers(1, 16), count=COUNTS, seed=SEEDS)
def test_dense_clips_have_a_fixed_stride_and_hold_the_last_frame(
    frames: int, stride: int, count: int, seed: int | None
) -> None:
    (taken,) = DenseClip(frames, stride).indices(count, rng(seed))
    assert DenseClip(frames, stride).levels == (frames,) == taken.shape
    assert taken.min() >= 0
    assert taken.max() < count
    expected = np.minimum(taken[0] + np.arange(frames) * stride, count - 1)
    assert (taken == expected).all()
    if count <= (frames - 1) * stride + 1:
        assert taken[0] == 0


def test_dense_clips_without_a_generator_are_central() -> None:
    assert DenseClip(4, 2).indices(17, None)[0].tolist() == [5, 7, 9, 11]


@given(
    sampler=st.sampled_from([Segments(8), DenseClip(4, 2), DualLevel((2, 2, 4)), DualLevel((4, 4))]),
    count=st.integers(4, 400),
    shrink=st.floats(0, 0.9),
    seed=st.integers(0, 2**32 - 1),
)
def test_windows_stay_inside_the_clip_and_long_enough(
    sampler: ClipSampler, count: int, shrink: float, seed: int
) -> None:
    levels = windowed(sampler, count, shrink, np.random.default_rng(seed))
    taken = np.concatenate(levels)
    assert tuple(map(len, levels)) == sampler.levels
    assert taken.min() >= 0
    assert taken.max() < count
    if count >= 8 and not isinstance(sampler, DenseClip):
        assert len(set(taken.tolist())) == 8 or isinstance(sampler, Segments)


def test_windows_move_and_shrink_the_clip() -> None:
    spans = [windowed(Segments(8), 100, 0.5, np.random.default_rng(seed))[0] for seed in range(200)]
    firsts, lengths = [int(s[0]) for s in spans], [int(s[-1] - s[0]) for s in spans]
    assert max(firsts) > 30
    assert min(lengths) < 60
    assert max(lengths) > 80


def test_a_short_clip_is_not_cut_below_what_the_levels_need() -> None:
    for seed in range(50):
        levels = windowed(DualLevel((2, 2, 4)), 5, 0.9, np.random.default_rng(seed))
        assert max(map(max, levels)) < 5


def test_a_clip_shorter_than_the_context_repeats_frames_with_or_without_a_window() -> None:
    levels = windowed(DualLevel((2, 2, 4)), 3, 0.5, np.random.default_rng(0))
    assert [len(level) for level in levels] == [2, 2, 4]
    assert levels[2].tolist() == [0, 0, 1, 2]
    assert max(map(max, levels)) < 3
