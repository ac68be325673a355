"""The teacher of methods that tell of it: accuracy by confidence and by fluctuation; fluctuation by data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import teacher
from bench.board import Board
from bench.render.figures.canvas import Looks, canvas, settings, wrap
from bench.render.words import title

AXES = {"confidence": (0.1, 1.0), "deviation": (0.02, 0.2)}
"""Width of a bin, and where the last one begins to be open."""

FEW = 10
"""Bins with fewer clips, all seeds together, are left out: their accuracy is mostly chance."""

Tables = Mapping[str, Sequence[pd.DataFrame]]
"""Label of an entry -> the table of every seed."""


def told(board: Board) -> dict[str, list[pd.DataFrame]]:
    """What the trials of a board tell of their teachers; entries that tell nothing are left out."""
    found: dict[str, list[pd.DataFrame]] = {}
    for row in (*board.ranked, *board.unranked):
        folders = [record.folder for record in row.records if record.status == "done" and record.folder]
        tables = [table for table in (teacher.read(folder.path) for folder in folders) if table is not None]
        if tables:
            found[row.entry.label] = tables
    return found


def fluctuates(tables: Tables) -> bool:
    """Whether any entry made several predictions of a clip: a single one has no deviation."""
    return any(bool(table["deviation"].notna().any()) for mine in tables.values() for table in mine)


def reliability(board: Board, tables: Tables, looks: Looks) -> Figure:
    """Accuracy of pseudo-labels after training by the teacher's confidence and by its deviation."""
    with settings():
        figure, axes = canvas(3.6, 2, 1, sharey=True)
        for ax, (column, (width, most)) in zip(axes, AXES.items(), strict=True):
            for label, mine in tables.items():
                points = teacher.accuracy_by(pd.concat(mine), column, width, most)
                points = points[points["clips"] >= FEW]
                ax.plot(
                    points["middle"], 100 * points["accuracy"], color=looks[label].color,
                    marker=looks[label].marker, markeredgecolor="white", label=wrap(label, 22),
                )  # fmt: skip
            ax.set_xlim(0, most)
            ax.set_ylim(-2, 102)
        axes[0].plot([0, 1], [0, 100], color="#999999", linewidth=1, linestyle=":")
        axes[0].set_xlabel("mean probability of the pseudo-label")
        axes[1].set_xlabel(
            f"its standard deviation over the passes\n(last bin: open above {AXES['deviation'][1]:g})"
        )
        axes[0].set_ylabel("right pseudo-labels, %")
        _legend(axes[1])
        axes[0].set_title(f"{title(board)}\nunlabeled clips after training, all seeds together", fontsize=12)
        return figure


def fluctuation(boards: Sequence[Board], tables: Sequence[Tables], looks: Looks) -> Figure:
    """Mean deviation of the teacher on each data set and budget; the line spans the seeds."""
    with settings():
        figure, (ax,) = canvas(1.2 + 0.6 * len(boards))
        labels = list(dict.fromkeys(label for each in tables for label in each))
        for place, label in enumerate(labels):
            shift = 0.5 * ((place + 0.5) / len(labels) - 0.5)
            for y, each in enumerate(tables):
                means = [float(table["deviation"].mean()) for table in each.get(label, ())]
                if not means or bool(np.isnan(means).any()):
                    continue
                look = looks[label]
                ax.plot([min(means), max(means)], [y + shift] * 2, color=look.color, linewidth=1.4)
                ax.plot(
                    [float(np.mean(means))], [y + shift], color=look.color, marker=look.marker, linestyle="",
                    markeredgecolor="white", label=wrap(label, 22),
                )  # fmt: skip
        ax.set_yticks(range(len(boards)), [title(board) for board in boards])
        ax.set_ylim(len(boards) - 0.5, -0.5)
        ax.set_xlim(left=0)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("standard deviation of the pseudo-label's probability over the passes")
        _legend(ax)
        return figure


def _legend(ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    ax.legend(
        once.values(), once.keys(), loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=10
    )
