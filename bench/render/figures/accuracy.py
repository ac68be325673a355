"""Accuracy of the entries of a data set: with one label budget as dots, with several against the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import Board, Row
from bench.families import MIN_SEEDS
from bench.render.figures.canvas import (
    Looks,
    accuracy_name,
    beside,
    canvas,
    entry_axis,
    row_name,
    settings,
    wrap,
)
from bench.render.palette import Look
from bench.render.words import count, percent, title


def accuracy(boards: Sequence[Board], looks: Looks) -> Figure:
    """Accuracy of one data set: against the label budget, or as dots per entry with one budget alone."""
    shown = [board for board in boards if board.ranked]
    budgets = _budgets(shown)
    with settings():
        if budgets is None or len(budgets) < 2:
            return _dots(shown[0], looks)
        return _against_labels(shown, budgets, looks)


def comparable(boards: Sequence[Board]) -> bool:
    """Whether the boards of one data set share an axis of label budgets."""
    budgets = _budgets(boards)
    return budgets is not None and len(budgets) > 1


def _budgets(boards: Sequence[Board]) -> list[float] | None:
    """Numbers for the axis; None where the budgets are of different kinds."""
    labels = [board.labels for board in boards]
    if all(label.isdigit() for label in labels) or all(label.endswith("%") for label in labels):
        return [float(label.rstrip("%")) for label in labels]
    return None


def _dots(board: Board, looks: Looks) -> Figure:
    """One line per entry: the mean with its interval, every seed a dot below it; references under a rule.

    Bounds are named in words: a row far to the right would squeeze all others.
    """
    rows = [*board.ranked, *board.unranked, *board.references]
    rows = [row for row in rows if row.mean is not None]
    figure, (ax,) = canvas(0.5 * len(rows) + 1.6)
    for y, row in enumerate(rows):
        _seed_dots(ax, row, y, looks)
        _mean(ax, row, y, looks[row.entry.label])
    entry_axis(ax, [row_name(row) for row in rows])
    _separate(ax, len(board.ranked), len(rows))
    ax.set_xlim(*_limits(rows))
    bounds = [
        f"bound, off this axis: {row.entry.label} with all labels, {percent(row.mean.estimate)}"
        for row in board.bounds
        if row.mean is not None
    ]
    ax.set_xlabel("\n".join([accuracy_name(board), *bounds]))
    seeds = count(len(board.seeds), "seed")
    shown = "with 95 % interval" if len(board.seeds) >= MIN_SEEDS else "(too few for an interval)"
    ax.set_title(f"{title(board)}\nlarge: mean over {seeds} {shown}; small: one seed each")
    return figure


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """The range of an accuracy axis: seeds that did not diverge, and the intervals of rows without such.

    One diverged seed would otherwise squeeze the whole board into a corner; its dot lies outside.
    """
    values = [100 * row.scores[seed] for row in rows for seed in row.used if seed not in row.diverged]
    values += [100 * row.mean.estimate for row in rows if row.mean is not None]
    for row in rows:
        if not row.diverged and len(row.used) >= MIN_SEEDS and row.mean is not None:
            values += [100 * end for end in (row.mean.low, row.mean.high) if end is not None]
    low, high = max(min(values), 0.0), min(max(values), 100.0)
    room = 0.05 * max(high - low, 4.0)
    return low - room, high + room


def _seed_dots(ax: Axes, row: Row, y: float, looks: Looks) -> None:
    scores = [100 * row.scores[seed] for seed in row.used]
    # Dots of seeds fan out a little in the order of the seeds: no random jitter, the same bytes each time.
    offsets = [y + 0.27 + 0.1 * (i / max(len(scores) - 1, 1) - 0.5) for i in range(len(scores))]
    look = looks[row.entry.label]
    ax.scatter(scores, offsets, color=look.color, marker=look.marker, s=22, alpha=0.6, linewidths=0)


def _mean(ax: Axes, row: Row, y: float, look: Look) -> None:
    if row.mean is None:
        return
    mean, low, high = row.mean.estimate, row.mean.low, row.mean.high
    if low is not None and high is not None and len(row.used) >= MIN_SEEDS:
        ends = [100 * max(low, 0.0), 100 * min(high, 1.0)]
        ax.plot(ends, [y, y], color=look.color, linewidth=2.2, solid_capstyle="butt", zorder=3)
    ax.plot([100 * mean], [y], look.marker, color=look.color, markersize=9, markeredgecolor="white", zorder=4)
    beside(ax, y, percent(mean))


def _against_labels(boards: Sequence[Board], budgets: Sequence[float], looks: Looks) -> Figure:
    """Accuracy against the label budget, one line per entry, with intervals and seed dots."""
    ordered = [board for _, board in sorted(zip(budgets, boards, strict=True), key=lambda pair: pair[0])]
    labels = list(dict.fromkeys(row.entry.label for board in ordered for row in board.ranked))
    figure, (ax,) = canvas(5.6)
    handles = []
    for label in labels:
        look = looks[label]
        _line(ax, ordered, label, look, len(labels))
        shown = wrap(_with_diverged(label, ordered))
        handles.append(Line2D([], [], color=look.color, marker=look.marker, label=shown))
    handles += _bound_lines(ax, ordered, looks)
    ax.set_ylim(*_limits([row for board in ordered for row in (*board.ranked, *board.bounds)]))
    ax.set_xticks(range(len(ordered)), [_tick(board) for board in ordered])
    ax.set_xlim(-0.45, len(ordered) - 0.55)
    percents = ordered[0].labels.endswith("%")
    ax.set_xlabel("labeled share of each class" if percents else "labels per class")
    ax.set_ylabel(accuracy_name(ordered[0]))
    ax.grid(visible=False, axis="x")
    ax.set_title(f"{ordered[0].data}\nlarge: mean with 95 % interval; small: one seed each")
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=10)
    return figure


def _line(ax: Axes, boards: Sequence[Board], label: str, look: Look, most: int) -> None:
    """One entry; the entries of a budget stand side by side around its tick, the highest mean first."""
    xs, means = [], []
    dots: list[tuple[float, float]] = []
    ranges: list[tuple[float, float]] = []  # one line with gaps: a large suite has thousands of ranges
    for i, board in enumerate(boards):
        place = next((at for at, row in enumerate(board.ranked) if row.entry.label == label), None)
        row = None if place is None else board.ranked[place]
        if place is None or row is None or row.mean is None:
            continue
        x = i + 0.76 * (place + 0.5 - len(board.ranked) / 2) / most
        dots += [(x + 0.02, 100 * row.scores[seed]) for seed in row.used]
        low, high = row.mean.low, row.mean.high
        if low is not None and high is not None and len(row.used) >= MIN_SEEDS:
            ranges += [(x, 100 * max(low, 0.0)), (x, 100 * min(high, 1.0)), (math.nan, math.nan)]
        xs.append(x)
        means.append(100 * row.mean.estimate)
    if dots:
        across, scores = np.array(dots).T
        ax.scatter(across, scores, color=look.color, marker=look.marker, s=16, alpha=0.6, linewidths=0)
    if ranges:
        ax.plot(*np.array(ranges).T, color=look.color, linewidth=1.8, zorder=3)
    ax.plot(xs, means, color=look.color, linewidth=1.2, alpha=0.7, zorder=2)
    ax.plot(
        xs,
        means,
        look.marker,
        color=look.color,
        markersize=8,
        markeredgecolor="white",
        linestyle="",
        zorder=4,
    )


def _bound_lines(ax: Axes, boards: Sequence[Board], looks: Looks) -> list[Line2D]:
    """Bounds as dashed lines: they have all labels, whatever the budget."""
    handles: dict[str, Line2D] = {}
    for board in boards:
        for row in board.bounds:
            if row.mean is not None and row.entry.label not in handles:
                look = looks[row.entry.label]
                line = ax.axhline(100 * row.mean.estimate, color=look.color, linestyle="--", linewidth=1.4)
                line.set_label(wrap(f"{row.entry.label} (all labels)"))
                handles[row.entry.label] = line
    return list(handles.values())


def _separate(ax: Axes, ranked: int, rows: int) -> None:
    """A line under the ranked entries."""
    if 0 < ranked < rows:
        ax.axhline(ranked - 0.5, color="#bbbbbb", linewidth=1.0, linestyle=":")


def _with_diverged(label: str, boards: Sequence[Board]) -> str:
    rows = [row for board in boards for row in board.ranked if row.entry.label == label]
    diverged = sum(len(row.diverged) for row in rows)
    return f"{label} ({diverged} diverged)" if diverged else label


def _tick(board: Board) -> str:
    return board.labels.replace("%", " %")
