"""Blocks: what every entry answered on every seed, on one list of clips.  Pure functions over records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.families import MIN_SEEDS
from bench.records import ClipList, Record
from datasets.errors import UserError

Outcomes = Mapping[int, NDArray[np.bool_]]
"""Correctness per clip, by finished seed."""


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


def one_clip_list(records: Sequence[Record]) -> ClipList | None:
    """The clips on which all these records were scored; None where none has predictions.

    Raises:
        UserError: where they were scored on different clips.
    """
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


def outcomes(records: Sequence[Record], scored: ClipList | None) -> dict[int, NDArray[np.bool_]]:
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
