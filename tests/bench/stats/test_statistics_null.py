"""False marks on simulated cells of methods that are equal by construction (bounded, seeded)."""

from __future__ import annotations

import numpy as np

from bench import stats


def equal_methods(rng, methods, seeds, clips, noise):
    """Correctness of methods with one true accuracy: clips differ in difficulty, runs in luck.

    `noise` (methods,) is each method's standard deviation over seeds on the logit scale.
    """
    difficulty = rng.normal(0.8, 1.5, size=clips) + rng.normal(0, 0.7, size=(methods, 1, clips))
    luck = rng.normal(size=(methods, seeds, 1)) * np.reshape(noise, (methods, 1, 1))
    return rng.random((methods, seeds, clips)) < 1 / (1 + np.exp(-difficulty - luck))


def test_pair_test_keeps_its_level_with_five_seeds_and_a_hundred_clips() -> None:
    rng = np.random.default_rng(2024)
    marks = 0
    for _ in range(2000):
        a, b = equal_methods(rng, 2, 5, 100, [0.2, 0.2])
        p = stats.two_way_paired_t(a, b).p
        marks += p is not None and p <= 0.05
    assert 0.02 < marks / 2000 < 0.07


def test_board_of_eight_keeps_the_level_of_the_family_also_with_one_noisy_method() -> None:
    rng = np.random.default_rng(7)
    noise = np.full(8, 0.15)
    noise[0] *= 3
    marked = {"all pairs": 0, "against the baseline": 0}
    for _ in range(300):
        tests = stats.board_tests(equal_methods(rng, 8, 5, 100, noise))
        p = {pair: test.p for pair, test in tests.items()}
        families = {
            "all pairs": p,
            "against the baseline": {pair: value for pair, value in p.items() if pair[0] == 0},
        }
        for name, family in families.items():
            marked[name] += any(q is not None and q <= 0.05 for q in stats.holm_by_key(family).values())
    assert marked["all pairs"] / 300 <= 0.07
    assert marked["against the baseline"] / 300 <= 0.08
