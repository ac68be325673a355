"""Claim G, "new data sets": would a difference hold on data sets that nobody has run yet?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.stats import (
    Friedman,
    SignedRank,
    friedman,
    holm_by_key,
    nemenyi_cd,
    wilcoxon_over_datasets,
)
from bench.stats.checks import Floats
from bench.stats.signed_rank import LEAST_DATASETS

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class RankComparison:
    """Method `a` minus method `b` by signed ranks over data sets, by index."""

    a: int
    b: int
    estimate: float
    test: SignedRank
    adjusted_p: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class NewDatasets:
    """Claim G: would it hold on other data sets?

    Attributes:
        against_baseline: family B, by index of the method.
        pairs: family A.
        omnibus: Friedman over all methods, which says only that some differ; None for two methods.
        critical_difference: Nemenyi's, of average ranks, for display; None for two methods.
    """

    against_baseline: Mapping[int, RankComparison]
    pairs: Mapping[Pair, RankComparison]
    omnibus: Friedman | None
    critical_difference: float | None


def new_datasets(scores: Floats, base: int | None, alpha: float) -> NewDatasets | None:
    """Signed ranks of the data sets' mean differences, Holm within each family.

    Args:
        scores: (data sets, methods) mean score of each, label budgets averaged.
        base: index of the baseline; None without one.
        alpha: level of the critical difference.

    Returns:
        None with fewer than six data sets or two methods: no p could be small enough.
    """
    if len(scores) < LEAST_DATASETS or scores.shape[1] < 2:
        return None
    methods = scores.shape[1]
    keys = list(combinations(range(methods), 2))
    tests = {(i, j): wilcoxon_over_datasets(scores[:, i] - scores[:, j]) for i, j in keys}

    def family(members: Sequence[Pair]) -> dict[Pair, RankComparison]:
        adjusted = holm_by_key({key: tests[key].p for key in members})
        return {
            (i, j): RankComparison(
                a=i,
                b=j,
                estimate=float((scores[:, i] - scores[:, j]).mean()),
                test=tests[i, j],
                adjusted_p=adjusted[i, j],
            )
            for i, j in members
        }

    ours = family([key for key in keys if base in key])
    return NewDatasets(
        against_baseline={
            i if j == base else j: _seen_from(i if j == base else j, c) for (i, j), c in ours.items()
        },
        pairs=family(keys),
        omnibus=friedman(scores) if methods > 2 else None,
        critical_difference=nemenyi_cd(methods, len(scores), alpha) if methods > 2 else None,
    )


def _seen_from(index: int, c: RankComparison) -> RankComparison:
    """The comparison with `index` as its first method."""
    if c.a == index:
        return c
    return RankComparison(a=c.b, b=c.a, estimate=-c.estimate + 0.0, test=c.test, adjusted_p=c.adjusted_p)
