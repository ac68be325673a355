"""Tables of the page: what each column is sorted by, and how it is set."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.render import words
from bench.render.html.shown import Cell, Column, ShownTable
from bench.render.tables import Table

KINDS = {"entry": "name", "class": "name", "method": "name", "note": "prose", "tuned": "prose"}
"""By key of a column; others are numbers or text, as their cells are."""

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
NUMBER = re.compile(r"(?:< )?([+-]?(?:\d[\d,]*)?\.?\d+)(?: (s|min|h)\b)?")


def shown(table: Table) -> ShownTable:
    """A table with what its columns are sorted by."""
    bold = table.bold or tuple(False for _ in table.rows)
    body = [tuple(Cell(text, sort_key(text)) for text in row) for row in table.rows]
    numeric = [_numeric([row[i] for row in body]) for i in range(len(table.header))]
    entry = table.header.index("entry") if "entry" in table.header else 0
    return ShownTable(
        tuple(
            Column(key, header, number, KINDS.get(key, "number" if number else "text"))
            for key, header, number in zip(table.keys, table.header, numeric, strict=True)
        ),
        tuple((row[entry].text, mark, row) for row, mark in zip(body, bold, strict=True)),
    )


def _numeric(cells: Sequence[Cell]) -> bool:
    known = [cell for cell in cells if cell.text != words.NONE]
    return bool(known) and all(cell.sort for cell in known)


def sort_key(text: str) -> str:
    """The number that a cell starts with, times in seconds, empty where it starts with none.

    `1–3` counts as 1, `< .001` as a little less than .001, and a reference as a difference of 0.
    """
    if text == "best" or text.split(",", maxsplit=1)[0] == "baseline":
        return "0"
    found = NUMBER.match(text)
    if found is None:
        return ""
    value = float(found[1].replace(",", "")) * UNITS.get(found[2] or "", 1.0)
    return f"{value - 1e-9 if text.startswith('<') else value:.10g}"
