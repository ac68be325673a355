"""Perturbations of time: which frames are shown, in which order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods import temporal
from methods.draws import Draws

T = TypeVar("T")
LENGTHS = st.integers(1, 24)
SEEDS = st.integers(0, 9999)


class GivenWarp(Draws):
    """Fixes the kept frames and the cuts; remembers what it was asked."""

    def __init__(self, kept: list[int], cuts: list[int]) -> None:
        super().__init__(0, 0)
        self.kept, self.cuts = kept, cuts
        self.options: Sequence[int] = ()
        self.ranges: list[tuple[int, int]] = []

    def choice(self, options: Sequence[T], purpose: str) -> T:
        self.options = tuple(int(str(option)) for option in options)
        return next(option for option in options if option == len(self.kept))

    def subset(self, n: int, k: int, purpose: str) -> Tensor:
        return torch.tensor(self.kept)

    def integer(self, low: int, high: int, purpose: str) -> int:
        self.ranges.append((low, high))
        return self.cuts[len(self.ranges) - 1]


@pytest.mark.parametrize(
    ("kept", "cuts", "shown"),
    [
        ([2, 5], [4], [2, 2, 2, 2, 5, 5, 5, 5]),
        ([2, 5], [2], [2, 2, 5, 5, 5, 5, 5, 5]),  # the first kept frame still shows what comes before it
        ([2, 5], [5], [2, 2, 2, 2, 2, 5, 5, 5]),
        ([0, 3, 4, 7], [1, 4, 6], [0, 3, 3, 3, 4, 4, 7, 7]),
        ([0, 1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_warp_of_given_frames_and_cuts(kept: list[int], cuts: list[int], shown: list[int]) -> None:
    draws = GivenWarp(kept, cuts)
    assert temporal.warp(8, draws, "0").tolist() == shown
    assert draws.options == (2, 4, 8)
    assert draws.ranges == list(itertools.pairwise(kept))


@given(frames=LENGTHS, seed=SEEDS)
def test_a_warp_never_breaks_the_order(frames: int, seed: int) -> None:
    order = temporal.warp(frames, Draws(seed, 0), "0")
    assert order.shape == (frames,)
    assert (order.diff() >= 0).all()
    assert 0 <= int(order.min()) <= int(order.max()) < frames


@given(frames=LENGTHS, seed=SEEDS)
def test_half_speed_shows_neighbors_twice(frames: int, seed: int) -> None:
    order = temporal.slow(frames, Draws(seed, 0), "0")
    assert (order.diff() >= 0).all()
    assert (order.diff() <= 1).all()
    assert 0 <= int(order.min()) <= int(order.max()) < frames
    if frames % 2 == 0:
        assert torch.equal(order[::2], order[1::2])


@given(frames=LENGTHS, seed=SEEDS)
def test_a_dropped_frame_is_replaced_by_the_last_one_shown(frames: int, seed: int) -> None:
    order = temporal.drop(frames, Draws(seed, 0), "0").tolist()
    assert order[0] == 0
    assert all(shown in (i, order[i - 1]) for i, shown in enumerate(order) if i)


@given(frames=st.integers(2, 24), seed=SEEDS)
def test_one_half_is_played_twice(frames: int, seed: int) -> None:
    order, length = temporal.half(frames, Draws(seed, 0), "0"), frames // 2
    assert torch.equal(order[:length], order[length : 2 * length])
    assert int(order[0]) in (0, frames - length)
    assert (order[:length].diff() == 1).all()


@given(frames=LENGTHS, seed=SEEDS)
def test_reverse_and_shuffle_lose_nothing(frames: int, seed: int) -> None:
    assert temporal.reverse(frames).tolist() == list(range(frames))[::-1]
    assert sorted(temporal.shuffle(frames, Draws(seed, 0), "0").tolist()) == list(range(frames))


def test_reorder_moves_frames_of_the_time_axis() -> None:
    x = torch.arange(2 * 3 * 4 * 1 * 1.0).view(2, 3, 4, 1, 1)
    moved = temporal.reorder(x, torch.tensor([3, 3, 0, 1]))
    assert torch.equal(moved, x[:, :, [3, 3, 0, 1]])
