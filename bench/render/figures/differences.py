"""Forest plots: each entry minus the baseline (family B), or minus the best entry (family A)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.board import Board, Row
from bench.families import Comparison
from bench.render.figures.canvas import Looks, beside, canvas, entry_axis, row_name, settings
from bench.render.palette import Look
from bench.render.words import signed, title

To = Literal["baseline", "best"]


def compared(board: Board, to: To) -> list[tuple[Row, Comparison]]:
    """The ranked rows with a difference to the baseline or to the best row."""
    pairs = [(row, row.to_baseline if to == "baseline" else row.to_best) for row in board.ranked]
    return [(row, comparison) for row, comparison in pairs if comparison is not None]


def differences(board: Board, looks: Looks, to: To = "baseline") -> Figure:
    """Each entry minus the baseline or the best entry: mean, 95 % interval, filled where significant."""
    rows = compared(board, to)
    with settings():
        figure, (ax,) = canvas(0.46 * len(rows) + 1.9)
        margin = board.suite.equivalence_points
        if margin > 0:
            ax.axvspan(-margin, margin, color="#eeeeee", zorder=0, linewidth=0)
        ax.axvline(0, color="#666666", linewidth=1.2, zorder=1)
        for y, (row, comparison) in enumerate(rows):
            _difference(ax, y, comparison, looks[row.entry.label], board.suite.alpha)
        entry_axis(ax, [row_name(row) for row, _ in rows])
        ax.set_xlim(*_limits(rows, margin))
        name = _reference(board, to)
        ax.set_xlabel(
            f"points above {name}" + (f"  (gray: too small to matter, ±{margin:g})" if margin > 0 else "")
        )
        family = "B" if to == "baseline" else "A"
        ax.set_title(
            f"{title(board)}: difference to {name}\nmean and 95 % interval; filled: significant after "
            f"Holm (family {family})"
        )
        return figure


def _reference(board: Board, to: To) -> str:
    if to == "best":
        return f"{board.ranked[0].entry.label}, the best"
    return board.baseline.entry.label if board.baseline else "the baseline"


def _limits(rows: Sequence[tuple[Row, Comparison]], margin: float) -> tuple[float, float]:
    """The range of the axis, what is too small to matter inside.

    The interval of a row that diverged would squeeze all others.
    """
    values = [-margin, margin]
    for row, c in rows:
        ends = () if row.diverged else (c.low, c.high)
        values += [100 * value for value in (c.estimate, *ends) if value is not None]
    room = 0.05 * max(max(values) - min(values), 4.0)
    return min(values) - room, max(values) + room


def _difference(ax: Axes, y: float, c: Comparison, look: Look, alpha: float) -> None:
    marked = c.significant(alpha)
    if c.low is not None and c.high is not None:
        ax.plot([100 * c.low, 100 * c.high], [y, y], color=look.color, linewidth=2.2, zorder=3)
    ax.plot(
        [100 * c.estimate], [y], look.marker, color=look.color, markersize=9, zorder=4, markeredgewidth=1.8,
        markeredgecolor=look.color, markerfacecolor=look.color if marked else "white",
    )  # fmt: skip
    beside(ax, y, signed(c.estimate), bold=marked)
