"""What a board shows, in words: the verdict, what could have been shown, and every reservation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.board import Board, Row
from bench.families import EFFECT, MIN_SEEDS, Comparison
from bench.mixing import WARNING, mixtures
from bench.render.words import count, listing, name, p_equals, percent, ranges, signed

POWER = "80 %"


def headline(board: Board) -> str:
    """One or two sentences for the top of the page, and whether its records may not belong together."""
    mixed = any(text.startswith(WARNING) for text in _mixtures(board))
    return f"{_finding(board)} {READ_FIRST}" if mixed else _finding(board)


READ_FIRST = "Read the warning below its table first: its trials may not belong together."


def _mixtures(board: Board) -> list[str]:
    return mixtures([record for row in board.rows for record in row.records])


def _finding(board: Board) -> str:
    if not board.ranked:
        return "No result yet."
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
        said.append(f"No difference from {_name(base)} is shown for {names}. {_could_have_shown(board)}")
    return [*said, *_equivalences(board), _all_pairs(board)]


def reservations(board: Board) -> list[str]:
    """What a reader must know before believing the board."""
    said = _mixtures(board)
    if board.pinned:
        said.append(
            "This board is conditional on this label draw: a published list fixes the labeled clips for all "
            "seeds, so it says nothing about other draws and is never put into one table with boards that "
            "draw anew."
        )
    consent = "accepted for this run" if board.accepted else "which nobody is known to have accepted"
    said += [
        _FOUND[each.severity].format(data=board.data, sentence=each.sentence, consent=consent)
        for each in board.findings
    ]
    if board.measure == "top1" and board.balanced and board.scored is not None:
        clips = int((board.scored.labels == board.scored.labels[0]).sum())
        said.append(f"Every class has {count(clips, 'test clip')}, so mean per-class accuracy is top-1 here.")
    for reason, number in board.barred.items():
        trials = "One finished trial is" if number == 1 else f"{number:,} finished trials are"
        said.append(f"{trials} barred from this board: {'it' if number == 1 else 'each'} {reason}.")
    if board.ranked and board.baseline is None:
        said.append("The baseline has too few finished seeds, so nothing is compared with it yet.")
    finished = {seed for row in board.ranked for seed in row.scores}
    left_out = sorted(finished - set(board.seeds))
    if left_out:
        said.append(
            f"Compared are the seeds that all ranked entries have finished ({ranges(board.seeds)}); results "
            f"of {'seed' if len(left_out) == 1 else 'seeds'} {ranges(left_out)} are in results.csv only."
        )
    said += _unseen(board)
    return said + _unfinished(board) + _sensitive(board) + _no_claim(board)


_FOUND = {
    "leak": "Leak in {data}, {consent}: {sentence}. What was seen in training is recalled, not "
    "recognized, so scores and differences of this board may be too high.",
    "flaw": "Flaw of {data}: {sentence}.",
    "note": "Note on {data}: {sentence}.",
}


def _name(row: Row) -> str:
    return name(row.entry.label)


def _names(rows: Sequence[Row]) -> str:
    return listing([_name(row) for row in rows])


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
        f"{_name(row)}{note} {verb} {_name(base)} by {percent(abs(c.estimate))} points "
        f"(95 % interval {percent(low)} to {percent(high)}, {p_equals(c.adjusted_p)}{after})."
    )


def _also(rows: list[Row], word: str) -> str:
    if not rows:
        return ""
    parts = [f"{_name(row)} (by {percent(abs(_estimate(row)))})" for row in rows]
    return f" Also {word}: {listing(parts)}."


def _untested(board: Board) -> str:
    if len(board.ranked) < 2:
        return f"Only {_name(board.ranked[0])} has results: there is nothing to compare it with."
    return (
        f"Insufficient seeds: the entries have {count(len(board.seeds), 'finished seed')} in common, and "
        f"with fewer than {MIN_SEEDS} no claim is made."
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


def _unseen(board: Board) -> list[str]:
    """A warning where differences that matter may go unnoticed."""
    margin = board.suite.equivalence_points
    found = [row.to_baseline for row in board.ranked if row.to_baseline is not None and not row.diverged]
    least = [c.detectable for c in found if c.detectable is not None]
    if not least or 100 * max(least) <= margin:
        return []
    return [
        f"Differences of {margin:g} to {percent(max(least))} points are large enough to matter, yet may go "
        "unnoticed on this board, even by a comparison that is made alone."
    ]


def _no_claim(board: Board) -> list[str]:
    """Pairs that were tested and allow no claim, by reason."""
    if board.families is None or not board.tested:
        return []
    rows = dict(zip(board.families.groups.order, board.ranked, strict=True))
    pairs: dict[str, list[str]] = defaultdict(list)
    for (i, j), c in board.families.pairs.items():
        if c.test is not None and c.test.reason is not None:
            pairs[c.test.reason].append(f"{_name(rows[i])} against {_name(rows[j])}")
    return [
        f"No claim is made for {listing(found) if len(found) <= 4 else count(len(found), 'pair')}: {reason}."
        for reason, found in pairs.items()
    ]


def _equivalences(board: Board) -> list[str]:
    base = board.baseline
    rows = [row for row in board.ranked if row.to_baseline is not None and row.to_baseline.equivalent]
    if not rows or base is None:
        return []
    names = _names(rows)
    margin = board.suite.equivalence_points
    return [f"Equivalent to {_name(base)} within ±{margin:g} points: {names}."]


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
        return f"Of all {size} pairs: {_name(best[0])} is the best group (bold) alone."
    names = _names(best)
    return f"Of all {size} pairs: the best group (bold) is {names}; within it nobody is shown to lead."


def _unfinished(board: Board) -> list[str]:
    """Failed, diverged and missing trials, by row and cause."""
    said = []
    for row in board.rows:
        causes: dict[str, list[int]] = defaultdict(list)
        for record in row.records:
            if record.status in ("failed", "missing"):
                causes[record.cause].append(record.planned.seed)
        for cause, seeds in causes.items():
            noun = "seed" if len(seeds) == 1 else "seeds"
            said.append(f"{_name(row)}, {noun} {ranges(seeds)}: no result ({_short(cause)}).")
        if row.diverged:
            noun = "seed" if len(row.diverged) == 1 else "seeds"
            said.append(
                f"{_name(row)}, {noun} {ranges(row.diverged)}: diverged, which is an outcome and is "
                "scored at chance level (one class for every clip). Its pairs are tested without borrowing "
                "variance from, or lending it to, the others."
            )
    return said


def _short(cause: str, most: int = 160) -> str:
    return cause if len(cause) <= most else f"{cause[: most - 1]}…"


def _sensitive(board: Board) -> list[str]:
    """What missing and diverged trials could change about the differences to the baseline."""
    said = []
    base = board.baseline
    for row in board.ranked:
        changed = row.sensitivity
        if changed is None or base is None:
            continue
        if changed.worst is not None and changed.best is not None:
            seeds = f"{'seed' if len(changed.one_sided) == 1 else 'seeds'} {ranges(changed.one_sided)}"
            said.append(
                f"{_name(row)} against {_name(base)}: on {seeds} one side has no result. Had the missing "
                f"trials come out as badly or as well as is plausible (chance level, or the best run of the "
                f"two), the difference would be {signed(changed.worst.estimate)} to "
                f"{signed(changed.best.estimate)} points."
            )
        if changed.without_diverged is not None:
            left = changed.without_diverged
            said.append(
                f"{_name(row)} against {_name(base)} without the diverged seeds: {signed(left.estimate)} "
                f"points ({count(left.n_seeds, 'seed')})."
            )
    return said
