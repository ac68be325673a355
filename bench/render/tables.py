"""The tables of a page as plain text cells; each output format escapes and lays them out for itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.board import Board, Row
from bench.costs import Costs, spent, total
from bench.metrics import MEANING
from bench.render import words
from bench.render.words import NONE
from bench.stats import expected_best_of_k
from bench.suite import LoadedSuite, TunedEntry
from bench.training_log import mean_of, pseudo_labels

DIGITS = 8
"""Of a hash in a table: enough to tell apart, short enough to read."""


@dataclass(frozen=True)
class Table:
    """Header, rows of cells, and which rows are bold; all rows have the width of the header.

    `keys` name the columns for `bench.render.columns`, whatever their headers say.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: tuple[bool, ...] = ()
    keys: tuple[str, ...] = ()


def ranking(board: Board) -> Table:
    """The leaderboard proper: who stands where, and what was tested."""
    base = board.baseline
    header = (
        "rank",
        "group",
        "entry",
        f"{measure(board)} % (95 %)",
        f"vs. {base.entry.label} (95 %)" if base else "vs. baseline",
        "p (B)",
        "vs. best (95 %)",
        "p (A)",
        "wins/ties/losses",
        "P(better)",
        "seeds",
    )
    rows = tuple(_ranking_row(board, row) for row in (*board.ranked, *board.unranked))
    return Table(header, rows, tuple(row.bold for row in (*board.ranked, *board.unranked)), RANKING)


RANKING = (
    "rank",
    "group",
    "entry",
    "accuracy",
    "to_baseline",
    "p_baseline",
    "to_best",
    "p_best",
    "record",
    "superiority",
    "seeds",
)
MEASUREMENT = ("entry", "method", "note", "clips", "detectable", "tuned", "time", "time_all", "hashes")
APART = ("entry", "accuracy", "gap", "seeds", "note")


def measure(board: Board) -> str:
    """What the accuracy column holds."""
    return "top-1" if board.measure == "top1" else "mean per class"


def _ranking_row(board: Board, row: Row) -> tuple[str, ...]:
    ranked = row in board.ranked
    ranks = NONE
    if row.ranks is not None:
        low, high = row.ranks
        ranks = str(low) if low == high else f"{low}–{high}"
    to_baseline = "baseline" if row.entry.role == "baseline" else words.difference(row.to_baseline)
    best = "best" if ranked and row is board.ranked[0] else words.difference(row.to_best)
    return (
        ranks,
        row.letters or NONE,
        row.entry.label,
        words.accuracy(row),
        to_baseline,
        words.p_value(row.to_baseline.adjusted_p) if row.to_baseline else NONE,
        best,
        words.p_value(row.to_best.adjusted_p) if row.to_best else NONE,
        "/".join(str(n) for n in row.record) if row.record else NONE,
        NONE if row.superiority is None else words.chance(row.superiority),
        seeds(row),
    )


def seeds(row: Row) -> str:
    """`5 of 5`, with what diverged, and how many are compared where that is not all."""
    text = f"{len(row.finished)} of {row.planned}"
    text += f", {len(row.diverged)} diverged" if row.diverged else ""
    return f"{text}, {len(row.used)} compared" if len(row.used) < len(row.finished) else text


def measurement(board: Board, loaded: LoadedSuite) -> Table:
    """How each row was measured: settings, clips, power, tuning, time."""
    costs = _costs(board)
    header = (
        "entry",
        "method",
        "note",
        "test clips",
        "detectable: alone / in B",
        "tuned",
        "time per trial",
        "time in all",
        "code / settings",
        *(header for header, _, _ in costs),
    )
    rows = tuple(
        (
            row.entry.label,
            row.entry.method,
            row.entry.note or NONE,
            clips(row),
            _detectable(row),
            tuned(row, loaded, board.section),
            *times(row),
            hashes(row),
            *(cells[i] for _, _, cells in costs),
        )
        for i, row in enumerate(board.rows)
    )
    return Table(header, rows, keys=(*MEASUREMENT, *(key for _, key, _ in costs)))


def _costs(board: Board) -> list[tuple[str, str, list[str]]]:
    """(header, key, a cell per row) of every cost that some record of the board states."""
    found = [total(row.records) for row in board.rows]
    kinds: tuple[tuple[str, str, Callable[[Costs], float | None], str], ...] = (
        ("GPU-hours", "gpu_hours", lambda c: c.gpu_hours, ".2f"),
        ("clips/s", "throughput", lambda c: c.clips_per_second, ",.0f"),
        ("peak memory, MiB", "memory", lambda c: c.peak_memory_mib, ",.0f"),
        ("energy, kWh", "energy", lambda c: c.energy_kwh, ".3f"),
    )
    columns = []
    for header, key, read, form in kinds:
        values = [None if costs is None else read(costs) for costs in found]
        if any(value is not None for value in values):
            columns.append((header, key, [NONE if v is None else format(v, form) for v in values]))
    return columns


QUALITY = ("entry", *MEANING, "coverage", "precision")


def quality(board: Board) -> Table:
    """Every metric of the rows, means over their seeds with a result; untested."""
    header = ("entry", *(_METRIC_NAMES[name] for name in MEANING), "pseudo-labels used %", "of these right %")
    rows = tuple((row.entry.label, *_metrics(row), *_pseudo(row)) for row in board.rows)
    return Table(header, rows, keys=QUALITY)


_METRIC_NAMES = {
    "top1": "top-1 %",
    "top5": "top-5 %",
    "mean_class": "mean per class %",
    "macro_f1": "macro F1 %",
    "ece": "calibration error %",
    "nll": "log-likelihood loss, nats",
}


def _metrics(row: Row) -> list[str]:
    records = [r for r in row.records if r.metrics and r.planned.seed in row.used]
    cells = []
    for name in MEANING:
        mean = mean_of([r.metrics[name] for r in records if not math.isnan(r.metrics[name])])
        shown = NONE if mean is None else f"{mean:.2f}" if name == "nll" else words.percent(mean)
        cells.append(shown)
    return cells


def _pseudo(row: Row) -> tuple[str, str]:
    """Share of pseudo-labels used over training, and how many of these were right."""
    found = [pseudo_labels(log) for record in row.records if (log := record.log) is not None]
    means = (mean_of([each.coverage for each in found]), mean_of([each.precision for each in found]))
    used, right = (NONE if mean is None else words.percent(mean) for mean in means)
    return used, right


def clips(row: Row) -> str:
    """Evaluated of listed test clips, and of how many source videos where these have several."""
    found = {(r.evaluated, r.scored) for r in row.records if r.scored is not None}
    cells = {
        f"{evaluated:,} of {len(scored.clips):,}"
        + (f" ({len(set(scored.groups)):,} videos)" if scored.clusters else "")
        for evaluated, scored in found
    }
    return ", ".join(sorted(cells)) or NONE


def hashes(row: Row) -> str:
    """First digits of the hashes of the code and of the settings of its trials."""
    done = [record for record in row.records if record.done]
    code = sorted({str(record.done.get("code_hash", "unknown"))[:DIGITS] for record in done})
    settings = sorted({record.settings[:DIGITS] for record in row.records})
    return f"{', '.join(code) or NONE} / {', '.join(settings)}"


def _detectable(row: Row) -> str:
    c = row.to_baseline
    if c is None or c.detectable is None or c.detectable_in_family is None:
        return NONE
    return f"{words.percent(c.detectable)} / {words.percent(c.detectable_in_family)}"


def tuned(row: Row, loaded: LoadedSuite, section: str) -> str:
    """What was tuned, with how much effort, and how good the best of so many trials is expected to be."""
    search = loaded.tuned_in(section)
    if search is None or row.entry.label not in search.entries:
        return "not tuned"
    entry = search.entries[row.entry.label]
    names = [*sorted(entry.optimizer), *sorted(entry.config)]
    what = f" ({', '.join(names)})" if names else ""
    return f"{words.count(search.configurations, 'configuration')}{what}{_best_of(entry)}"


def _best_of(entry: TunedEntry) -> str:
    """Validation accuracy of the best of k configurations, as it is expected of so many draws."""
    scores = entry.validation_accuracies
    if not scores:
        known = entry.validation_accuracy
        return "" if known is None else f"; validation {words.percent(known)} %"
    n = len(scores)
    draws = range(1, n + 1) if n <= 4 else (1, n // 2, n)
    expected = " / ".join(words.percent(expected_best_of_k(scores, k)) for k in draws)
    return f"; validation, best of {' / '.join(map(str, draws))}: {expected} %"


def times(row: Row) -> tuple[str, str]:
    """Mean time of a finished trial, and of all together, by kind of device and clock."""
    found: dict[str, list[float]] = {}
    for record in row.records:
        if record.done:
            took, clock = spent(record)
            device = "GPU" if record.spec.device == "cuda" else "CPU"
            found.setdefault(f"{device} ({clock})", []).append(took)
    means = [f"{words.duration(sum(s) / len(s))} {kind}" for kind, s in sorted(found.items())]
    totals = [f"{words.duration(sum(s))} {kind}" for kind, s in sorted(found.items())]
    return ", ".join(means) or NONE, ", ".join(totals) or NONE


def apart(board: Board, rows: Sequence[Row]) -> Table:
    """Rows outside the families: bounds, references."""
    base = board.baseline.entry.label if board.baseline else "baseline"
    header = ("entry", f"{measure(board)} % (95 %)", f"vs. {base} (untested)", "seeds", "note")
    body = tuple(
        (
            row.entry.label,
            words.accuracy(row),
            NONE if row.gap is None else words.signed(row.gap),
            seeds(row),
            row.entry.note or NONE,
        )
        for row in rows
    )
    return Table(header, body, keys=APART)


def over_budgets(boards: Sequence[Board]) -> Table:
    """Mean difference to the baseline, one column per label budget of a data set.

    An asterisk marks what is significant in family B of that column's own board.
    """
    labels = list(dict.fromkeys(row.entry.label for board in boards for row in board.ranked))
    order = {label: i for i, label in enumerate(_suite_order(boards[0]))}
    rows = []
    for label in sorted(labels, key=lambda name: order[name]):
        cells = [label]
        for board in boards:
            row = next((row for row in board.ranked if row.entry.label == label), None)
            cells.append(_budget_cell(board, row))
        rows.append(tuple(cells))
    header = ("entry", *(words.budget(board.labels) for board in boards))
    return Table(header, tuple(rows), keys=("entry", *("budget" for _ in boards)))


def _suite_order(board: Board) -> list[str]:
    return [entry.label for entry in board.suite.sections[board.section].entries]


def _budget_cell(board: Board, row: Row | None) -> str:
    if row is None or row.mean is None:
        return NONE
    if row.entry.role == "baseline":
        return f"baseline, {words.percent(row.mean.estimate)} %"
    c = row.to_baseline
    if c is None:
        return NONE
    return f"{words.signed(c.estimate)} *" if c.significant(board.suite.alpha) else words.signed(c.estimate)
