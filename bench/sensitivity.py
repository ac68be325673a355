"""What missing and diverged trials could change about a difference: worst and best case.

A block (seed) counts for both methods or for neither.  Where one side of a block is missing, the block is
left out, which could favour the side that lost its bad runs; so the page says what the difference would be
had the missing runs come out at the worst and at the best that is plausible.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from bench.blocks import Outcomes, chance_pattern
from bench.records import ClipList
from bench.stats import PairTest, two_way_paired_t
from bench.stats.checks import Floats


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """A - B under other assumptions about the trials that are not there.

    Attributes:
        one_sided: the seeds that one of the two has finished and the other has not.
        worst: missing runs of A at chance level, those of B as good as the best run of the two; None where
            no seed is one-sided.
        best: the opposite.
        without_diverged: A - B over the seeds on which neither diverged; None where neither diverged, or no
            such seed is left.
    """

    one_sided: tuple[int, ...]
    worst: PairTest | None
    best: PairTest | None
    without_diverged: PairTest | None


def sensitivity(
    a: Outcomes, b: Outcomes, diverged: Collection[int], scored: ClipList, weights: Floats | None = None
) -> Sensitivity | None:
    """How far A - B depends on trials that are missing or diverged; None where none is.

    Args:
        a: answers of A by finished seed, diverged ones at chance.
        b: the same of B.
        diverged: seeds on which A or B diverged.
        scored: the clips.
        weights: (clips,) for mean per-class accuracy; None for top-1.
    """
    one_sided = tuple(sorted(a.keys() ^ b.keys()))
    both = a.keys() & b.keys()
    steady = sorted(both - set(diverged))

    def test(seeds: Collection[int], mine: Outcomes, theirs: Outcomes) -> PairTest:
        first, second = (np.stack([side[seed] for seed in seeds]) for side in (mine, theirs))
        return two_way_paired_t(first, second, scored.clusters, weights)

    worst = best = without = None
    if one_sided and both:
        runs = [*a.values(), *b.values()]
        top = max(runs, key=lambda run: float(run.mean() if weights is None else run @ weights))
        bottom = chance_pattern(scored)
        low, high = (dict.fromkeys(one_sided, fill) for fill in (bottom, top))
        seeds = sorted(a.keys() | b.keys())
        worst = test(seeds, {**low, **a}, {**high, **b})
        best = test(seeds, {**high, **a}, {**low, **b})
    if len(steady) < len(both) and steady:
        without = test(steady, a, b)
    if worst is None and without is None:
        return None
    return Sensitivity(one_sided=one_sided, worst=worst, best=best, without_diverged=without)
