"""Published beside measured on a terminal: one table per protocol, footnotes below."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.beside import Apart, Beside, Line, PublishedCell
from bench.published import Extra, load_extra
from bench.render.words import NONE, budget, interval, percent, signed
from bench.stats import MeanInterval

PARAMETERS = "Params"
"""The column of the extra figures that holds millions of parameters."""


def published_screen(found: Beside) -> RenderableType:
    """All cells; where nothing is published, that is said."""
    parts: list[RenderableType] = []
    for cell in found.cells:
        parts += _cell(cell, found)
    if not found.cells:
        parts.append(Text(f"No cell of suite '{found.suite.name}' has published numbers."))
    elif found.without:
        parts.append(Text(f"Nothing is published for: {', '.join(found.without)}."))
    if found.cells:
        parts.append(Text(_legend(found)))
        parts += [Text(f"[{number}] {text}") for number, text in enumerate(found.footnotes, 1)]
        parts += [Text(f"* {text}") for text in found.general]
        extra = load_extra()
        parts.append(Text(_parameters(extra)))
        tables = {
            line.figure.table for cell in found.cells for lines in cell.protocols.values() for line in lines
        }
        parts += _others([each for each in extra if each.table in tables and each.column != PARAMETERS])
    return Group(*parts)


def _cell(cell: PublishedCell, found: Beside) -> list[RenderableType]:
    data, _, labels = cell.cell.rpartition("@")
    parts: list[RenderableType] = [Text(f"{data}, {budget(labels)} (section {cell.section})", style="bold")]
    parts += [_protocol(protocol, lines) for protocol, lines in cell.protocols.items()]
    if cell.apart:
        parts.append(Text("Measured under another protocol, so not compared:"))
        parts += [Text(f"  {_apart(row)}") for row in _once(cell.apart)]
    return parts


def _protocol(protocol: tuple[str, ...], lines: Sequence[Line]) -> RenderableType:
    backbone, kind, started, frames, epochs = protocol
    start = {"yes": "ImageNet weights", "no": "no ImageNet weights"}.get(started, "initialisation not stated")
    length = f"{frames or '?'} frames, {epochs or '?'} epochs, {INPUTS.get(kind, kind)}"
    measured = any(line.measured is not None for line in lines)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, header in enumerate(COLUMNS):
        if measured or i not in OF_MEASURED:
            numeric = "%" in header or header == "difference"
            table.add_column(
                header,
                justify="right" if numeric else "left",
                overflow="fold",
                no_wrap=header in ("table", "notes"),
                min_width=12 if header == "method" else None,
            )
    for line in lines:
        cells = _cells(line)
        table.add_row(*(Text(cell) for i, cell in enumerate(cells) if measured or i not in OF_MEASURED))
    said = "" if measured else ": nothing measured yet"
    return Group(Text(f"{backbone}, {start}, {length}{said}"), table)


INPUTS = {
    "V": "input frames",
    "VG": "input frames and temporal gradients",
    "VFG": "input frames, optical flow and temporal gradients",
    "image": "input single images",
}
"""What a table's letters stand for; others are shown as they are printed."""
COLUMNS = (
    "method",
    "published %",
    "measured % (95 %)",
    "entry",
    "difference",
    "verdict",
    "table",
    "notes",
)
OF_MEASURED = (2, 3, 4, 5)
"""Columns that say something of measured rows only."""


def _cells(line: Line) -> tuple[str, ...]:
    figure, mean = line.figure, line.measured
    difference = NONE if mean is None else signed(mean.estimate - figure.top1)
    notes = " ".join(f"[{n}]" for n in sorted(line.notes))
    return (
        figure.method,
        percent(figure.top1),
        _measured(mean) if mean is not None else "not run",
        line.entry or NONE,
        difference,
        line.verdict or NONE,
        figure.table,
        notes,
    )


def _measured(mean: MeanInterval) -> str:
    return percent(mean.estimate) + interval(mean.low, mean.high)


def _once(rows: Sequence[Apart]) -> list[Apart]:
    """One line per entry and set of differences: a row departs from many figures in the same way."""
    seen: dict[tuple[str, tuple[str, ...]], Apart] = {}
    for row in rows:
        seen.setdefault((row.entry, row.differs), row)
    return list(seen.values())


def _apart(row: Apart) -> str:
    return f"{row.entry} {_measured(row.measured)} %: {'; '.join(row.differs)} (as {row.figure.method})"


def _legend(found: Beside) -> str:
    points = f"{100 * found.tolerance:g} points"
    return (
        f"agrees: the measured 95 % interval lies within ±{points} of the published number; higher, lower: "
        "it lies wholly outside; undecided: neither. Different protocols are never ranked together."
    )


def _parameters(extra: Sequence[Extra]) -> str:
    rows = [f"{e.row} {e.value:g}" for e in extra if e.column == PARAMETERS]
    return f"Published parameters in millions: {', '.join(rows)}."


def _others(extra: Sequence[Extra]) -> list[RenderableType]:
    """What else the tables of these cells print (times, shares), as it is; nothing measured stands beside."""
    parts: list[RenderableType] = []
    for name in dict.fromkeys(each.table for each in extra):
        mine = [each for each in extra if each.table == name]
        value = {(each.row, each.column): f"{each.value:g}" for each in mine}
        rows = {each.row: f"{each.row}, {each.unit}" for each in mine}
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        for header in rows.values():
            table.add_column(header, justify="right")
        for column in dict.fromkeys(each.column for each in mine):
            table.add_row(column, *(value.get((row, column), NONE) for row in rows))
        parts += [Text(f"Also published in {name}:"), table]
    return parts
