"""Curves over training: losses, and how many pseudo-labels were used and were right."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import Board, Row
from bench.render.details import CURVES, Curve, Details, decades, loss_range
from bench.render.figures.canvas import Looks, canvas, settings, wrap
from bench.render.palette import Look
from bench.render.words import title

LOSSES = ("loss", "other")
PSEUDO_LABELS = ("coverage", "precision")


def drawn(board: Board, details: Mapping[str, Details], names: Sequence[str]) -> list[str]:
    """Which of these curves any entry has, rows outside the families left aside."""
    known = [details[row.entry.label].curves for row in (*board.ranked, *board.unranked)]
    return [name for name in names if any(name in curves for curves in known)]


def curves(board: Board, details: Mapping[str, Details], looks: Looks, names: Sequence[str]) -> Figure:
    """One panel per curve: a line for the mean over the seeds of each entry, a band for their range.

    Rows outside the families are left out: they look alike, and have other labels or other data.
    """
    panels = drawn(board, details, names)
    rows = [
        row
        for row in (*board.ranked, *board.unranked)
        if any(name in details[row.entry.label].curves for name in panels)
    ]
    with settings():
        figure, axes = canvas(3.1 * len(panels) + 0.6, 1, len(panels), sharex=True)
        for ax, name in zip(axes, panels, strict=True):
            for i, row in enumerate(rows):
                curve = details[row.entry.label].curves.get(name)
                if curve is not None:
                    _curve(ax, curve, looks[row.entry.label], name in PSEUDO_LABELS, i)
            mine = [details[row.entry.label].curves for row in rows]
            _axis(ax, name, [each[name] for each in mine if name in each])
        axes[0].legend(
            handles=[_handle(row, looks[row.entry.label]) for row in rows],
            loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=10,
        )  # fmt: skip
        axes[-1].set_xlabel("optimizer step")
        axes[0].set_title(
            f"{title(board)}\nline: mean over the seeds; band: from the lowest to the highest", fontsize=12
        )
        return figure


def _curve(ax: Axes, curve: Curve, look: Look, share: bool, i: int) -> None:
    scale = 100 if share else 1
    ax.fill_between(
        curve.step, scale * curve.low, scale * curve.high, color=look.color, alpha=0.12, linewidth=0
    )
    # A marker now and then, at other places for each entry, so that nothing depends on color alone.
    every = max(len(curve.step) // 5, 1)
    ax.plot(
        curve.step, scale * curve.mean, color=look.color, linewidth=1.6, marker=look.marker, markersize=5,
        markeredgecolor="white", markevery=(min(i % every, len(curve.step) - 1), every),
    )  # fmt: skip


def _axis(ax: Axes, name: str, curves: Sequence[Curve]) -> None:
    ax.grid(visible=False, axis="x")
    if name in PSEUDO_LABELS:
        ax.set_ylabel(wrap(f"{CURVES[name]} (%)", 26), fontsize=10)
        ax.set_ylim(-2, 102)
    else:
        ax.set_ylabel(wrap(CURVES[name], 26), fontsize=10)
        low, high = loss_range(curves)
        ax.set_ylim(max(low, 1e-6), max(high, 1e-5))  # first: losses may all be 0, which no logarithm shows
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Data has no positive values", UserWarning)
            ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(low, high)
        powers = decades(low, high)
        ax.set_yticks(powers, [f"{power:g}" for power in powers])


def _handle(row: Row, look: Look) -> Line2D:
    return Line2D([], [], color=look.color, marker=look.marker, label=wrap(row.entry.label))
