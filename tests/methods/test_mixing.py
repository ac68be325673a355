"""Tube mixing and channel dropout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods import mixing
from methods.draws import Draws


@given(rows=st.integers(1, 14), columns=st.integers(1, 14), share=st.floats(0, 1), seed=st.integers(0, 999))
def test_a_tube_mask_keeps_the_floor_of_its_share(rows: int, columns: int, share: float, seed: int) -> None:
    mask = mixing.tube_mask(rows, columns, share, Draws(seed, 0), "tube")
    assert mask.shape == (rows, columns)
    assert int(mask.sum()) == int(share * rows * columns)


def test_masks_move_from_step_to_step() -> None:
    masks = [mixing.tube_mask(8, 8, 0.5, Draws(0, step), "tube") for step in range(3)]
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])


@pytest.mark.parametrize(("size", "patch", "cells"), [(32, 8, 4), (36, 16, 2), (40, 16, 2), (8, 16, 1)])
def test_tubes_lie_on_the_patch_grid_and_hold_for_all_frames(size: int, patch: int, cells: int) -> None:
    ours, theirs = torch.ones(2, 3, 4, size, size), torch.zeros(2, 3, 4, size, size)
    mixed = mixing.tube_mix((ours,), (theirs,), 0.5, (1, patch, patch), Draws(1, 0))[0]
    assert (mixed == mixed[:1, :1, :1]).all()
    image = mixed[0, 0, 0]
    grid = image[: cells * patch : patch, : cells * patch : patch]
    assert int(grid.sum()) == int(0.5 * cells * cells)
    for row in range(cells):
        for column in range(cells):
            cell = image[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            assert (cell == grid[row, column]).all()


def test_levels_have_masks_of_their_own() -> None:
    ours, theirs = torch.ones(1, 3, 2, 32, 32), torch.zeros(1, 3, 2, 32, 32)
    first, second = mixing.tube_mix((ours, ours), (theirs, theirs), 0.5, (1, 4, 4), Draws(0, 0))
    assert not torch.equal(first, second)


def test_blend_follows_the_order_of_partners() -> None:
    values = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    mixed = mixing.blend(values, 0.25, torch.tensor([1, 2, 2]))
    torch.testing.assert_close(mixed, torch.tensor([[0.25, 0.75], [0.375, 0.625], [0.5, 0.5]]))


def test_channel_dropout_drops_whole_channels_and_keeps_the_mean() -> None:
    clip = (torch.ones(500, 3, 2, 4, 4), torch.ones(500, 3, 3, 4, 4))
    dropped = mixing.drop_channels(clip, 0.2, Draws(0, 0), "channels")
    for level in dropped:
        assert (level == level[:, :, :1, :1, :1]).all()
        torch.testing.assert_close(level.unique(), torch.tensor([0.0, 1.25]))
        assert float(level.mean()) == pytest.approx(1.0, abs=0.05)
    assert not torch.equal(dropped[0][:, :, 0], dropped[1][:, :, 0])
    assert mixing.drop_channels(clip, 0.0, Draws(0, 0), "channels") is clip
