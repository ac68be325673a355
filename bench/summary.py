"""The summary of a section over its data sets: "these data sets", and from six on "new data sets".

Label budgets of one data set are averaged inside a block (data set, seed); they are never further data
sets.  Entries that some budget lacks are ranked in a summary of a budget that has them.  Boards on a pinned
label draw stay out.  Pure functions over boards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.blocks import Outcomes, outcomes
from bench.board import RANKED, Board, Measure
from bench.families import MIN_SEEDS, Comparison, Families, pair_tests, two_families
from bench.new_datasets import NewDatasets, new_datasets
from bench.records import ClipList
from bench.stats import (
    SignFlip,
    TTest,
    averaged_mean_interval,
    sign_flip_test,
    these_datasets,
    weights_mean_per_class,
    wins_ties_losses,
)
from bench.stats.checks import Floats
from bench.suite import Entry, Suite
from datasets.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class SummaryRow:
    """One entry over all data sets.

    Attributes:
        entry: the suite's entry.
        scores: mean score by data set.
        mean: their mean, with an interval over new seeds and clips of these data sets.
        to_baseline: family B; None for the baseline itself and without one.
        to_best: family A; None for the best row.
        flips: sign flips of the blocks against the baseline, a check without normal distributions.
        record: wins, ties and losses over blocks against the baseline.
        ranks: rank interval; None where nothing was tested.
        letters: group letters; empty where nothing was tested.
        bold: as on a board.
        diverged: on how many data sets a trial of it diverged.
    """

    entry: Entry
    scores: Mapping[str, float]
    mean: TTest
    to_baseline: Comparison | None = None
    to_best: Comparison | None = None
    flips: SignFlip | None = None
    record: tuple[int, int, int] | None = None
    ranks: tuple[int, int] | None = None
    letters: str = ""
    bold: bool = False
    diverged: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Summary:
    """A section over its data sets.

    Attributes:
        cells: the boards behind it, `data@labels`.
        labels: the one label budget that it is of; empty for all of them.
        seeds: by data set, the seeds that all ranked entries have at all of its budgets.
        ranked: from the highest mean down.
        unranked: entries that lack `MIN_SEEDS` seeds somewhere -> the cells where they do.
        order: labels by the index that `families` and `new` use: the suite's order.
        families: None where nothing could be tested; `reason` says why.
        new: None with fewer than six data sets.
        shared: pairs of data sets with the number of test clips that have one name in both, where any do.
    """

    section: str
    suite: Suite
    measure: Measure
    data: tuple[str, ...]
    cells: tuple[str, ...]
    seeds: Mapping[str, tuple[int, ...]]
    ranked: tuple[SummaryRow, ...]
    unranked: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]
    families: Families | None
    new: NewDatasets | None
    reason: str = ""
    labels: str = ""
    shared: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class _DataSet:
    """One data set: `correct` (budgets, methods, seeds, clips)."""

    name: str
    scored: ClipList
    seeds: tuple[int, ...]
    correct: NDArray[np.bool_]
    weights: Floats | None
    unstable: frozenset[int]

    @property
    def scores(self) -> Floats:
        """(methods, seeds) scores, budgets averaged."""
        if self.weights is None:
            return np.asarray(self.correct.mean((0, 3)), dtype=np.float64)
        return np.asarray((self.correct @ self.weights).mean(0), dtype=np.float64)


def summaries(boards: Sequence[Board]) -> tuple[Summary, ...]:
    """The summaries of every section with results on at least two data sets, by measure.

    One over all label budgets; where that leaves entries out, one more for each budget that ranks such.
    Where some data set has a board on the mean per class, all its section's cells are summarised on it too;
    on the balanced ones it is top-1.  Several pages ask for the same ones, so the last are kept.
    """
    return _summaries(tuple(boards))


@lru_cache(maxsize=1)
def _summaries(boards: tuple[Board, ...]) -> tuple[Summary, ...]:
    found: list[Summary] = []
    for name in dict.fromkeys(board.section for board in boards):
        mine = [board for board in boards if board.section == name]
        found += _with_budgets([board for board in mine if board.measure == "top1"], "top1")
        if any(board.measure == "mean_class" for board in mine):
            by_class = {b.cell: b for b in sorted(mine, key=lambda board: board.measure == "mean_class")}
            found += _with_budgets(list(by_class.values()), "mean_class")
    return tuple(found)


def _with_budgets(boards: Sequence[Board], measure: Measure) -> list[Summary]:
    whole = summarize(boards, measure)
    if whole is None:
        return []
    found = [whole]
    for labels in dict.fromkeys(board.labels for board in boards) if whole.unranked else ():
        own = summarize([board for board in boards if board.labels == labels], measure)
        if own is not None and own.ranked and not set(own.order) <= set(whole.order):
            found.append(replace(own, labels=labels))
    return found


def summarize(boards: Sequence[Board], measure: Measure = "top1") -> Summary | None:
    """The summary of the boards of one section, one per cell; None with fewer than two data sets.

    Raises:
        UserError: where budgets of one data set were scored on different clips.
    """
    used = [board for board in boards if not board.pinned and board.ranked and board.scored is not None]
    data = tuple(dict.fromkeys(board.data for board in used))
    if len(data) < 2:
        return None
    answers = {board.cell: _answers(board) for board in used}
    section = used[0].suite.sections[used[0].section]
    labels = [
        e.label for e in section.entries if e.role in RANKED and any(e.label in a for a in answers.values())
    ]
    lacking = {
        label: tuple(cell for cell, found in answers.items() if len(found.get(label, {})) < MIN_SEEDS)
        for label in labels
    }
    order = tuple(label for label in labels if not lacking[label])
    seeds = {name: _common(name, used, answers, order) for name in data}
    reason = _why_not(order, seeds)
    rows: tuple[SummaryRow, ...] = ()
    families = new = None
    if not reason:
        sets = [_data_set(name, used, answers, order, seeds[name], measure) for name in data]
        entries = {entry.label: entry for entry in section.entries}
        base = order.index(section.baseline.label) if section.baseline.label in order else None
        families = _these(sets, base, used[0].suite)
        rows = _rows(sets, [entries[label] for label in order], base, families)
        scores = np.array([d.scores.mean(1) for d in sets])
        new = new_datasets(scores, base, used[0].suite.alpha)
    return Summary(
        section=used[0].section,
        suite=used[0].suite,
        measure=measure,
        data=data,
        cells=tuple(answers),
        seeds=seeds,
        ranked=rows,
        unranked={label: cells for label, cells in lacking.items() if cells},
        order=order,
        families=families,
        new=new,
        reason=reason,
        shared=_shared({board.data: set(board.scored.clips) for board in used if board.scored is not None}),
    )


def _shared(clips: Mapping[str, set[str]]) -> tuple[tuple[str, str, int], ...]:
    pairs = [(one, other, len(clips[one] & clips[other])) for one, other in combinations(clips, 2)]
    return tuple(pair for pair in pairs if pair[2])


def _answers(board: Board) -> dict[str, Outcomes]:
    rows = (*board.ranked, *board.unranked)
    return {row.entry.label: outcomes(row.records, board.scored) for row in rows}


def _common(
    name: str, boards: Sequence[Board], answers: Mapping[str, Mapping[str, Outcomes]], order: Sequence[str]
) -> tuple[int, ...]:
    """The seeds that all these entries have finished at all budgets of a data set."""
    cells = [board.cell for board in boards if board.data == name]
    found = [set(answers[cell][label]) for cell in cells for label in order]
    return tuple(sorted(set.intersection(*found))) if found else ()


def _why_not(order: Sequence[str], seeds: Mapping[str, tuple[int, ...]]) -> str:
    if len(order) < 2:
        return f"fewer than two entries have {MIN_SEEDS} finished seeds on all data sets"
    few = [name for name, common in seeds.items() if len(common) < MIN_SEEDS]
    return f"the entries have fewer than {MIN_SEEDS} seeds in common on {', '.join(few)}" if few else ""


def _data_set(
    name: str,
    boards: Sequence[Board],
    answers: Mapping[str, Mapping[str, Outcomes]],
    order: Sequence[str],
    seeds: tuple[int, ...],
    measure: Measure,
) -> _DataSet:
    mine = [board for board in boards if board.data == name]
    lists = {board.scored.digest: board.scored for board in mine if board.scored is not None}
    if len(lists) > 1:
        raise UserError(
            f"the label budgets of '{name}' ({', '.join(board.labels for board in mine)}) were scored on "
            "different clips; they cannot share a summary: plan and run again with one list of test clips."
        )
    scored = next(iter(lists.values()))
    correct = [[[answers[board.cell][label][seed] for seed in seeds] for label in order] for board in mine]
    diverged = {row.entry.label for board in mine for row in board.rows if row.diverged}
    return _DataSet(
        name=name,
        scored=scored,
        seeds=seeds,
        correct=np.array(correct, dtype=np.bool_),
        weights=weights_mean_per_class(scored.labels) if measure == "mean_class" else None,
        unstable=frozenset(i for i, label in enumerate(order) if label in diverged),
    )


def _these(sets: Sequence[_DataSet], base: int | None, suite: Suite) -> Families:
    """Both families on the mean over these data sets."""
    tests = [pair_tests(d.correct, d.unstable, d.scored.clusters, d.weights) for d in sets]
    pooled = {pair: these_datasets([found[pair] for found in tests]) for pair in tests[0]}
    means = np.mean([d.scores.mean(1) for d in sets], axis=0)
    return two_families(means, pooled, base, alpha=suite.alpha, margin=suite.equivalence_points / 100)


def _rows(
    sets: Sequence[_DataSet], entries: Sequence[Entry], base: int | None, families: Families
) -> tuple[SummaryRow, ...]:
    groups, best = families.groups, families.groups.order[0]
    rows = []
    for i in groups.order:
        diverged = sum(i in d.unstable for d in sets)
        means = [averaged_mean_interval(d.correct[:, i], d.scored.clusters, d.weights) for d in sets]
        flips, record = (None, None) if base is None or i == base else _blocks(sets, i, base)
        rows.append(
            SummaryRow(
                entry=entries[i],
                scores={d.name: float(d.scores[i].mean()) for d in sets},
                mean=these_datasets(means),
                to_baseline=families.against_baseline.get(i),
                to_best=families.against(i, best) if i != best else None,
                flips=flips,
                record=record,
                ranks=groups.rank_intervals[i],
                letters=groups.letters[i],
                bold=groups.distinguishable and i in groups.best_group and not diverged,
                diverged=diverged,
            )
        )
    return tuple(rows)


def _blocks(sets: Sequence[_DataSet], i: int, base: int) -> tuple[SignFlip, tuple[int, int, int]]:
    """Sign flips and wins over the blocks (data set, seed); data sets weigh equally."""
    mine = np.concatenate([d.scores[i] for d in sets])
    theirs = np.concatenate([d.scores[base] for d in sets])
    strata = [d.name for d in sets for _ in d.seeds]
    return sign_flip_test(mine - theirs, strata), wins_ties_losses(mine, theirs)
