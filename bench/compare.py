"""A head-to-head of two entries: the pair alone, so that it does not depend on who else is on the board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.blocks import one_clip_list, outcomes
from bench.board import Measure
from bench.families import EFFECT, MIN_SEEDS
from bench.gaps import ClassGap, ClipGap, Right, class_gaps, clip_gaps, swapped
from bench.mixing import mixtures
from bench.records import ClipList, Record
from bench.sensitivity import Sensitivity, sensitivity
from bench.stats import (
    MeanInterval,
    PairTest,
    TTest,
    averaged_board_tests,
    detectable_difference,
    equivalent,
    mean_interval,
    prob_superiority,
    seeds_for_effect,
    these_datasets,
    two_way_paired_t,
    weights_mean_per_class,
    wins_ties_losses,
)
from bench.stats.checks import Floats
from bench.suite import Suite
from datasets.errors import UserError, unknown_name

Cell = tuple[str, str]
"""(section, `data@labels`)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadToHead:
    """A against B on one cell.

    Attributes:
        a: label of the one entry.
        b: label of the other.
        seeds: the seeds that both have finished.
        scores_a: score of A by shared seed.
        scores_b: the same of B.
        mean_a: with its 95 % interval.
        mean_b: the same of B.
        difference: A - B, the two-way paired t of this pair; no claim below 3 seeds.
        record: wins, ties and losses of A over seeds.
        superiority: P(A > B) over all pairs of runs.
        equivalent: whether the 90 % interval lies in the region of practical equivalence.
        detectable: the true difference that would have been found with 80 % power.
        more_seeds: seeds beyond these that a difference of the observed size needs for a claim with 80 %
            power; 0 where a claim is made; None where no number up to 1000 suffices.
        more_for_effect: the same for a difference of `EFFECT`.
        classes: every class that has test clips, the largest gap first.
        only_a: clips that A gets right on more seeds than B, the clearest first.
        only_b: the opposite.
        shares: of all (seed, clip): only A right, only B right.
        sensitivity: what missing and diverged trials could change; None where there is none.
        cautions: what a reader must know.
    """

    section: str
    cell: str
    measure: Measure
    suite: Suite
    a: str
    b: str
    scored: ClipList
    seeds: tuple[int, ...]
    scores_a: Mapping[int, float]
    scores_b: Mapping[int, float]
    mean_a: MeanInterval
    mean_b: MeanInterval
    difference: PairTest
    record: tuple[int, int, int]
    superiority: float
    equivalent: bool | None
    detectable: float | None
    more_seeds: int | None
    more_for_effect: int | None
    classes: tuple[ClassGap, ...]
    only_a: tuple[ClipGap, ...]
    only_b: tuple[ClipGap, ...]
    shares: tuple[float, float]
    sensitivity: Sensitivity | None
    cautions: tuple[str, ...]

    @property
    def tested(self) -> bool:
        """Whether there are enough seeds for a claim, and p could be computed."""
        return len(self.seeds) >= MIN_SEEDS and self.difference.p is not None

    @property
    def significant(self) -> bool:
        """Whether the pair differs at the suite's level; one test, so nothing is adjusted."""
        return self.tested and (self.difference.p or 0.0) <= self.suite.alpha


@dataclass(frozen=True, kw_only=True, eq=False)
class Overview:
    """A against B on several cells, and on average over the data sets.

    `overall`: claim "these data sets", label budgets averaged inside each; None with one data set, or where
    a cell allows no claim.
    """

    cells: tuple[HeadToHead, ...]
    data: tuple[str, ...]
    overall: TTest | None


def shared_cells(
    records: Sequence[Record], a: str, b: str, *, data: str | None = None, labels: str | None = None,
    section: str | None = None,
) -> dict[Cell, tuple[list[Record], list[Record]]]:  # fmt: skip
    """The records of A and of B in every cell where both were planned.

    Args:
        records: of one run.
        a: label of an entry.
        b: label of another.
        data: only this data set.
        labels: only this label budget, as the suite writes it.
        section: only this section.

    Raises:
        UserError: for one and the same entry, an entry, data set, budget or section that the run does not
            have, or two entries that meet nowhere.
    """
    if a == b:
        raise UserError(f"'{a}' cannot be compared with itself; name two entries.")
    _known("entry", (a, b), (r.planned.entry for r in records), "compare")
    _known("section", (section,), (r.planned.section for r in records), "--section")
    _known("data set", (data,), (_parts(r)[0] for r in records), "--dataset")
    _known("label budget", (labels,), (_parts(r)[1] for r in records), "--fraction")
    cells: dict[Cell, tuple[list[Record], list[Record]]] = {}
    for record in records:
        place = (record.planned.section, record.planned.cell)
        wanted = section in (None, place[0]) and data in (None, _parts(record)[0])
        if wanted and labels in (None, _parts(record)[1]) and record.planned.entry in (a, b):
            cells.setdefault(place, ([], []))[record.planned.entry == b].append(record)
    both = {place: pair for place, pair in cells.items() if all(pair)}
    if not both:
        chosen = ", ".join(filter(None, (section, data, labels)))
        raise UserError(
            f"'{a}' and '{b}' were not planned together on any cell"
            + (f" of {chosen}" if chosen else "")
            + "; choose others, or run them first: python -m bench run --methods ..."
        )
    return both


def _known(kind: str, given: Sequence[str | None], known: Iterable[str], where: str) -> None:
    names = set(known)
    for name in given:
        if name is not None and name not in names:
            raise unknown_name(kind, name, names, where)


def _parts(record: Record) -> tuple[str, str]:
    data, _, labels = record.planned.cell.rpartition("@")
    return data, labels


def head_to_head(
    mine: Sequence[Record], theirs: Sequence[Record], suite: Suite, measure: Measure = "top1"
) -> HeadToHead:
    """A against B on one cell.

    Args:
        mine: the records of A, one per seed.
        theirs: the records of B.
        suite: for α and the region of practical equivalence.
        measure: top-1 or mean per-class accuracy.

    Raises:
        UserError: where they have no finished seed in common, or were scored on different clips.
    """
    first = mine[0].planned
    a, b = first.entry, theirs[0].planned.entry
    admitted = [[r for r in side if r.barred is None] for side in (mine, theirs)]
    scored = one_clip_list([record for side in admitted for record in side])
    sides = [outcomes(side, scored) for side in admitted]
    seeds = tuple(sorted(sides[0].keys() & sides[1].keys()))
    if scored is None or not seeds:
        raise UserError(_nothing_shared(a, b, first.cell, [*mine, *theirs]))
    weights = weights_mean_per_class(scored.labels) if measure == "mean_class" else None
    right_a, right_b = (np.stack([side[seed] for seed in seeds]) for side in sides)
    scores_a, scores_b = (_scores(right, weights) for right in (right_a, right_b))
    test = two_way_paired_t(right_a, right_b, scored.clusters, weights)
    diverged = {r.planned.seed for side in admitted for r in side if r.status == "diverged"}
    return HeadToHead(
        section=first.section,
        cell=first.cell,
        measure=measure,
        suite=suite,
        a=a,
        b=b,
        scored=scored,
        seeds=seeds,
        scores_a=dict(zip(seeds, scores_a, strict=True)),
        scores_b=dict(zip(seeds, scores_b, strict=True)),
        mean_a=mean_interval(right_a, scored.clusters, weights),
        mean_b=mean_interval(right_b, scored.clusters, weights),
        difference=test,
        record=wins_ties_losses(scores_a, scores_b),
        superiority=prob_superiority(scores_a, scores_b),
        equivalent=_equivalent(test, len(seeds), suite),
        detectable=detectable_difference(test.se, test.df, suite.alpha) if len(seeds) >= MIN_SEEDS else None,
        more_seeds=_more_seeds(test, test.estimate, suite.alpha),
        more_for_effect=_more_seeds(test, EFFECT, suite.alpha),
        classes=class_gaps(right_a, right_b, scored),
        only_a=clip_gaps(right_a, right_b, scored),
        only_b=swapped(clip_gaps(right_b, right_a, scored)),
        shares=(float((right_a & ~right_b).mean()), float((right_b & ~right_a).mean())),
        sensitivity=sensitivity(sides[0], sides[1], diverged, scored, weights),
        cautions=_cautions(admitted, [*mine, *theirs], seeds),
    )


def over_data_sets(
    cells: Mapping[Cell, tuple[Sequence[Record], Sequence[Record]]], suite: Suite, measure: Measure = "top1"
) -> Overview:
    """A against B on every cell of one section, and on average over the data sets.

    Raises:
        UserError: as `head_to_head`, or where two budgets of a data set have different test clips.
    """
    found = [head_to_head(mine, theirs, suite, measure) for mine, theirs in cells.values()]
    data = tuple(dict.fromkeys(cell.cell.rpartition("@")[0] for cell in found))
    usable = len(data) > 1 and len({cell.section for cell in found}) == 1
    pinned = any(cell.cell.endswith("@list") for cell in found)
    if not usable or pinned or not all(cell.tested for cell in found):
        return Overview(cells=tuple(found), data=data, overall=None)
    tests = [
        _one_data_set([pair for place, pair in cells.items() if _data(place) == d], measure) for d in data
    ]
    overall = these_datasets([test for test in tests if test is not None]) if all(tests) else None
    return Overview(cells=tuple(found), data=data, overall=overall)


def _data(place: Cell) -> str:
    return place[1].rpartition("@")[0]


def _one_data_set(
    pairs: Sequence[tuple[Sequence[Record], Sequence[Record]]], measure: Measure
) -> PairTest | None:
    """The pair on the mean of a data set's budgets, over the seeds that all of them have."""
    records = [r for pair in pairs for side in pair for r in side if r.barred is None]
    scored = one_clip_list(records)
    if scored is None:
        return None
    sides = [[outcomes([r for r in side if r.barred is None], scored) for side in pair] for pair in pairs]
    seeds = sorted(set.intersection(*(set(side) for pair in sides for side in pair)))
    if len(seeds) < MIN_SEEDS:
        return None
    weights = weights_mean_per_class(scored.labels) if measure == "mean_class" else None
    correct = np.array([[[side[seed] for seed in seeds] for side in pair] for pair in sides])
    return averaged_board_tests(correct, scored.clusters, weights)[0, 1]


def _nothing_shared(a: str, b: str, cell: str, records: Sequence[Record]) -> str:
    barred = next((r.barred for r in records if r.barred is not None and r.status == "done"), None)
    why = f"; a finished trial {barred}, so it does not count" if barred else ""
    return (
        f"'{a}' and '{b}' have no finished seed in common on {cell}{why}; run them first with the same "
        f"--seeds: python -m bench run --methods {a},{b}"
    )


def _scores(right: Right, weights: Floats | None) -> list[float]:
    return [float(score) for score in (right.mean(1) if weights is None else right @ weights)]


def _equivalent(test: PairTest, seeds: int, suite: Suite) -> bool | None:
    margin = suite.equivalence_points / 100
    return equivalent(test, margin) if margin > 0 and seeds >= MIN_SEEDS else None


def _more_seeds(test: PairTest, effect: float, alpha: float) -> int | None:
    """Seeds beyond those of the test that an effect needs; 0 where the test has enough."""
    if test.p is not None and test.n_seeds >= MIN_SEEDS and test.p <= alpha and effect == test.estimate:
        return 0
    if not effect or not test.seed_variance or test.clip_variance is None:
        return None
    total = seeds_for_effect(
        effect, test.seed_variance, test.clip_variance, alpha=alpha, max_df=test.n_clusters - 1.0
    )
    return None if total is None else max(max(total, MIN_SEEDS) - test.n_seeds, 0)


def _cautions(
    admitted: Sequence[Sequence[Record]], planned: Sequence[Record], seeds: Sequence[int]
) -> tuple[str, ...]:
    """Roles that are not comparable, trials that do not count, and settings that differ."""
    said = []
    for record in {r.planned.entry: r for r in planned}.values():
        name = record.planned.entry
        if record.planned.role == "bound":
            said.append(f"{name} is a bound: it has all labels, so this is no comparison of methods.")
        elif record.planned.role == "reference":
            said.append(f"{name} is a reference: it differs in what the others share.")
    if planned[0].planned.cell.endswith("@list"):
        said.append("Conditional on this label draw: a published list fixes the labeled clips for all seeds.")
    special: dict[tuple[str, str], list[int]] = {}
    for record in planned:
        what = _what_became(record, seeds)
        if what:
            special.setdefault((record.planned.entry, what), []).append(record.planned.seed)
    for (entry, what), which in special.items():
        numbers = ", ".join(map(str, sorted(which)))
        said.append(f"{entry}, {'seed' if len(which) == 1 else 'seeds'} {numbers}: {what}.")
    return (*said, *mixtures([record for side in admitted for record in side]))


def _what_became(record: Record, seeds: Sequence[int]) -> str:
    """What a reader must know of one trial; empty for one that is done and counts."""
    if record.barred is not None and record.status == "done":
        return f"does not count, since it {record.barred}"
    if record.status == "diverged":
        return "diverged, scored at chance level" if record.planned.seed in seeds else "diverged"
    return f"no result ({record.cause})" if record.status in ("failed", "missing") else ""
