"""Pairing by key: two methods' records meet by (data set, fraction, seed), never by the order of rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def join_by_key(*tables: Iterable[tuple[K, V]]) -> tuple[list[K], list[list[V]]]:
    """Align several tables of (key, value) rows.

    Args:
        tables: one per method; rows in any order.

    Returns:
        The keys in sorted order (by their text where they do not compare), and for each table its values in
        that
        order: independent of the order of the rows.

    Raises:
        ValueError: if a key occurs twice in a table or is missing from one: a block is never dropped on one
            side.
    """
    if not tables:
        raise ValueError("join_by_key needs at least one table.")
    joined: list[dict[K, V]] = []
    for position, rows in enumerate(tables):
        table: dict[K, V] = {}
        for key, value in rows:
            if key in table:
                raise ValueError(f"Table {position} has two rows for {key!r}.")
            table[key] = value
        joined.append(table)
    for position, table in enumerate(joined):
        for other, reference in enumerate(joined):
            missing = reference.keys() - table.keys()
            if missing:
                names = ", ".join(sorted(repr(key) for key in missing))
                raise ValueError(f"Table {position} lacks {names}, which table {other} has.")
    keys = _sorted(joined[0])
    return keys, [[table[key] for key in keys] for table in joined]


def _sorted(keys: Iterable[K]) -> list[K]:
    found = list(keys)
    try:
        return sorted(found)  # type: ignore[type-var]  # keys that do not compare are caught below
    except TypeError:
        return sorted(found, key=repr)
