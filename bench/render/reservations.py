"""What a reader must know before believing a board, in words."""

from __future__ import annotations

from collections import defaultdict

from bench import unreadable
from bench.board import Board, Row
from bench.mixing import mixtures
from bench.render.words import count, listing, name, percent, ranges, signed


def reservations(board: Board) -> list[str]:
    """What a reader must know before believing the board."""
    said = mixed_records(board)
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
    finished = [record.done for row in board.rows for record in row.records]
    if unread := unreadable.footnote(board.data, finished):
        said.append(unread)
    for reason, number in board.barred.items():
        trials = "One finished trial is" if number == 1 else f"{number:,} finished trials are"
        said.append(f"{trials} barred from this board: {'it' if number == 1 else 'each'} {reason}.")
    if board.ranked and board.baseline is None:
        said.append("The baseline has too few finished seeds, so nothing is compared with it yet.")
    left_out = sorted({seed for row in board.ranked for seed in row.scores} - set(board.seeds))
    if left_out:
        said.append(
            f"Compared are the seeds that all ranked entries have finished ({ranges(board.seeds)}); results "
            f"of {'seed' if len(left_out) == 1 else 'seeds'} {ranges(left_out)} are in results.csv only."
        )
    said += _unequal_frames(board) + _unseen(board)
    return said + _unfinished(board) + _sensitive(board) + _no_claim(board)


_FOUND = {
    "leak": "Leak in {data}, {consent}: {sentence}. What was seen in training is recalled, not "
    "recognized, so scores and differences of this board may be too high.",
    "flaw": "Flaw of {data}: {sentence}.",
    "note": "Note on {data}: {sentence}.",
}


def mixed_records(board: Board) -> list[str]:
    """That records of a board may not belong together."""
    return mixtures([record for row in board.rows for record in row.records])


def row_name(row: Row) -> str:
    """The label of a row inside a sentence."""
    return name(row.entry.label)


def _unequal_frames(board: Board) -> list[str]:
    """That some rows have seen more of each clip than others."""
    rows: dict[int, list[str]] = defaultdict(list)
    for row in board.ranked:
        for frames in sorted({n for record in row.records if (n := record.view_frames) is not None}):
            rows[frames].append(row_name(row))
    if len(rows) < 2:
        return []
    usual, *others = sorted(rows, key=lambda frames: len(rows[frames]), reverse=True)
    apart = "; ".join(f"{listing(rows[frames])} {frames}" for frames in sorted(others))
    return [
        f"Rows do not show equally many frames of a clip: most {usual}, {apart}. More frames can help any "
        "method, so a part of the differences between such rows may be theirs."
    ]


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
            pairs[c.test.reason].append(f"{row_name(rows[i])} against {row_name(rows[j])}")
    return [
        f"No claim is made for {listing(found) if len(found) <= 4 else count(len(found), 'pair')}: {reason}."
        for reason, found in pairs.items()
    ]


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
            said.append(f"{row_name(row)}, {noun} {ranges(seeds)}: no result ({_short(cause)}).")
        if row.diverged:
            noun = "seed" if len(row.diverged) == 1 else "seeds"
            said.append(
                f"{row_name(row)}, {noun} {ranges(row.diverged)}: diverged, which is an outcome and is "
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
        both = f"{row_name(row)} against {row_name(base)}"
        if changed.worst is not None and changed.best is not None:
            seeds = f"{'seed' if len(changed.one_sided) == 1 else 'seeds'} {ranges(changed.one_sided)}"
            said.append(
                f"{both}: on {seeds} one side has no result. Had the missing trials come out "
                "as badly or as well as is plausible (chance level, or the best run of the two), the "
                f"difference would be {signed(changed.worst.estimate)} to "
                f"{signed(changed.best.estimate)} points."
            )
        if changed.without_diverged is not None:
            left = changed.without_diverged
            said.append(
                f"{both} without the diverged seeds: {signed(left.estimate)} points "
                f"({count(left.n_seeds, 'seed')})."
            )
    return said
