"""Draws of methods depend on (seed, step, purpose) alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.draws import Draws


@given(n=st.integers(1, 40), data=st.data(), seed=st.integers(0, 9999))
def test_ranges(n: int, data: st.DataObject, seed: int) -> None:
    draws, k = Draws(seed, 1), data.draw(st.integers(0, n))
    assert sorted(draws.permutation(n).tolist()) == list(range(n))
    subset = draws.subset(n, k, "some").tolist()
    assert len(set(subset)) == k
    assert subset == sorted(subset)
    assert all(0 <= i < n for i in subset)
    assert -n <= draws.integer(-n, n, "number") <= n
    assert 0 < draws.beta(10.0, 10.0) < 1
    assert draws.choice("abc", "letter") in "abc"


def test_the_same_place_gives_the_same_draw_and_any_other_another() -> None:
    here = Draws(1, 2).permutation(50, "a")
    assert torch.equal(here, Draws(1, 2).permutation(50, "a"))
    for other in (
        Draws(1, 2).permutation(50, "b"),
        Draws(1, 3).permutation(50, "a"),
        Draws(2, 2).permutation(50, "a"),
    ):
        assert not torch.equal(here, other)


def test_a_draw_moves_no_other_one() -> None:
    alone, after = Draws(1, 2), Draws(1, 2)
    after.beta(1.0, 1.0)
    after.integer(0, 9, "x")
    assert torch.equal(alone.dropout((4, 4), 0.5, "d"), after.dropout((4, 4), 0.5, "d"))


def test_dropout_keeps_the_mean_and_both_ends_of_a_range_are_reached() -> None:
    kept = Draws(0, 0).dropout((200, 200), 0.25, "d")
    torch.testing.assert_close(kept.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.01)
    assert {Draws(0, step).integer(3, 5, "i") for step in range(60)} == {3, 4, 5}
