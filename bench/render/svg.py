"""Curves as inline SVG for the HTML page: they follow its colors, and single entries can be hidden."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from bench.render.details import Curve, decades, loss_range

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 30
"""Room for the axes."""


@dataclass(frozen=True)
class Line:
    """One entry's curve; `number` ties it to its legend box, `color` is a CSS color.

    `dash`: lengths of dashes and gaps; empty for a line without gaps.
    """

    number: int
    label: str
    color: str
    dash: str
    curve: Curve


def chart(title: str, lines: Sequence[Line], percent: bool) -> Markup:
    """Lines with the range of the seeds as bands.

    `percent` for shares, on an axis from 0 to 100; otherwise losses, on a logarithmic one, since they fall by
    powers of ten.
    """
    last = max(float(line.curve.step[-1]) for line in lines)
    low, high = (0.0, 100.0) if percent else loss_range([line.curve for line in lines])
    axes = _Axes(max(last, 1.0), low, high)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(axes),
        *(_line(axes, line) for line in lines),
        "</svg>",
    ]
    return Markup("".join(parts))  # numbers of ours; titles, labels and colors are escaped


@dataclass(frozen=True)
class _Axes:
    """From step 0 to `last`, and from `low` to `high`: in percent where `low` is 0, else logarithmic."""

    last: float
    low: float
    high: float

    def x(self, step: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * step / self.last:.1f}"

    def y(self, value: float) -> str:
        if self.low > 0:
            shown = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            shown = value / self.high
        shown = min(max(shown, 0.0), 1.0)
        return f"{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * shown:.1f}"


def _grid(axes: _Axes) -> list[str]:
    parts = []
    for value in decades(axes.low, axes.high) if axes.low > 0 else ticks(axes.high):
        y = axes.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y}" dy=".32em" text-anchor="end">{value:g}</text>'
        )
    low = HEIGHT - BOTTOM + 15
    parts += [
        f'<text class="tick" x="{axes.x(step)}" y="{low}" text-anchor="middle">{step:g}</text>'
        for step in ticks(axes.last)
    ]
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">step</text>')
    return parts


def _line(axes: _Axes, line: Line) -> str:
    c = line.curve
    xs = [axes.x(float(step)) for step in c.step]

    scale = 1.0 if axes.low > 0 else 100.0

    def ys(values: Sequence[float]) -> list[str]:
        return [axes.y(scale * float(value)) for value in values]

    mean, high, low = (ys(values.tolist()) for values in (c.mean, c.high, c.low))
    band = [*zip(xs, high, strict=True), *reversed(list(zip(xs, low, strict=True)))]
    color, label = escape(line.color), escape(line.label)
    dash = f' stroke-dasharray="{escape(line.dash)}"' if line.dash else ""
    return (
        f'<g data-line="{line.number}" style="--c:{color}"><title>{label}</title>'
        f'<polygon class="band" points="{_points(band)}"/>'
        f'<polyline class="line"{dash} points="{_points(zip(xs, mean, strict=True))}"/></g>'
    )


def _points(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{x},{y}" for x, y in pairs)


def ticks(high: float, most: int = 5) -> list[float]:
    """Round numbers from 0 up to `high`, at most `most` steps of 1, 2 or 5 times a power of ten."""
    raw = high / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    return [float(f"{i * step:.10g}") for i in range(int(high / step * (1 + 1e-9)) + 1)]
