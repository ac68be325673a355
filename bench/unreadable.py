"""Clips that no decoder reads: what a run says of them before its trials, and a board in its notes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.printable import printable
from datasets.types import ClipTable

SHOWN = 3
"""Clips that a sentence names; `data verify` names all."""
_REASON = 80
"""Characters of a reason: what decoders say may be long."""
_FATE = {
    "training": "left out",
    "unlabeled": "left out",
    "validation": "left out",
    "test": "counted wrong",
}
"""The lists of a data set, and what becomes of their clips that cannot be read."""


def by_list(table: ClipTable, errors: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What a trial's record keeps of the lists that have such clips: sizes, and the first names.

    Args:
        table: the clips of the data set.
        errors: why clips cannot be read, by key.
    """
    lists = (table.train, table.unlabeled or (), table.validation, table.test)
    found = {}
    for name, clips in zip(_FATE, lists, strict=True):
        keys = sorted(clip.key for clip in clips if clip.key in errors)
        if keys:
            found[name] = {"listed": len(clips), "unread": len(keys), "first": keys[:SHOWN]}
    return found


def sentence(name: str, table: ClipTable, errors: Mapping[str, str]) -> str | None:
    """What `run` says of a data set before its trials; None where all clips can be read."""
    if not errors:
        return None
    clips = table.clips()
    unread = sorted({clip.key for clip in clips} & errors.keys())
    return (
        f"data set '{name}': {len(unread)} of {len(clips)} clips cannot be read: "
        f"{_named(unread, len(unread), errors)}; they are left out of training and counted wrong in test; "
        f"all of them: python -m bench data verify {name}"
    )


def footnote(data: str, records: Iterable[Mapping[str, Any]]) -> str | None:
    """What finished trials could not read of their data set, by their records; None where they read all."""
    said = [_of_record(record) for record in records if record.get("excluded")]
    parts = list(dict.fromkeys(said))
    return f"Of {data}, no decoder reads {'; in other trials: '.join(parts)}." if parts else None


def _of_record(record: Mapping[str, Any]) -> str:
    errors: Mapping[str, str] = record["excluded"]
    lists: Mapping[str, Mapping[str, Any]] | None = record.get("unread")
    if lists is None:  # a record from before it was kept
        return f"{len(errors):,} of its clips: {_named(sorted(errors), len(errors), errors)}"
    known = [(name, lists[name]) for name in _FATE if name in lists]
    parts = [
        f"{found['unread']:,} of {found['listed']:,} {name} clips, {_FATE[name]}: "
        f"{_named(found['first'], found['unread'], errors)}"
        for name, found in known
    ]
    return "; ".join(parts)


def _named(keys: Sequence[str], number: int, errors: Mapping[str, str]) -> str:
    """The first of `number` clips with their reasons, and how many more there are."""
    shown = [f"{printable(key)} ({_short(errors[key])})" for key in keys[:SHOWN]]
    more = number - len(shown)
    return ", ".join([*shown, f"and {more:,} more"] if more else shown)


def _short(reason: str) -> str:
    return textwrap.shorten(printable(reason), _REASON, placeholder=" …")
