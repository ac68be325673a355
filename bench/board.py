"""From records to leaderboards: who is compared with whom, on which seeds.  Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.families import MIN_SEEDS, Comparison, Families, compare_all
from bench.records import ClipList, Record
from bench.stats import MeanInterval, mean_interval, weights_mean_per_class, wins_ties_losses
from bench.stats.checks import Floats
from bench.suite import Entry, Section, Suite
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
    def pinned(self) -> bool:
        """Whether a published list fixes the labeled clips for all seeds."""
        return self.labels == "list"


def build_boards(records: Sequence[Record], suite: Suite, measure: Measure = "top1") -> tuple[Board, ...]:
    """One board per section and cell, in the order of the suite; the order of the records does not matter.

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


def _place(place: tuple[str, str], suite: Suite) -> tuple[int, int, str]:
    section, cell = place
    names = list(suite.sections)
    if section not in names:
        raise unknown_name("section", section, names, f"suite '{suite.name}'")
    listed = [name for task in suite.sections[section].tasks for name in task.cells]
    return names.index(section), listed.index(cell) if cell in listed else len(listed), cell


def _board(name: str, cell: str, records: Sequence[Record], suite: Suite, measure: Measure) -> Board:
    section = suite.sections[name]
    admitted = [record for record in records if record.barred is None]
    barred = Counter(r.barred for r in records if r.barred is not None and r.status == "done")
    scored = _one_clip_list(admitted)
    by_entry = _by_entry(admitted, section, name, suite)
    outcomes = {label: _outcomes(mine, scored) for label, mine in by_entry.items()}
    weights = None
    if measure == "mean_class" and scored is not None:
        weights = weights_mean_per_class(scored.labels)
    maker = _RowMaker(section, by_entry, outcomes, scored, weights)
    ranked_labels = [e.label for e in section.entries if e.role in RANKED and e.label in by_entry]
    compared, seeds = common_seeds({label: set(outcomes[label]) for label in ranked_labels})
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


def common_seeds(finished: Mapping[str, set[int]]) -> tuple[list[str], tuple[int, ...]]:
    """Which rows are compared, and on which seeds.

    A seed is a block: it counts for all rows or for none.  Rows with fewer than `MIN_SEEDS` seeds, which
    allow no claim, do not cost the others theirs; they are left out of the comparison as long as two rows
    with enough remain.

    Returns:
        The labels of the compared rows in the given order, and their common seeds.
    """
    some = [label for label, seeds in finished.items() if seeds]
    enough = [label for label in some if len(finished[label]) >= MIN_SEEDS]
    compared = enough if len(enough) > 1 else some
    if not compared:
        return [], ()
    common = set.intersection(*(finished[label] for label in compared))
    return (compared, tuple(sorted(common))) if common else ([], ())


def _one_clip_list(records: Sequence[Record]) -> ClipList | None:
    first: Record | None = None
    for record in records:
        if record.scored is None:
            continue
        if first is None or first.scored is None:
            first = record
        elif record.scored.digest != first.scored.digest:
            raise UserError(
                f"trials {first.spec.id} ({first.planned.line}) and {record.spec.id} "
                f"({record.planned.line}) were scored on different clips ({_difference(first, record)}); "
                "they cannot share a board: plan and run again with one list of test clips."
            )
    return first.scored if first else None


def _difference(one: Record, other: Record) -> str:
    """The first clip in which two lists differ, in words."""
    a = dict(zip(one.scored.clips, one.scored.labels, strict=True)) if one.scored else {}
    b = dict(zip(other.scored.clips, other.scored.labels, strict=True)) if other.scored else {}
    only = sorted(a.keys() ^ b.keys())
    if only:
        return f"'{only[0]}' is only in one of them"
    changed = [clip for clip, label in a.items() if label != b[clip]]
    return f"the class of '{changed[0]}' differs" if changed else "source videos differ"


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


def _outcomes(records: Sequence[Record], scored: ClipList | None) -> dict[int, NDArray[np.bool_]]:
    """Correctness per finished seed; a diverged trial gets the one of a constant answer."""
    found: dict[int, NDArray[np.bool_]] = {}
    for record in records:
        if record.correct is not None:
            found[record.planned.seed] = record.correct
        elif record.status == "diverged" and scored is not None:
            found[record.planned.seed] = chance_pattern(scored)
    return found


def chance_pattern(scored: ClipList) -> NDArray[np.bool_]:
    """What a diverged trial scores: every clip is called by the first class, i.e. chance on balanced data.

    A net whose outputs are NaN answers so; and unlike a coin per clip it needs no draw.
    """
    return np.asarray(scored.labels == scored.labels.min(), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class _RowMaker:
    """Makes the rows of one board."""

    section: Section
    records: Mapping[str, tuple[Record, ...]]
    outcomes: Mapping[str, Mapping[int, NDArray[np.bool_]]]
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
            row = self.alone(labels[i], seeds)
            record = None
            if base in labels and labels[i] != base:
                theirs = [self._score(self.outcomes[base][seed]) for seed in seeds]
                record = wins_ties_losses([row.scores[seed] for seed in seeds], theirs)
            rows.append(
                Row(
                    entry=row.entry,
                    records=row.records,
                    scores=row.scores,
                    used=seeds,
                    mean=row.mean,
                    to_baseline=families.against_baseline.get(i),
                    to_best=families.against(i, best) if i != best else None,
                    record=record,
                    ranks=groups.rank_intervals[i] if families.tested else None,
                    letters=groups.letters[i] if families.tested else "",
                    bold=groups.distinguishable and i in groups.best_group and not row.diverged,
                )
            )
        return tuple(rows)
