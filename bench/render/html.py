"""The leaderboard as one HTML file without any network: styles, script and pictures are inside.

Everything that comes from suites, data sets and trials goes through Jinja's autoescape; a content security
policy lets no script run but our own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.board import Board, Row
from bench.records import Run
from bench.render import over_data, sentences, svg, tables, words
from bench.render.columns import EXPLAINED
from bench.render.details import CURVES, Details, class_sizes, frequent_confusions
from bench.render.markdown import Picture, Pictures
from bench.render.palette import BASELINE, Look, looks
from bench.render.small_print import small_print
from bench.render.tables import Table
from bench.suite import LoadedSuite
from bench.summary import Summary, summaries

TEMPLATES = Path(__file__).parent / "templates"
MOST_CLASSES = 20
"""Classes of a confusion matrix that a page shows as a table; with more it lists the frequent confusions."""
LISTED = 20

MANY = {"class_accuracy": "accuracy of a class", "budget": "at each label budget"}
"""Names of columns that a table has several of."""

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
NUMBER = re.compile(r"(?:< )?([+-]?(?:\d[\d,]*)?\.?\d+)(?: (s|min|h)\b)?")


@dataclass(frozen=True)
class Cell:
    """Text, and what it is sorted by (empty: by its text; nothing to say sorts last)."""

    text: str
    sort: str


@dataclass(frozen=True)
class ShownTable:
    """A table of the page: `columns` are (key, header, is a number), `rows` (entry, bold, cells)."""

    columns: tuple[tuple[str, str, bool], ...]
    rows: tuple[tuple[str, bool, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Confusion:
    """Answers of one entry: a matrix in percent, or, with many classes, the frequent confusions."""

    entry: str
    matrix: tuple[tuple[str, tuple[int, ...]], ...] = ()
    frequent: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShownBoard:
    """A board as the template wants it."""

    anchor: str
    title: str
    headline: str
    verdict: str
    ranking: ShownTable | None
    apart: tuple[tuple[str, ShownTable], ...]
    reservations: tuple[str, ...]
    measurement: ShownTable | None
    quality: ShownTable | None
    per_class: ShownTable | None
    classes: tuple[str, ...]
    confusions: tuple[Confusion, ...]
    charts: tuple[tuple[str, Markup], ...]
    legend: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class Image:
    """A picture inside the page."""

    source: str
    shows: str
    minor: bool


@dataclass(frozen=True, kw_only=True)
class ShownData:
    """The boards of one data set, their summary over label budgets, and their pictures."""

    boards: tuple[ShownBoard, ...]
    budgets: tuple[str, ShownTable] | None
    images: tuple[Image, ...]


@dataclass(frozen=True, kw_only=True)
class ShownSummary:
    """The claims over several data sets."""

    title: str
    table: ShownTable | None
    said: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ShownSection:
    """A section of the suite."""

    title: str
    data: tuple[ShownData, ...]
    summaries: tuple[ShownSummary, ...]
    images: tuple[Image, ...]
    small_print: tuple[tuple[str, str], ...]


def html(
    loaded: LoadedSuite,
    run: Run,
    boards: Sequence[Board],
    details: Sequence[Mapping[str, Details]],
    pictures: Pictures,
    files: Mapping[str, bytes],
) -> str:
    """The whole page; the same records give the same bytes.

    Args:
        loaded: the suite.
        run: for its notes and the names of classes.
        boards: all boards.
        details: of each board, in the same order.
        pictures: which figures there are.
        files: the bytes of their SVG files, by path.
    """
    maker = _Maker(loaded, run, looks(loaded.suite), pictures, files)
    sections = maker.sections(boards, details)
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    headers = {key: header for table in _tables(sections) for key, header, _ in table.columns}
    headers |= {key: name for key, name in MANY.items() if key in headers}
    return environment.get_template("leaderboard.html.j2").render(
        title=loaded.suite.title,
        notes=notes(run, boards),
        sections=sections,
        columns=[(key, headers[key], text) for key, text in EXPLAINED.items() if key in headers],
        style=Markup(style),  # our own file
        script=Markup(script),  # our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def notes(run: Run, boards: Sequence[Board]) -> list[str]:
    """What kind of run this was."""
    lines = list(run.banner)
    barred = sum(number for board in boards for number in board.barred.values())
    if barred:
        lines.append(f"{words.count(barred, 'finished trial')} kept off the boards; see there.")
    lines += [
        f"Data set {name} was not on this machine; add it with: {command}"
        for name, command in run.absent.items()
    ]
    return lines


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _tables(sections: Sequence[ShownSection]) -> list[ShownTable]:
    found: list[ShownTable | None] = []
    for data in (data for section in sections for data in section.data):
        found += [data.budgets[1]] if data.budgets else []
        for board in data.boards:
            found += [board.ranking, board.measurement, board.quality, board.per_class]
            found += [table for _, table in board.apart]
    found += [summary.table for section in sections for summary in section.summaries]
    return [table for table in found if table is not None]


@dataclass(frozen=True)
class _Maker:
    """Turns boards into what the template shows."""

    loaded: LoadedSuite
    run: Run
    look: Mapping[str, Look]
    pictures: Pictures
    files: Mapping[str, bytes]

    def sections(
        self, boards: Sequence[Board], details: Sequence[Mapping[str, Details]]
    ) -> tuple[ShownSection, ...]:
        """Sections with boards, in the suite's order."""
        found = []
        numbered = list(enumerate(zip(boards, details, strict=True), 1))
        over = summaries(boards)
        for name, section in self.loaded.suite.sections.items():
            mine = [(number, board, known) for number, (board, known) in numbered if board.section == name]
            if not mine:
                continue
            names = dict.fromkeys(board.data for _, board, _ in mine)
            found.append(
                ShownSection(
                    title=section.title,
                    data=tuple(self._data([b for b in mine if b[1].data == data]) for data in names),
                    summaries=tuple(_summary(each) for each in over if each.section == name),
                    images=self._images(name, ""),
                    small_print=tuple(small_print([board for _, board, _ in mine], self.loaded)),
                )
            )
        return tuple(found)

    def _data(self, mine: Sequence[tuple[int, Board, Mapping[str, Details]]]) -> ShownData:
        boards = [board for _, board, _ in mine]
        drawn = [board for board in boards if not board.pinned and board.ranked and board.measure == "top1"]
        budgets = None
        if len(drawn) > 1:
            budgets = (boards[0].data, shown(tables.over_budgets(drawn)))
        return ShownData(
            boards=tuple(self._board(number, board, known) for number, board, known in mine),
            budgets=budgets,
            images=self._images(boards[0].section, boards[0].data),
        )

    def _images(self, section: str, data: str) -> tuple[Image, ...]:
        pictures = self.pictures.get((section, data), ())
        return tuple(_image(picture, self.files) for picture in pictures if not picture.in_page)

    def _board(self, number: int, board: Board, known: Mapping[str, Details]) -> ShownBoard:
        ranked = bool(board.ranked or board.unranked)
        # Answers class by class and curves are shown once, with the board on top-1.
        described = board.rows if board.measure == "top1" else ()
        confusions = [row for row in described if known[row.entry.label].confusion is not None]
        names: tuple[str, ...] = ()
        if confusions:
            names = self.run.class_names(board.data, _classes(confusions[0], known))
        charts, legend = self._charts(described, known)
        return ShownBoard(
            anchor=f"board-{number}",
            title=words.title(board),
            headline=sentences.headline(board),
            verdict=" ".join(text for text in sentences.verdict(board) if text) if ranked else "",
            ranking=shown(tables.ranking(board)) if ranked else None,
            apart=tuple(
                (what, shown(tables.apart(board, rows)))
                for rows, what in (
                    (board.bounds, "Bound: all training clips labeled; unranked, in no test"),
                    (
                        board.references,
                        "For reference: differs in what the others share; unranked, in no test",
                    ),
                )
                if rows
            ),
            reservations=tuple(text for text in sentences.reservations(board) if text),
            measurement=shown(tables.measurement(board, self.loaded)) if board.rows else None,
            quality=shown(tables.quality(board)) if described else None,
            per_class=shown(_per_class(board, confusions, known, names)) if confusions else None,
            classes=names,
            confusions=tuple(_confusion(row, known[row.entry.label], names) for row in confusions),
            charts=charts,
            legend=legend,
        )

    def _charts(
        self, described: Sequence[Row], known: Mapping[str, Details]
    ) -> tuple[tuple[tuple[str, Markup], ...], tuple[tuple[int, str, str], ...]]:
        rows = [row for row in described if known[row.entry.label].curves]
        numbers = {row.entry.label: i for i, row in enumerate(rows)}
        charts = []
        for name, title in CURVES.items():
            lines = [
                svg.Line(numbers[row.entry.label], row.entry.label, self._color(row), curve)
                for row in rows
                if (curve := known[row.entry.label].curves.get(name)) is not None
            ]
            if lines:
                percent = name in ("coverage", "precision")
                charts.append((f"{title}, %" if percent else title, svg.chart(title, lines, percent)))
        legend = [
            (number, label, self._color(row))
            for row, (label, number) in zip(rows, numbers.items(), strict=True)
        ]
        return tuple(charts), tuple(legend)

    def _color(self, row: Row) -> str:
        """The color of the figures; near black becomes the color of the text, which is light on dark."""
        color = self.look[row.entry.label].color
        return "var(--ink)" if color == BASELINE else color


def _summary(summary: Summary) -> ShownSummary:
    return ShownSummary(
        title=over_data.title(summary),
        table=shown(over_data.table(summary)) if summary.ranked else None,
        said=tuple(over_data.sentences(summary)),
    )


def _classes(row: Row, known: Mapping[str, Details]) -> int:
    counts = known[row.entry.label].confusion
    return 0 if counts is None else len(counts)


def _image(picture: Picture, files: Mapping[str, bytes]) -> Image:
    content = base64.b64encode(files[picture.svg]).decode()
    return Image(f"data:image/svg+xml;base64,{content}", picture.shows, picture.minor)


def _per_class(
    board: Board, rows: Sequence[Row], known: Mapping[str, Details], names: Sequence[str]
) -> Table:
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


def _confusion(row: Row, found: Details, names: Sequence[str]) -> Confusion:
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


def shown(table: Table) -> ShownTable:
    """A table with what its columns are sorted by."""
    bold = table.bold or tuple(False for _ in table.rows)
    body = [tuple(Cell(text, sort_key(text)) for text in row) for row in table.rows]
    numeric = [_numeric([row[i] for row in body]) for i in range(len(table.header))]
    entry = table.header.index("entry") if "entry" in table.header else 0
    return ShownTable(
        tuple(zip(table.keys, table.header, numeric, strict=True)),
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
