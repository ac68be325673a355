"""Who is shown to differ from whom: a matrix of all pairs, and a line with a bar under each group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.board import Board
from bench.families import Comparison, Families
from bench.render.figures.canvas import Looks, accuracy_name, canvas, settings, wrap
from bench.render.words import p_value, signed, title

BETTER, WORSE, SAME = "#9ecae1", "#fdc086", "#f2f2f2"
"""Light blue, light orange, gray: told apart with any color vision, with black text readable on them."""


def pairs_matrix(board: Board, families: Families) -> Figure:
    """Row minus column in points for all pairs of family A, with adjusted p; colored where significant."""
    order, k = families.groups.order, len(families.groups.order)
    names = [wrap(row.entry.label, 18) for row in board.ranked]
    with settings():
        figure, (ax,) = canvas(0.58 * k + 2.0)
        for y in range(k):
            for x in range(k):
                if x != y:
                    _cell(ax, x, y, families.against(order[y], order[x]), board.suite.alpha, k)
        ax.set_xlim(-0.5, k - 0.5)
        ax.set_ylim(k - 0.5, -0.5)
        ax.set_xticks(range(k), names, rotation=35 if k > 4 else 0, ha="right" if k > 4 else "center")
        ax.set_yticks(
            range(k), [f"{n}  {families.groups.letters[i]}" for n, i in zip(names, order, strict=True)]
        )
        ax.grid(visible=False)
        ax.spines["bottom"].set_visible(False)
        ax.set_title(
            f"{title(board)}: row minus column, in points, with adjusted p (family A)\n"
            "blue: row better, orange: row worse, gray: not shown to differ"
        )
        return figure


def _cell(ax: Axes, x: int, y: int, c: Comparison, alpha: float, k: int) -> None:
    color = SAME
    if c.significant(alpha):
        color = BETTER if c.estimate > 0 else WORSE
    ax.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=color, edgecolor="none"))
    p = p_value(c.adjusted_p)
    text = f"{signed(c.estimate)}\np {p}" if p.startswith("<") else f"{signed(c.estimate)}\np = {p}"
    ax.text(x, y, text, ha="center", va="center", fontsize=_size(k), color="#111111")


def _size(k: int) -> int:
    """The largest letters that fit into a cell."""
    return 9 if k <= 8 else 8 if k <= 10 else 7


def board_diagram(board: Board, families: Families, looks: Looks) -> Figure:
    """Mean accuracies on a line; a bar joins entries that are not shown to differ (the group letters)."""
    means = [100 * row.mean.estimate if row.mean else np.nan for row in board.ranked]
    place = {index: i for i, index in enumerate(families.groups.order)}
    bars = [sorted(place[i] for i in clique) for clique in families.groups.maximal_cliques if len(clique) > 1]
    caption = "a bar joins entries that are not shown to differ (family A, Holm)"
    colors = [looks[row.entry.label].color for row in board.ranked]
    names = [row.entry.label for row in board.ranked]
    with settings():
        figure = _diagram(means, names, colors, bars, f"{title(board)}: groups\n{caption}")
        figure.axes[0].set_xlabel(accuracy_name(board))
        return figure


def critical_difference(
    ranks: Sequence[float], names: Sequence[str], colors: Sequence[str], cd: float, datasets: int, what: str
) -> Figure:
    """Average ranks over data sets with Nemenyi's critical difference (Demšar, JMLR 2006): a display only.

    Args:
        ranks: (methods,) average ranks, 1 is best.
        names: (methods,).
        colors: (methods,).
        cd: critical difference.
        datasets: how many were ranked.
        what: title of the section.
    """
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    line = [ranks[i] for i in order]
    caption = (
        f"average rank over {datasets} data sets; a bar spans less than the critical difference, {cd:.2f}"
    )
    sorted_names, sorted_colors = [names[i] for i in order], [colors[i] for i in order]
    with settings():
        figure = _diagram(line, sorted_names, sorted_colors, spans(line, cd), f"{what}\n{caption}")
        figure.axes[0].set_xlabel(
            "average rank, 1 is best (Nemenyi; a display only: tests are in the tables)"
        )
        return figure


def spans(line: Sequence[float], cd: float) -> list[list[int]]:
    """Maximal runs of sorted ranks that lie within the critical difference of each other."""
    found: list[list[int]] = []
    for first in range(len(line)):
        last = max(i for i in range(first, len(line)) if line[i] - line[first] <= cd)
        if last > first and (not found or last > found[-1][-1]):
            found.append(list(range(first, last + 1)))
    return found


def _diagram(
    values: Sequence[float],
    names: Sequence[str],
    colors: Sequence[str],
    bars: Sequence[Sequence[int]],
    head: str,
) -> Figure:
    """Points on a line with their names to both sides, and below it a bar with dots for each group."""
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 1.0
    left = [i for i in range(len(values)) if values[i] <= (low + high) / 2]
    right = [i for i in range(len(values)) if i not in left]
    lines = max(len(left), len(right))
    figure, (ax,) = canvas(0.3 * lines + 0.17 * len(bars) + 1.7)
    ax.axhline(0, color="#444444", linewidth=1.2)
    # The outermost point has the lowest name, so that no leader crosses another.
    for side, sign in ((left, 1), (right, -1)):
        for level, i in enumerate(sorted(side, key=lambda i: (sign * values[i], i)), 1):
            _leader(ax, values[i], 0.8 * level, names[i], colors[i], to_left=sign > 0)
    for level, bar in enumerate(bars):
        inside, y = [values[i] for i in bar], -0.5 - 0.45 * level
        ends = [min(inside) - room / 3, max(inside) + room / 3]
        ax.plot(ends, [y, y], color="#333333", linewidth=4, solid_capstyle="butt")
        ax.plot(inside, [y] * len(inside), "o", color="white", markersize=3.2, markeredgewidth=0)
    ax.set_xlim(low - room, high + room)
    ax.set_ylim(-0.5 - 0.45 * max(len(bars), 1), 0.8 * lines + 0.6)
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.set_title(head)
    return figure


def _leader(ax: Axes, x: float, y: float, name: str, color: str, to_left: bool) -> None:
    """A point on the line, and from it a line up and out to its name at the edge."""
    across = ax.get_yaxis_transform()  # x from 0 to 1 over the axes, y as data
    edge = 0.0 if to_left else 1.0
    ax.plot([x, x], [0, y], color=color, linewidth=1.2)
    ax.annotate(
        "",
        xy=(x, y),
        xytext=(edge, y),
        xycoords="data",
        textcoords=across,
        arrowprops={"arrowstyle": "-", "color": color, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
    )
    ax.plot([x], [0], "o", color=color, markersize=8, markeredgecolor="white", zorder=4)
    place, side = (edge - 0.01, "right") if to_left else (edge + 0.01, "left")
    ax.text(place, y, wrap(name, 24), transform=across, va="center", ha=side, fontsize=10)
