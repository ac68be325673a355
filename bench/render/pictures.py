"""Which figures a report has, and their files.  Import only where figures are made: it loads Matplotlib."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from bench.beside import beside
from bench.board import Board
from bench.published import load_figures, load_notes
from bench.render.details import Details
from bench.render.figures import canvas, compute, confusion, groups, teacher, training
from bench.render.figures.accuracy import accuracy, comparable
from bench.render.figures.differences import compared, differences
from bench.render.figures.published import measured, measured_against_published
from bench.render.markdown import FOLDER, Picture
from bench.render.palette import Look, looks
from bench.render.words import title
from bench.stats import friedman, nemenyi_cd
from bench.suite import Suite

MOST_BOARDS = 12
"""Reports with more boards have the figures of whole data sets only: nobody looks at hundreds of pictures."""

MOST_IN_MATRIX = 14
"""Entries whose pairs a matrix can hold legibly; the tables have all."""

MIN_DATASETS = 3
"""Fewer give no average rank worth a picture."""

Write = Callable[[str, bytes], None]
"""Takes a path relative to the report, and what goes there."""

DetailsOf = Mapping[str, Details]


def draw(
    suite: Suite,
    boards: Sequence[Board],
    details: Sequence[DetailsOf],
    classes: Callable[[Board], Sequence[str]],
    write: Write,
) -> dict[tuple[str, str], list[Picture]]:
    """Draws every figure and says where it is, by (section, data set); data set "" holds those of a section.

    Args:
        suite: for the colors of its entries.
        boards: all boards.
        details: of each board, in the same order.
        classes: names of the classes of a board's data set.
        write: takes the files.
    """
    look = looks(suite)
    found: dict[tuple[str, str], list[Picture]] = {}
    drawn = [(board, mine) for board, mine in zip(boards, details, strict=True) if board.ranked]
    for place in dict.fromkeys((board.section, board.data) for board, _ in drawn):
        here = [(board, mine) for board, mine in drawn if (board.section, board.data) == place]
        found[place] = _of_data([board for board, _ in here], look, write)
        if len(drawn) <= MOST_BOARDS:
            for board, mine in here:
                found[place] += _of_board(board, mine, classes(board), look, write)
    for place, picture in _published(suite, [board for board, _ in drawn], look, write):
        found[place].append(picture)
    for section in dict.fromkeys(board.section for board, _ in drawn):
        ranks = _ranks([board for board, _ in drawn if board.section == section], suite, look)
        if ranks is not None:
            name = f"{section}-critical-difference"
            found[section, ""] = [_save(ranks, name, "Average ranks over the data sets", write)]
        fluctuation = _fluctuation([board for board, _ in drawn if board.section == section], look, write)
        if fluctuation is not None:
            found.setdefault((section, ""), []).append(fluctuation)
    return found


def _fluctuation(boards: Sequence[Board], look: dict[str, Look], write: Write) -> Picture | None:
    """The fluctuation of teachers on all data of a section, where trials tell of it."""
    told = [(board, teacher.told(board)) for board in boards if board.measure == "top1"]
    known = [(board, tables) for board, tables in told if teacher.fluctuates(tables)]
    if not known:
        return None
    figure = teacher.fluctuation([board for board, _ in known], [tables for _, tables in known], look)
    name = f"{known[0][0].section}-teacher-fluctuation"
    return _save(figure, name, "Fluctuation of the teacher", write, minor=True)


def _of_data(boards: Sequence[Board], look: dict[str, Look], write: Write) -> list[Picture]:
    """The accuracy of all label budgets together where they share an axis."""
    found = []
    for group in _groups(boards):
        first = group[0]
        what, shows = (f"@{first.labels}", title(first)) if len(group) == 1 else ("", first.data)
        name = f"{first.section}-{first.data}{what}{_measure(first)}-accuracy"
        found.append(_save(accuracy(group, look), name, f"Accuracy on {shows}", write))
    return found


def _of_board(
    board: Board, details: DetailsOf, classes: Sequence[str], look: dict[str, Look], write: Write
) -> list[Picture]:
    """The figures of one board: first what was tested, then (minor) what describes it."""
    found: list[Picture] = []

    def add(figure: Figure, kind: str, shows: str, minor: bool = True) -> None:
        name = f"{board.section}-{board.cell}{_measure(board)}-{kind}"
        in_page = kind in ("confusion", "training", "pseudo-labels")
        found.append(_save(figure, name, f"{shows} on {title(board)}", write, minor, in_page))

    if compared(board, "baseline"):
        add(differences(board, look), "differences", "Differences to the baseline", minor=False)
    if board.families is not None and board.tested and len(board.ranked) > 2:
        add(differences(board, look, "best"), "to-best", "Differences to the best entry")
        if len(board.ranked) <= MOST_IN_MATRIX:
            add(groups.pairs_matrix(board, board.families), "pairs", "All pairs")
        add(groups.board_diagram(board, board.families, look), "groups", "Groups of entries")
    if board.measure != "top1":  # answers, curves and times are those of the board on top-1
        return found
    if len(compute.points(board)) > 1 and compute.one_kind_of_machine(board):
        add(compute.accuracy_against_compute(board, look), "compute", "Accuracy against compute")
    if confusion.shown(board, details):
        add(confusion.confusions(board, details, classes), "confusion", "Confusion matrices")
    for names, kind, shows in (
        (training.LOSSES, "training", "Training curves"),
        (training.PSEUDO_LABELS, "pseudo-labels", "Pseudo-label coverage and precision"),
    ):
        if training.drawn(board, details, names):
            add(training.curves(board, details, look, names), kind, shows)
    told = teacher.told(board)
    if told:
        add(teacher.reliability(board, told, look), "teacher", "Trust in the teacher")
    return found


def _published(
    suite: Suite, boards: Sequence[Board], look: dict[str, Look], write: Write
) -> list[tuple[tuple[str, str], Picture]]:
    """Measured against published, for every protocol under which both exist."""
    shown = [board for board in boards if board.measure == "top1"]
    found = []
    both = beside(suite, shown, load_figures(), load_notes())
    for cell in both.cells:
        for number, lines in enumerate(cell.protocols.values(), 1):
            if measured(lines):
                figure = measured_against_published(cell, lines, look, both.tolerance)
                name = f"{cell.section}-{cell.cell}-published-{number}"
                picture = _save(figure, name, f"Measured against published on {cell.cell}", write, minor=True)
                found.append(((cell.section, cell.cell.rpartition("@")[0]), picture))
    return found


def _measure(board: Board) -> str:
    return "" if board.measure == "top1" else "-per-class"


def _groups(boards: Sequence[Board]) -> list[list[Board]]:
    """Boards that go into one figure: neither pinned and seeded label draws nor two measures share one."""
    found = []
    for measure in dict.fromkeys(board.measure for board in boards):
        mine = [board for board in boards if board.measure == measure]
        seeded = [board for board in mine if not board.pinned]
        if comparable(seeded):
            found += [seeded, *([board] for board in mine if board.pinned)]
        else:
            found += [[board] for board in mine]
    return found


def _ranks(boards: Sequence[Board], suite: Suite, look: dict[str, Look]) -> Figure | None:
    """The critical-difference diagram of a section; the label budgets of a data set are averaged first."""
    shown = [board for board in boards if not board.pinned and board.measure == "top1"]
    data = list(dict.fromkeys(board.data for board in shown))
    labels = [
        entry.label
        for entry in suite.sections[shown[0].section].entries
        if all(any(row.entry.label == entry.label for row in board.ranked) for board in shown)
    ] if shown else []  # fmt: skip
    if len(data) < MIN_DATASETS or len(labels) < 3:
        return None
    scores = np.array([[_mean_over_budgets(shown, name, label) for label in labels] for name in data])
    ranks = friedman(scores).average_ranks.tolist()
    cd = nemenyi_cd(len(labels), len(data), suite.alpha)
    colors = [look[label].color for label in labels]
    heading = suite.sections[shown[0].section].title
    return groups.critical_difference(ranks, labels, colors, cd, len(data), heading)


def _mean_over_budgets(boards: Sequence[Board], data: str, label: str) -> float:
    rows = [row for board in boards if board.data == data for row in board.ranked if row.entry.label == label]
    return float(np.mean([row.mean.estimate for row in rows if row.mean is not None]))


def _save(
    figure: Figure, name: str, shows: str, write: Write, minor: bool = False, in_page: bool = False
) -> Picture:
    files = {kind: f"{FOLDER}/{file_name(name)}.{kind}" for kind in ("png", "svg")}
    box = canvas.tight_box(figure)
    for kind, path in files.items():
        write(path, canvas.as_bytes(figure, kind, box))
    return Picture(png=files["png"], svg=files["svg"], shows=shows, minor=minor, in_page=in_page)


def file_name(text: str) -> str:
    """A name for any file system and URL; one that had to change carries a hash, against collisions."""
    usual = text.replace("%", "pct").replace("@", "-")
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", usual).strip("-")[:80]
    return plain if plain == usual else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
