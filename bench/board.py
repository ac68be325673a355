"""From records to leaderboards: who is compared with whom, on which seeds.  Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.blocks import Outcomes, common_seeds, one_clip_list, outcomes
from bench.families import Comparison, Families, compare_all
from bench.records import ClipList, Record
from bench.sensitivity import Sensitivity, sensitivity
from bench.stats import (
    MeanInterval,
    mean_interval,
    prob_superiority,
    weights_mean_per_class,
    wins_ties_losses,
)
from bench.stats.checks import Floats
from bench.suite import Entry, Section, Suite
from datasets.audit import AuditFinding
from datasets.errors import UserError, unknown_name

RANKED = ("competitor", "baseline")
Measure = Literal["top1", "mean_class"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One entry on one board.

    Attributes:
        entry: the suite's entry.
        records: one per planned seed, by seed.
        scores: score per finished seed (a diverged one at chance level).
        used: the seeds behind `mean`: those common to the ranked rows, or all finished ones elsewhere.
        mean: with 95 % interval; None without a finished seed.
        to_baseline: family B for ranked rows; None for the baseline and where nothing is ranked.
        to_best: family A; None for the best row itself and for unranked rows.
        gap: untested difference to the baseline over shared seeds, for rows outside the families.
        record: wins, ties and losses over seeds against the baseline.
        superiority: P(this row > baseline) over all pairs of runs, ties counted half.
        sensitivity: the difference to the baseline had missing trials come out badly or well.
        ranks: rank interval; None where nothing was tested.
        letters: group letters; empty where nothing was tested.
        bold: in the best group of a board on which some pair is distinguishable, and never diverged: a row
            that fails on some seeds is "not shown to be worse" only because it is so uncertain.
    """

    entry: Entry
    records: tuple[Record, ...]
    scores: Mapping[int, float]
    used: tuple[int, ...]
    mean: MeanInterval | None
    to_baseline: Comparison | None = None
    to_best: Comparison | None = None
    gap: float | None = None
    record: tuple[int, int, int] | None = None
    superiority: float | None = None
    sensitivity: Sensitivity | None = None
    ranks: tuple[int, int] | None = None
    letters: str = ""
    bold: bool = False

    @property
    def planned(self) -> int:
        """Planned seeds."""
        return len(self.records)

    @property
    def finished(self) -> tuple[Record, ...]:
        """Records with an outcome: done, or diverged."""
        return tuple(record for record in self.records if record.status in ("done", "diverged"))

    @property
    def diverged(self) -> tuple[int, ...]:
        """Seeds that diverged."""
        return tuple(record.planned.seed for record in self.records if record.status == "diverged")


@dataclass(frozen=True, kw_only=True, eq=False)
class Board:
    """All rows of one cell of one section.

    Attributes:
        ranked: from the highest mean down.
        unranked: competitors and baseline with too few seeds to be compared, in the suite's order.
        bounds: shown, in no family.
        references: shown, in no family.
        seeds: the seeds on which the ranked rows are compared.
        barred: how many finished trials were kept off, by reason.
        findings: what an audit found of its data set: leaks, flaws, notes.
        accepted: whether somebody has accepted its leaks, with --accept-leak.
    """

    section: str
    data: str
    labels: str
    suite: Suite
    measure: Measure
    scored: ClipList | None
    ranked: tuple[Row, ...]
    unranked: tuple[Row, ...]
    bounds: tuple[Row, ...]
    references: tuple[Row, ...]
    seeds: tuple[int, ...]
    families: Families | None
    barred: Mapping[str, int]
    findings: tuple[AuditFinding, ...] = ()
    accepted: bool = False

    @property
    def cell(self) -> str:
        """`data@labels`."""
        return f"{self.data}@{self.labels}"

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows."""
        return (*self.ranked, *self.unranked, *self.bounds, *self.references)

    @property
    def tested(self) -> bool:
        """Whether there were enough seeds and rows to test."""
        return self.families is not None and self.families.tested

    @property
    def baseline(self) -> Row | None:
        """The ranked row that family B compares with; None where it has no result yet."""
        return next((row for row in self.ranked if row.entry.role == "baseline"), None)

    @property
    def balanced(self) -> bool:
        """Whether every class has as many test clips, so that top-1 is the mean per class."""
        if self.scored is None:
            return True
        sizes = np.bincount(self.scored.labels)
        return len(set(sizes[sizes > 0].tolist())) == 1

    @property
    def pinned(self) -> bool:
        """Whether a published list fixes the labeled clips for all seeds."""
        return self.labels == "list"


def build_boards(records: Sequence[Record], suite: Suite, measure: Measure = "top1") -> tuple[Board, ...]:
    """One board per section and cell, data set by data set; the order of the records does not matter.

    Raises:
        UserError: for records that the suite does not know, a trial listed twice for one place, or
            predictions of different clips on one board.
    """
    cells: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        cells.setdefault((record.planned.section, record.planned.cell), []).append(record)
    return tuple(
        _board(section, cell, cells[section, cell], suite, measure)
        for section, cell in sorted(cells, key=lambda place: _place(place, suite))
    )


def all_boards(records: Sequence[Record], suite: Suite) -> tuple[Board, ...]:
    """The boards on top-1, each followed by its board on mean per-class accuracy where that differs.

    With equally many test clips in every class the two measures are one number, and so is the board.

    Raises:
        UserError: as `build_boards`.
    """
    found: list[Board] = []
    for board in build_boards(records, suite):
        found.append(board)
        if not board.balanced:
            place = (board.section, board.cell)
            mine = [r for r in records if (r.planned.section, r.planned.cell) == place]
            found += build_boards(mine, suite, "mean_class")
    return tuple(found)


def _place(place: tuple[str, str], suite: Suite) -> tuple[int, int, int, str]:
    """Where a cell comes: sections and data sets in the order of the suite, then budgets."""
    section, cell = place
    names = list(suite.sections)
    if section not in names:
        raise unknown_name("section", section, names, f"suite '{suite.name}'")
    tasks = suite.sections[section].tasks
    data = list(dict.fromkeys(task.data for task in tasks))
    listed = [name for task in tasks for name in task.cells]
    mine = cell.rpartition("@")[0]
    return (
        names.index(section),
        data.index(mine) if mine in data else len(data),
        listed.index(cell) if cell in listed else len(listed),
        cell,
    )


def _board(name: str, cell: str, records: Sequence[Record], suite: Suite, measure: Measure) -> Board:
    section = suite.sections[name]
    admitted = [record for record in records if record.barred is None]
    barred = Counter(r.barred for r in records if r.barred is not None and r.status == "done")
    scored = one_clip_list(admitted)
    by_entry = _by_entry(admitted, section, name, suite)
    answers = {label: outcomes(mine, scored) for label, mine in by_entry.items()}
    weights = None
    if measure == "mean_class" and scored is not None:
        weights = weights_mean_per_class(scored.labels)
    maker = _RowMaker(section, by_entry, answers, scored, weights)
    ranked_labels = [e.label for e in section.entries if e.role in RANKED and e.label in by_entry]
    compared, seeds = common_seeds({label: set(answers[label]) for label in ranked_labels})
    families = maker.compare(compared, seeds, suite) if compared else None
    data, _, labels = cell.rpartition("@")
    return Board(
        section=name,
        data=data,
        labels=labels,
        suite=suite,
        measure=measure,
        scored=scored,
        ranked=maker.ranked(compared, seeds, families) if families else (),
        unranked=tuple(maker.alone(label) for label in ranked_labels if label not in compared),
        bounds=maker.of_role("bound"),
        references=maker.of_role("reference"),
        seeds=seeds,
        families=families,
        barred=dict(sorted(barred.items())),
    )


def _by_entry(
    records: Sequence[Record], section: Section, name: str, suite: Suite
) -> dict[str, tuple[Record, ...]]:
    labels = [entry.label for entry in section.entries]
    found: dict[str, dict[int, Record]] = {}
    for record in records:
        planned = record.planned
        if planned.entry not in labels:
            where = f"suite '{suite.name}', section '{name}' (the plan is older than the suite: run again)"
            raise unknown_name("entry", planned.entry, labels, where)
        seeds = found.setdefault(planned.entry, {})
        if planned.seed in seeds:
            raise UserError(f"'{planned.line}' has two records; plan again with one trial for it.")
        seeds[planned.seed] = record
    return {label: tuple(seeds[s] for s in sorted(seeds)) for label, seeds in found.items()}


@dataclass(frozen=True, eq=False)
class _RowMaker:
    """Makes the rows of one board."""

    section: Section
    records: Mapping[str, tuple[Record, ...]]
    outcomes: Mapping[str, Outcomes]
    scored: ClipList | None
    weights: Floats | None

    def _score(self, correct: NDArray[np.bool_]) -> float:
        return float(correct.mean() if self.weights is None else correct @ self.weights)

    def alone(self, label: str, seeds: tuple[int, ...] | None = None) -> Row:
        """A row without comparisons."""
        outcomes = self.outcomes[label]
        used = tuple(sorted(outcomes)) if seeds is None else seeds
        mean = None
        if used and self.scored is not None:
            stacked = np.stack([outcomes[seed] for seed in used])
            mean = mean_interval(stacked, self.scored.clusters, self.weights)
        return Row(
            entry=self._entry(label),
            records=self.records[label],
            scores={seed: self._score(correct) for seed, correct in sorted(outcomes.items())},
            used=used,
            mean=mean,
            gap=self._gap(label),
        )

    def of_role(self, role: str) -> tuple[Row, ...]:
        """Rows outside the families, in the suite's order."""
        entries = self.section.entries
        return tuple(self.alone(e.label) for e in entries if e.role == role and e.label in self.records)

    def _entry(self, label: str) -> Entry:
        return next(entry for entry in self.section.entries if entry.label == label)

    def _gap(self, label: str) -> float | None:
        """Mean difference to the baseline over the seeds that both have."""
        mine, base = self.outcomes[label], self.outcomes.get(self.section.baseline.label, {})
        shared = sorted(mine.keys() & base.keys())
        if not shared:
            return None
        return float(np.mean([self._score(mine[s]) - self._score(base[s]) for s in shared]))

    def _diverged(self, label: str, seeds: Sequence[int]) -> bool:
        return any(r.status == "diverged" and r.planned.seed in seeds for r in self.records[label])

    def compare(self, labels: Sequence[str], seeds: Sequence[int], suite: Suite) -> Families:
        """Both families over the compared rows."""
        correct = np.stack([[self.outcomes[label][seed] for seed in seeds] for label in labels])
        baseline = self.section.baseline.label
        return compare_all(
            correct,
            labels.index(baseline) if baseline in labels else None,
            unstable=[i for i, label in enumerate(labels) if self._diverged(label, seeds)],
            clusters=self.scored.clusters if self.scored else None,
            weights=self.weights,
            alpha=suite.alpha,
            margin=suite.equivalence_points / 100,
        )

    def ranked(self, labels: Sequence[str], seeds: tuple[int, ...], families: Families) -> tuple[Row, ...]:
        """The compared rows, from the highest mean down."""
        groups, rows = families.groups, []
        best = groups.order[0]
        base = self.section.baseline.label
        for i in groups.order:
            row = replace(
                self.alone(labels[i], seeds),
                to_baseline=families.against_baseline.get(i),
                to_best=families.against(i, best) if i != best else None,
                ranks=groups.rank_intervals[i] if families.tested else None,
                letters=groups.letters[i] if families.tested else "",
            )
            bold = groups.distinguishable and i in groups.best_group and not row.diverged
            against = self._against(labels[i], base, seeds) if base in labels and labels[i] != base else {}
            rows.append(replace(row, bold=bold, **against))
        return tuple(rows)

    def _against(self, label: str, base: str, seeds: Sequence[int]) -> dict[str, Any]:
        """What the seeds alone say of a row and the baseline, and what missing trials could change."""
        mine, theirs = ([self._score(self.outcomes[name][seed]) for seed in seeds] for name in (label, base))
        diverged = {r.planned.seed for n in (label, base) for r in self.records[n] if r.status == "diverged"}
        changed = None
        if self.scored is not None:
            sides = self.outcomes[label], self.outcomes[base]
            changed = sensitivity(*sides, diverged, self.scored, self.weights)
        return {
            "record": wins_ties_losses(mine, theirs),
            "superiority": prob_superiority(mine, theirs),
            "sensitivity": changed,
        }
