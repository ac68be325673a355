"""Perturbations act on time alone and inside their own level."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets.types import Clip
from methods.draws import Draws
from sefar.perturbation import Perturbation, perturb

NAMES = get_args(Perturbation)


def numbered(*lengths: int) -> Clip:
    """A clip whose pixels are the number of their frame; two samples, three colors."""
    return tuple(
        torch.arange(float(n)).view(1, 1, n, 1, 1).expand(2, 3, n, 2, 2) + 100 * i
        for i, n in enumerate(lengths)
    )


def order(clip: Clip) -> list[list[float]]:
    return [level[0, 0, :, 0, 0].tolist() for level in clip]


@given(
    name=st.sampled_from(NAMES),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    seed=st.integers(0, 9999),
)
def test_every_frame_shown_is_one_of_the_level_and_the_same_for_all_clips(
    name: Perturbation, lengths: list[int], seed: int
) -> None:
    clip = numbered(*lengths)
    moved = perturb(clip, name, Draws(seed, 0))
    for before, after in zip(clip, moved, strict=True):
        assert after.shape == before.shape
        assert set(after.unique().tolist()) <= set(before.unique().tolist())
        assert (after == after[:1, :1, :, :1, :1]).all()


@given(
    name=st.sampled_from(["all_shuffle", "local_shuffle", "all_reverse", "mod_reverse"]),
    seed=st.integers(0, 9999),
)
def test_shuffles_and_reversals_lose_no_frame(name: Perturbation, seed: int) -> None:
    clip = numbered(2, 3, 8)
    assert [sorted(level) for level in order(perturb(clip, name, Draws(seed, 0)))] == order(clip)


@given(
    name=st.sampled_from(["slow", "t_drop", "warping"]), length=st.integers(1, 20), seed=st.integers(0, 9999)
)
def test_time_never_runs_backwards(name: Perturbation, length: int, seed: int) -> None:
    shown = order(perturb(numbered(length), name, Draws(seed, 0)))[0]
    assert shown == sorted(shown)


@pytest.mark.parametrize("name", ["mod_reverse", "local_shuffle", "none", "spatial_only"])
def test_moderate_perturbations_leave_the_context_alone(name: Perturbation) -> None:
    clip = numbered(5, 5, 8)
    for seed in range(20):
        assert torch.equal(perturb(clip, name, Draws(seed, 0))[-1], clip[-1])


def test_moderate_reversal_reverses_the_fine_levels() -> None:
    assert order(perturb(numbered(2, 3, 4), "mod_reverse", Draws(0, 0))) == [
        [1, 0],
        [102, 101, 100],
        [200, 201, 202, 203],
    ]
    assert order(perturb(numbered(4), "mod_reverse", Draws(0, 0))) == [
        [0, 1, 2, 3]
    ]  # a single level is context
    assert order(perturb(numbered(2, 3), "all_reverse", Draws(0, 0))) == [[1, 0], [102, 101, 100]]


def test_levels_have_draws_of_their_own() -> None:
    moved = [order(perturb(numbered(8, 8), "all_shuffle", Draws(seed, 0))) for seed in range(5)]
    assert any([i + 100 for i in first] != second for first, second in moved)
