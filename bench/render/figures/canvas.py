"""What all figures share: paper, fonts, axes with names of entries, files with the same bytes each time."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bench.board import Board, Row
from bench.render.palette import Look

WIDTH = 8.0  # inches; 1,200 px at `DPI`, shown at about 800 in a README
DPI = 150
PAD = 0.12  # inches around a saved figure
SETTINGS: Any = {
    **sns.axes_style("whitegrid"),
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same bytes everywhere
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": "#bbbbbb",
    "grid.color": "#e6e6e6",
    "text.parse_math": False,  # a label with dollar signs is a label
    "svg.hashsalt": "sefar-bench",
    "svg.fonttype": "path",
}
Looks = Mapping[str, Look]


def settings() -> Any:
    """A context in which figures are made and saved."""
    return mpl.rc_context(SETTINGS)


def canvas(height: float, columns: int = 1, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of full width and `height` inches with a grid of axes, row by row."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    axes = [ax for line in grid for ax in line]
    for ax in axes:
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
    return figure, axes


def entry_axis(ax: Axes, names: Sequence[str]) -> None:
    """One line per entry, the first on top."""
    ax.set_yticks(range(len(names)), list(names))
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_ylabel("")


def beside(ax: Axes, y: float, text: str, bold: bool = False) -> None:
    """A number to the right of a line of `entry_axis`."""
    ax.annotate(
        text,
        (1.0, y),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=10,
        fontweight="bold" if bold else "normal",
        color="#333333",
    )


def row_name(row: Row) -> str:
    """The label of an entry, with what diverged."""
    diverged = f" ({len(row.diverged)} diverged)" if row.diverged else ""
    return wrap(row.entry.label + diverged)


def wrap(label: str, width: int = 30) -> str:
    """A label on at most two lines."""
    lines = textwrap.wrap(label, width)
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1][: width - 1]}…"]
    return "\n".join(lines) or label


def accuracy_name(board: Board) -> str:
    """What an axis of accuracies shows."""
    kind = "top-1 accuracy" if board.measure == "top1" else "mean per-class accuracy"
    return f"{kind} on test clips, %"


def tight_box(figure: Figure) -> Bbox:
    """What a figure covers, with a little room, in inches: found once for all its files."""
    with settings():
        figure.draw_without_rendering()
        if figure.get_layout_engine() is not None:  # it moves axes at every drawing: settled, then fixed
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            figure.draw_without_rendering()
        return figure.get_tightbbox().padded(PAD)


def as_bytes(figure: Figure, kind: str, box: Bbox | None = None) -> bytes:
    """The file of a figure, `png` or `svg`: no date, no version, the same bytes each time."""
    out = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with settings():
        figure.savefig(out, format=kind, metadata=metadata, bbox_inches=box or tight_box(figure))
    return out.getvalue()
