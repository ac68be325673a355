"""Curves as inline SVG for the HTML page: they follow its colors, and single entries can be hidden."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from bench.render.details import Curve

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 30
"""Room for the axes."""


@dataclass(frozen=True)
class Line:
    """One entry's curve; `number` ties it to its legend box, `color` is a CSS color."""

    number: int
    label: str
    color: str
    curve: Curve


def chart(title: str, lines: Sequence[Line], percent: bool) -> Markup:
    """Lines with the range of the seeds as bands; `percent` for shares, on an axis from 0 to 100."""
    scale = 100.0 if percent else 1.0
    high = 100.0 if percent else max(float(line.curve.high.max()) for line in lines) or 1.0
    last = max(float(line.curve.step[-1]) for line in lines)
    axes = _Axes(max(last, 1.0), high, scale)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(axes),
        *(_line(axes, line) for line in lines),
        "</svg>",
    ]
    return Markup("".join(parts))  # numbers of ours; titles, labels and colors are escaped


@dataclass(frozen=True)
class _Axes:
    last: float
    high: float
    scale: float

    def x(self, step: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * step / self.last:.1f}"

    def y(self, value: float) -> str:
        shown = min(max(value / self.high, 0.0), 1.0)
        return f"{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * shown:.1f}"


def _grid(axes: _Axes) -> list[str]:
    parts = []
    for value in ticks(axes.high):
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

    def ys(values: Sequence[float]) -> list[str]:
        return [axes.y(axes.scale * float(value)) for value in values]

    mean, high, low = (ys(values.tolist()) for values in (c.mean, c.high, c.low))
    band = [*zip(xs, high, strict=True), *reversed(list(zip(xs, low, strict=True)))]
    color, label = escape(line.color), escape(line.label)
    return (
        f'<g data-line="{line.number}" style="--c:{color}"><title>{label}</title>'
        f'<polygon class="band" points="{_points(band)}"/>'
        f'<polyline class="line" points="{_points(zip(xs, mean, strict=True))}"/></g>'
    )


def _points(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{x},{y}" for x, y in pairs)


def ticks(high: float, most: int = 5) -> list[float]:
    """Round numbers from 0 up to `high`, at most `most` steps of 1, 2 or 5 times a power of ten."""
    raw = high / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    return [float(f"{i * step:.10g}") for i in range(int(high / step * (1 + 1e-9)) + 1)]
