"""Which figures a report has, and their files.  Import only where figures are made: it loads Matplotlib."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from bench.board import Board
from bench.render import figures
from bench.render.markdown import Picture
from bench.render.palette import Look, looks
from bench.render.words import title
from bench.suite import Suite

FOLDER = "figures"
Write = Callable[[str, bytes], None]
"""Takes a path relative to the report, and what goes there."""


def draw(suite: Suite, boards: Sequence[Board], write: Write) -> dict[tuple[str, str], list[Picture]]:
    """Draws every figure and says where it is, by (section, data set)."""
    drawn = [board for board in boards if board.ranked]
    places = dict.fromkeys((board.section, board.data) for board in drawn)
    look = looks(suite)
    return {
        place: _of_data([b for b in drawn if (b.section, b.data) == place], look, write) for place in places
    }


def _of_data(boards: Sequence[Board], look: dict[str, Look], write: Write) -> list[Picture]:
    """The accuracy of all label budgets together where they share an axis, then the differences."""
    found = []
    for group in _groups(boards):
        first = group[0]
        what, shows = (f"@{first.labels}", title(first)) if len(group) == 1 else ("", first.data)
        name = f"{first.section}-{first.data}{what}-accuracy"
        found.append(_save(figures.accuracy(group, look), name, f"Accuracy on {shows}", write))
    for board in boards:
        if any(row.to_baseline is not None for row in board.ranked):
            name = f"{board.section}-{board.cell}-differences"
            shows = f"Differences to the baseline on {title(board)}"
            found.append(_save(figures.differences(board, look), name, shows, write))
    return found


def _groups(boards: Sequence[Board]) -> list[list[Board]]:
    """Boards that go into one figure: a pinned label draw never joins seeded ones."""
    seeded = [board for board in boards if not board.pinned]
    if not figures.comparable(seeded):
        return [[board] for board in boards]
    return [seeded, *([board] for board in boards if board.pinned)]


def _save(figure: Figure, name: str, shows: str, write: Write) -> Picture:
    files = {kind: f"{FOLDER}/{file_name(name)}.{kind}" for kind in ("png", "svg")}
    for kind, path in files.items():
        write(path, figures.as_bytes(figure, kind))
    return Picture(png=files["png"], svg=files["svg"], shows=shows)


def file_name(text: str) -> str:
    """A name for any file system and URL; one that had to change carries a hash, against collisions."""
    usual = text.replace("%", "pct").replace("@", "-")
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", usual).strip("-")[:80]
    return plain if plain == usual else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
