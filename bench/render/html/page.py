"""The whole page.

Everything that comes from suites, data sets and trials goes through Jinja's autoescape; a content security
policy lets no script run but our own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.board import Board
from bench.records import Run
from bench.render import words
from bench.render.columns import EXPLAINED
from bench.render.details import Details
from bench.render.html.boards import Maker
from bench.render.html.shown import ShownSection, ShownTable
from bench.render.markdown import Pictures
from bench.render.palette import looks
from bench.suite import LoadedSuite

TEMPLATES = Path(__file__).parent.parent / "templates"

MANY = {"class_accuracy": "accuracy of a class", "budget": "at each label budget"}
"""Names of columns that a table has several of."""


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
    maker = Maker(loaded, run, looks(loaded.suite), pictures, files)
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
    headers = {column.key: column.header for table in _tables(sections) for column in table.columns}
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
