"""Measured against published: one figure per protocol; different protocols are never compared."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.beside import Line, PublishedCell
from bench.render.figures.canvas import Looks, beside, canvas, entry_axis, settings, wrap
from bench.render.palette import Look
from bench.render.words import budget, signed


def measured(lines: Sequence[Line]) -> list[Line]:
    """The published figures beside which something was measured."""
    return [line for line in lines if line.measured is not None and line.entry is not None]


def measured_against_published(
    cell: PublishedCell, lines: Sequence[Line], looks: Looks, tolerance: float
) -> Figure:
    """The measured mean with its 95 % interval on the band of the published number ± tolerance."""
    data, _, labels = cell.cell.rpartition("@")
    rows = measured(lines)
    with settings():
        figure, (ax,) = canvas(0.5 * len(rows) + 1.9)
        for y, line in enumerate(rows):
            _line(ax, y, line, looks[str(line.entry)], tolerance)
        entry_axis(ax, [wrap(f"{line.entry} ({line.verdict})") for line in rows])
        ax.set_xlabel("top-1 accuracy, %; right: measured minus published, in points")
        ax.set_title(
            f"{data}, {budget(labels)}: measured against published\ngray: published ±{100 * tolerance:g} "
            "points; large: measured mean with 95 % interval"
        )
        return figure


def _line(ax: Axes, y: float, line: Line, look: Look, tolerance: float) -> None:
    mean, published = line.measured, line.figure.top1
    if mean is None:
        return
    low, high = 100 * (published - tolerance), 100 * (published + tolerance)
    ax.fill_betweenx([y - 0.3, y + 0.3], low, high, color="#e2e2e2", linewidth=0, zorder=1)
    ax.plot([100 * published] * 2, [y - 0.3, y + 0.3], color="#555555", linewidth=1.6, zorder=2)
    if mean.low is not None and mean.high is not None:
        ends = [100 * max(mean.low, 0.0), 100 * min(mean.high, 1.0)]
        ax.plot(ends, [y, y], color=look.color, linewidth=2.2, zorder=3)
    ax.plot(
        [100 * mean.estimate], [y], look.marker, color=look.color, markersize=9, markeredgecolor="white",
        zorder=4,
    )  # fmt: skip
    beside(ax, y, signed(mean.estimate - published))
