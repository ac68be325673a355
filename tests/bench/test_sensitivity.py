"""What missing and diverged trials could change, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.records import ClipList
from bench.sensitivity import sensitivity

CLIPS = tuple(f"c{i}" for i in range(8))
SCORED = ClipList(CLIPS, np.array([0, 0, 1, 1, 2, 2, 3, 3]), CLIPS, "digest")
CHANCE = np.array([1, 1, 0, 0, 0, 0, 0, 0], dtype=bool)


def answers(*right: int) -> np.ndarray:
    return np.isin(np.arange(8), right)


A = {0: answers(0, 1, 2, 3), 1: answers(0, 1, 2, 3, 4, 5), 2: answers(0, 2)}
B = {0: answers(0, 1, 2), 1: answers(3, 4)}


def test_nothing_missing_and_nothing_diverged_has_no_sensitivity() -> None:
    assert sensitivity(A, {**B, 2: answers(1)}, (), SCORED) is None


def test_a_missing_rival_is_at_chance_at_best_and_as_good_as_any_run_at_worst() -> None:
    found = sensitivity(A, B, (), SCORED)
    assert found.one_sided == (2,) and found.without_diverged is None
    # Seeds 0 and 1 differ by 1/8 and 4/8; seed 2 has A at 2/8 and B at 6/8 (worst) or at chance, 2/8 (best).
    assert found.worst.estimate == pytest.approx((1 / 8 + 4 / 8 - 4 / 8) / 3)
    assert found.best.estimate == pytest.approx((1 / 8 + 4 / 8 + 0) / 3)


def test_swapping_the_sides_swaps_worst_and_best() -> None:
    one, two = sensitivity(A, B, (), SCORED), sensitivity(B, A, (), SCORED)
    assert one.worst.estimate == pytest.approx(-two.best.estimate)
    assert one.best.estimate == pytest.approx(-two.worst.estimate)


def test_diverged_seeds_can_be_left_out() -> None:
    found = sensitivity({**A, 2: CHANCE}, {**B, 2: answers(0, 1, 2, 3)}, (2,), SCORED)
    assert found.one_sided == () and found.worst is None
    assert found.without_diverged.estimate == pytest.approx((1 / 8 + 4 / 8) / 2)


def test_weights_make_it_about_the_mean_of_classes() -> None:
    weights = np.array([0.25, 0.25, 0.5, 0, 0, 0, 0, 0])
    found = sensitivity(A, B, (), SCORED, weights)
    # Weighted scores: A 1, 1, .75; B 1, 0; the best run has 1, chance has .5.
    assert found.worst.estimate == pytest.approx((0 + 1 - 0.25) / 3)
    assert found.best.estimate == pytest.approx((0 + 1 + 0.25) / 3)
