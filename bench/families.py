"""The two families of comparisons on a board: B, everyone against the baseline; A, all pairs."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.stats import (
    Groups,
    PairTest,
    TTest,
    averaged_board_tests,
    cliques,
    detectable_difference,
    equivalent,
    holm_by_key,
    seeds_for_effect,
)
from bench.stats.checks import Floats

MIN_SEEDS = 3
"""Fewer seeds make no claim, whatever a formula would return."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`estimate` = accuracy of `a` minus accuracy of `b`, as a fraction, tested in one family.

    Attributes:
        a: index of the one.
        b: index of the other.
        family: "A" or "B".
        size: number of tests in the family.
        alpha: level of the family.
        margin: half-width of the region of practical equivalence, as a fraction; 0 for none.
        estimate: the paired difference over the common seeds.
        low: lower end of its 95 % interval (of this comparison alone); None where no claim is made.
        high: upper end.
        p: raw p; None where no claim is made.
        adjusted_p: Holm-adjusted p; None where no claim is made.
        test: the test behind it, of the pair in index order; None with too few seeds.
    """

    a: int
    b: int
    family: str
    size: int
    alpha: float
    margin: float
    estimate: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    test: TTest | None = None

    def significant(self, alpha: float) -> bool:
        """Whether the adjusted p is at most α."""
        return self.adjusted_p is not None and self.adjusted_p <= alpha

    @cached_property
    def detectable(self) -> float | None:
        """The difference found with 80 % power at α, were this the only test; None without a claim."""
        return None if self.test is None else detectable_difference(self.test.se, self.test.df, self.alpha)

    @cached_property
    def detectable_in_family(self) -> float | None:
        """The same at α / size, the strictest step of Holm."""
        if self.test is None:
            return None
        return detectable_difference(self.test.se, self.test.df, self.alpha / self.size)

    @cached_property
    def equivalent(self) -> bool | None:
        """Whether the 90 % interval lies in the region of practical equivalence."""
        return equivalent(self.test, self.margin) if self.test is not None and self.margin > 0 else None

    @cached_property
    def seeds_needed(self) -> int | None:
        """Seeds that would find `EFFECT` with 80 % power at α / size; None for more than 1000."""
        return None if self.test is None else _seeds_needed(self.test, self.alpha / self.size)


EFFECT = 0.05
"""The difference for which the page says how many seeds would show it: 5 points."""


@dataclass(frozen=True, kw_only=True)
class Families:
    """All comparisons of one board.

    Attributes:
        against_baseline: family B by index of the method; empty without a baseline.
        pairs: family A, (i, j) with i < j.
        groups: order, letters, rank intervals; with too few seeds only the order means something.
        tested: whether there were enough seeds and methods to test at all.
    """

    against_baseline: dict[int, Comparison]
    pairs: dict[tuple[int, int], Comparison]
    groups: Groups
    tested: bool

    def against(self, i: int, j: int) -> Comparison:
        """Method i minus method j, from family A."""
        return self.pairs[i, j] if i < j else _turned(self.pairs[j, i])

    def anything(self, alpha: float) -> bool:
        """Whether any comparison of either family is significant."""
        everything = [*self.against_baseline.values(), *self.pairs.values()]
        return any(comparison.significant(alpha) for comparison in everything)


def compare_all(
    correct: NDArray[np.bool_],
    baseline: int | None,
    *,
    unstable: Collection[int] = (),
    clusters: Sequence[Hashable] | None = None,
    weights: Floats | None = None,
    alpha: float = 0.05,
    margin: float = 0.01,
) -> Families:
    """Tests every pair of a board and adjusts each family by Holm.

    Args:
        correct: (methods, seeds, clips), rows joined by seed, columns by clip.
        baseline: index of the baseline, None where it has no result.
        unstable: methods with diverged seeds; their pairs are tested alone, see `pair_tests`.
        clusters: (clips,) source videos; None where every clip is its own.
        weights: (clips,) summing to 1; None for top-1.
        alpha: level of each family.
        margin: half-width of the region of practical equivalence, as a fraction.
    """
    means = (correct @ weights).mean(1) if weights is not None else correct.mean((1, 2))
    tested = correct.shape[1] >= MIN_SEEDS and len(correct) > 1
    tests = pair_tests(correct[None], unstable, clusters, weights) if tested else {}
    return two_families(means, tests, baseline, alpha=alpha, margin=margin)


def two_families(
    means: Floats,
    tests: Mapping[tuple[int, int], TTest],
    baseline: int | None,
    *,
    alpha: float,
    margin: float,
) -> Families:
    """Families A and B with groups, from the raw tests of all pairs.

    Args:
        means: (methods,) mean accuracies.
        tests: of every pair (i, j), i < j; empty where there were too few seeds to test.
        baseline: as in `compare_all`.
        alpha: as in `compare_all`.
        margin: as in `compare_all`.
    """
    keys = list(combinations(range(len(means)), 2))
    ours = [key for key in keys if baseline in key]
    tested = bool(tests)

    def family(name: str, members: list[tuple[int, int]]) -> dict[tuple[int, int], Comparison]:
        adjusted = holm_by_key({key: tests[key].p for key in members}) if tested else {}
        return {
            key: _comparison(key, name, len(members), tests.get(key), means, adjusted.get(key), alpha, margin)
            for key in members
        }

    pairs = family("A", keys)
    b: dict[int, Comparison] = {}
    for (i, j), comparison in family("B", ours).items():
        b[i if j == baseline else j] = comparison if j == baseline else _turned(comparison)
    groups = cliques(means, {key: comparison.adjusted_p for key, comparison in pairs.items()}, alpha)
    return Families(against_baseline=b, pairs=pairs, groups=groups, tested=tested)


def pair_tests(
    correct: NDArray[np.bool_],
    unstable: Collection[int] = (),
    clusters: Sequence[Hashable] | None = None,
    weights: Floats | None = None,
) -> dict[tuple[int, int], PairTest]:
    """The raw test of every pair, (budgets, methods, seeds, clips), budgets averaged inside a block.

    Stable methods lend each other seed variance (`board_tests`).  A method that diverged on some seeds and
    not on others varies by tens of points; lent to the other pairs, that variance would hide every real
    difference between methods that never diverged.  So its pairs are tested as pairs, and lend nothing.
    """
    methods = range(correct.shape[1])
    stable = [i for i in methods if i not in unstable]
    found: dict[tuple[int, int], PairTest] = {}
    if len(stable) > 1:
        for (a, b), test in averaged_board_tests(correct[:, stable], clusters, weights).items():
            found[stable[a], stable[b]] = test
    for pair in combinations(methods, 2):
        if pair not in found:
            found[pair] = averaged_board_tests(correct[:, list(pair)], clusters, weights)[0, 1]
    return found


def _comparison(
    key: tuple[int, int],
    family: str,
    size: int,
    test: TTest | None,
    means: Floats,
    adjusted_p: float | None,
    alpha: float,
    margin: float,
) -> Comparison:
    i, j = key
    return Comparison(
        a=i,
        b=j,
        family=family,
        size=size,
        alpha=alpha,
        margin=margin,
        estimate=float(means[i] - means[j]) if test is None else test.estimate,
        low=test.low if test else None,
        high=test.high if test else None,
        p=test.p if test else None,
        adjusted_p=adjusted_p,
        test=test,
    )


def _seeds_needed(test: TTest, alpha: float) -> int | None:
    if not isinstance(test, PairTest) or test.se is None:
        return None
    if not test.seed_variance or test.clip_variance is None:
        return None
    return seeds_for_effect(
        EFFECT,
        test.seed_variance,
        test.clip_variance,
        alpha=alpha,
        max_df=test.n_clusters - 1.0,
        prior_df=test.prior_df,
    )


def _turned(c: Comparison) -> Comparison:
    """The same comparison seen from the other side."""
    return replace(
        c,
        a=c.b,
        b=c.a,
        estimate=-c.estimate + 0.0,  # + 0.0: never a negative zero
        low=None if c.high is None else -c.high,
        high=None if c.low is None else -c.low,
    )
