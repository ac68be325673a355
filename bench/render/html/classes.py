"""Answers class by class: accuracies and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.board import Board, Row
from bench.render import words
from bench.render.details import Details, class_sizes, frequent_confusions
from bench.render.html.shown import Confusion
from bench.render.tables import Table

MOST_CLASSES = 20
"""Classes of a confusion matrix that a page shows as a table; with more it lists the frequent confusions."""
LISTED = 20


def per_class(board: Board, rows: Sequence[Row], known: Mapping[str, Details], names: Sequence[str]) -> Table:
    """Accuracy of every class, one column per entry."""
    sizes = class_sizes(board, len(names))
    accuracy = {row.entry.label: known[row.entry.label].per_class for row in rows}
    body = []
    for i, name in enumerate(names):
        if not sizes[i]:
            continue
        values = [None if a is None or np.isnan(a[i]) else float(a[i]) for a in accuracy.values()]
        cells = (words.NONE if value is None else words.percent(value) for value in values)
        body.append((name, f"{sizes[i]:,}", *cells))
    keys = ("class", "clips_of_class", *("class_accuracy" for _ in rows))
    return Table(("class", "test clips", *accuracy), tuple(body), keys=keys)


def confusion_of(row: Row, found: Details, names: Sequence[str]) -> Confusion:
    """The answers of one entry, in percent of each true class."""
    counts = found.confusion
    if counts is None:
        return Confusion(row.entry.label)
    if len(names) > MOST_CLASSES:
        frequent = [
            (names[true], names[answered], f"{words.percent(share)} %")
            for true, answered, share in frequent_confusions(counts, LISTED)
        ]
        return Confusion(row.entry.label, frequent=tuple(frequent))
    shares = np.rint(100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)).astype(int)
    unread = bool(counts[:, -1].any())
    width = len(names) + unread
    matrix = tuple(
        (name, tuple(int(v) for v in line[:width])) for name, line in zip(names, shares, strict=True)
    )
    return Confusion(row.entry.label, matrix=matrix)


def number_of_classes(row: Row, known: Mapping[str, Details]) -> int:
    """Classes of the task, 0 where its answers are not known."""
    counts = known[row.entry.label].confusion
    return 0 if counts is None else len(counts)
