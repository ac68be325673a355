"""Confusion matrices of a board, one small picture per entry on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.board import Board, Row
from bench.render.details import Details
from bench.render.figures.canvas import canvas, settings, wrap
from bench.render.words import percent, title

MOST = 9
"""Pictures; with more entries the first in the order of the board."""
NAMED = 16
"""Classes that an axis can name; with more, their numbers are shown."""
COLORS = "cividis"
"""Rises in lightness alone, so that it reads the same with any color vision and in gray."""


def shown(board: Board, details: Mapping[str, Details]) -> list[Row]:
    """The rows that the figure has pictures of."""
    rows = [row for row in board.rows if details[row.entry.label].confusion is not None]
    return rows[:MOST]


def confusions(board: Board, details: Mapping[str, Details], classes: Sequence[str]) -> Figure:
    """Share of each true class's clips (rows) that got each answer (columns), over all seeds."""
    rows = shown(board, details)
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    with settings():
        figure, axes = canvas(2.5 * lines + 1.2, columns, lines, sharex=True, sharey=True)
        figure.set_layout_engine("constrained", h_pad=0.1)
        for ax in axes[len(rows) :]:
            ax.set_visible(False)
        image = None
        for i, (ax, row) in enumerate(zip(axes, rows, strict=False)):
            counts = details[row.entry.label].confusion
            if counts is not None:
                image = ax.imshow(_shares(counts), vmin=0, vmax=100, cmap=COLORS, interpolation="nearest")
            accuracy = f" {percent(row.mean.estimate)}\u00a0%" if row.mean else ""
            ax.set_title(wrap(f"{row.entry.label}{accuracy}", 22), fontsize=9.5, pad=4)
            _class_axes(ax, classes, left=i % columns == 0, bottom=i >= columns * (lines - 1))
        figure.suptitle(f"{title(board)}: true class (down) and answered class (across)", fontsize=12)
        if image is not None:
            bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
            bar.set_label("% of the class's clips", fontsize=10)
            bar.outline.set_visible(False)
        return figure


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Percent of each true class; clips that were not decoded count in the total only."""
    clips = np.maximum(counts.sum(1, keepdims=True), 1)
    return np.asarray(100 * counts[:, :-1] / clips, dtype=np.float64)


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _class_axes(ax: Axes, classes: Sequence[str], left: bool, bottom: bool) -> None:
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)
    if len(classes) <= NAMED:
        ticks, names = range(len(classes)), [_short(name) for name in classes]
        ax.set_xticks(ticks, names, rotation=90, fontsize=7)
        ax.set_yticks(ticks, names, fontsize=7)
    ax.tick_params(labelleft=left, labelbottom=bottom, length=0)
