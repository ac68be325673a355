"""What a board shows, in words: the verdict, and what could have been shown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.board import Board, Row
from bench.families import EFFECT, MIN_SEEDS, Comparison
from bench.mixing import WARNING
from bench.render.reservations import mixed_records, row_name
from bench.render.words import count, listing, p_equals, percent, ranges

POWER = "80 %"


def headline(board: Board) -> str:
    """One or two sentences for the top of the page, and whether its records may not belong together."""
    mixed = any(text.startswith(WARNING) for text in mixed_records(board))
    return f"{_finding(board)} {READ_FIRST}" if mixed else _finding(board)


READ_FIRST = "Read the warning below its table first: its trials may not belong together."


def _finding(board: Board) -> str:
    if not board.ranked:
        return _apart(board) or "No result yet."
    if not board.tested:
        return _untested(board)
    winners, losers, _ = _verdicts(board)
    if winners:
        return _beats(board, winners[0]) + _also(winners[1:], "better")
    if losers:
        return _worse(board, losers[0]) + _also(losers[1:], "worse")
    families = board.families
    if families is not None and families.groups.distinguishable:
        best = _names([row for row in board.ranked if row.bold])
        return f"Nothing is shown to differ from the baseline; the best group is {best}."
    return f"No entry is distinguishable from another. {_could_have_shown(board)}"


def verdict(board: Board) -> list[str]:
    """Everything that the two families say, as sentences."""
    if not board.ranked or not board.tested:
        return [_finding(board)]
    winners, losers, others = _verdicts(board)
    base = board.baseline
    said = [_beats(board, row) for row in winners] + [_worse(board, row) for row in losers]
    if not winners and not losers and board.families and not board.families.groups.distinguishable:
        return [_finding(board), *_equivalences(board)]
    if others and base is not None:
        names = _names(others)
        said.append(f"No difference from {row_name(base)} is shown for {names}. {_could_have_shown(board)}")
    return [*said, *_equivalences(board), _all_pairs(board), _stricter(board, [*winners, *losers])]


def _names(rows: Sequence[Row]) -> str:
    return listing([row_name(row) for row in rows])


def _verdicts(board: Board) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows that are better than the baseline, worse, and neither; the largest difference first."""
    alpha = board.suite.alpha
    compared = [row for row in board.ranked if row.to_baseline is not None]
    better = [row for row in compared if _marked(row.to_baseline, alpha) and _estimate(row) > 0]
    worse = [row for row in compared if _marked(row.to_baseline, alpha) and _estimate(row) <= 0]
    others = [row for row in compared if not _marked(row.to_baseline, alpha)]
    return better, worse[::-1], others


def _marked(comparison: Comparison | None, alpha: float) -> bool:
    return comparison is not None and comparison.significant(alpha)


def _estimate(row: Row) -> float:
    return row.to_baseline.estimate if row.to_baseline else 0.0


def _beats(board: Board, row: Row) -> str:
    return _compared(board, row, "beats")


def _worse(board: Board, row: Row) -> str:
    return _compared(board, row, "is worse than")


def _compared(board: Board, row: Row, verb: str) -> str:
    c, base = row.to_baseline, board.baseline
    if c is None or base is None or c.low is None or c.high is None or c.adjusted_p is None:
        return ""
    low, high = (c.low, c.high) if c.estimate > 0 else (-c.high, -c.low)
    note = f" ({row.entry.note})" if row.entry.note else ""
    after = f" after Holm over {c.size} tests" if c.size > 1 else ""
    return (
        f"{row_name(row)}{note} {verb} {row_name(base)} by {percent(abs(c.estimate))} points "
        f"(95 % interval {percent(low)} to {percent(high)}, {p_equals(c.adjusted_p)}{after})."
    )


def _also(rows: list[Row], word: str) -> str:
    if not rows:
        return ""
    parts = [f"{row_name(row)} (by {percent(abs(_estimate(row)))})" for row in rows]
    return f" Also {word}: {listing(parts)}."


def _untested(board: Board) -> str:
    if len(board.ranked) < 2:
        return f"Only {row_name(board.ranked[0])} has results: there is nothing to compare it with."
    return (
        f"Insufficient seeds: the entries have {count(len(board.seeds), 'finished seed')} in common, and "
        f"with fewer than {MIN_SEEDS} no claim is made."
    )


def _apart(board: Board) -> str:
    """What is said of finished rows that were never measured on the same seeds; empty where none is."""
    found = {row_name(row): row.finished for row in board.unranked if row.finished}
    if not found:
        return ""
    seeds = [f"{label} has {ranges([r.planned.seed for r in done])}" for label, done in found.items()]
    return (
        f"No claim: the entries have no finished seed in common ({'; '.join(seeds)}). Run all of them on the "
        "same seeds."
    )


def _could_have_shown(board: Board) -> str:
    """The difference that this cell could have shown, and the seeds that would show 5 points."""
    rows = [row for row in board.ranked if row.to_baseline is not None]
    # A row that diverged could have shown next to nothing; it would speak for all the others.
    steady = [row.to_baseline for row in rows if not row.diverged] or [row.to_baseline for row in rows]
    against_baseline = [c for c in steady if c is not None]
    family = against_baseline or list(board.families.pairs.values() if board.families else ())
    known = [c for c in family if c.detectable_in_family is not None]
    clips = len(board.scored.clips) if board.scored else 0
    if not known:
        return "The test set is too coarse, or too small, to say what could have been shown."
    most = max(c.detectable_in_family or 0.0 for c in known)
    target = "to the baseline" if against_baseline else "between two entries"
    said = (
        f"With {count(len(board.seeds), 'seed')} and {count(clips, 'test clip')}, a true difference {target} "
        f"of {percent(most)} points would have been found with a probability of {POWER} or more, whichever "
        "entry has it"
    )
    if most <= EFFECT or not against_baseline:
        return f"{said}; smaller ones may well exist."
    needed = [c.seeds_needed for c in known]
    points = f"{100 * EFFECT:.0f} points"
    if None in needed:
        return f"{said}; for {points} it takes more test clips, not only more seeds."
    seeds = max(n for n in needed if n is not None)
    if seeds <= len(board.seeds):  # the estimate of the seeds is rougher than that of this very cell
        return f"{said}; a few more seeds should show {points}."
    return f"{said}; about {seeds} seeds would show {points}."


def _equivalences(board: Board) -> list[str]:
    base = board.baseline
    rows = [row for row in board.ranked if row.to_baseline is not None and row.to_baseline.equivalent]
    if not rows or base is None:
        return []
    names = _names(rows)
    margin = board.suite.equivalence_points
    return [f"Equivalent to {row_name(base)} within ±{margin:g} points: {names}."]


def _stricter(board: Board, marked: Sequence[Row]) -> str:
    """Why an entry that family B marks may share a group with the baseline."""
    families, base = board.families, board.baseline
    if families is None or base is None:
        return ""
    places = {row.entry.label: i for i, row in zip(families.groups.order, board.ranked, strict=True)}
    lost = []
    for row in marked:
        pair = families.against(places[row.entry.label], places[base.entry.label])
        if pair.adjusted_p is not None and not pair.significant(board.suite.alpha):
            lost.append(f"{row_name(row)} against {row_name(base)} has {p_equals(pair.adjusted_p)} there")
    if not lost:
        return ""
    return (
        f"Family A, all {len(families.pairs)} pairs, is stricter than family B: {listing(lost)}, so their "
        "ranks and groups do not tell them apart."
    )


def _all_pairs(board: Board) -> str:
    if board.families is None:
        return ""
    size = len(board.families.pairs)
    if size < 2:
        return ""
    if not board.families.groups.distinguishable:
        return (
            f"Of all {size} pairs no two entries can be told apart (family A is the stricter one), so nobody "
            "is bold."
        )
    best = [row for row in board.ranked if row.bold]
    if len(best) == 1:
        return f"Of all {size} pairs: {row_name(best[0])} is the best group (bold) alone."
    names = _names(best)
    return f"Of all {size} pairs: the best group (bold) is {names}; within it nobody is shown to lead."
