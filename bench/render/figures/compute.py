"""Accuracy against compute: which entries give the most for the time that they take."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.board import Board, Row
from bench.costs import seconds, spent
from bench.families import MIN_SEEDS
from bench.render.figures.canvas import Looks, accuracy_name, canvas, settings, wrap
from bench.render.palette import Look
from bench.render.words import title

Point = tuple[float, float, Row]
"""Mean seconds of a trial, mean accuracy in percent, row."""


def points(board: Board) -> list[Point]:
    """The ranked rows with their mean time; rows outside the families have other labels or data."""
    found = []
    processor = by_processor_time(board)
    for row in board.ranked:
        times = [
            spent(record)[0] if processor else seconds(record.done) for record in row.records if record.done
        ]
        if times and row.mean is not None:
            found.append((sum(times) / len(times), 100 * row.mean.estimate, row))
    return found


def by_processor_time(board: Board) -> bool:
    """Whether all trials tell the processor time of their training: only then is it compared."""
    records = [record for row in board.ranked for record in row.records if record.done]
    return bool(records) and all(spent(record)[1] == "processor" for record in records)


def one_kind_of_machine(board: Board) -> bool:
    """Whether all trials ran on one kind of device and processor; times of others are not compared."""
    kinds = set()
    for row in board.ranked:
        for record in row.records:
            if record.done:
                where = record.done.get("environment", {})
                kinds.add((record.spec.device, str(where.get("gpu")), str(where.get("processor"))))
    return len(kinds) == 1


def front(found: Sequence[Point]) -> list[Point]:
    """The entries than which no other is both faster and better, by time (the Pareto front)."""
    kept: list[Point] = []
    for point in sorted(found, key=lambda p: (p[0], -p[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return kept


def accuracy_against_compute(board: Board, looks: Looks) -> Figure:
    """Mean accuracy, with its interval, against the mean time of a trial; the front is a stepped line."""
    found = points(board)
    best = front(found)
    scale, unit = _unit(max(time for time, _, _ in found))
    with settings():
        figure, (ax,) = canvas(4.6)
        if len(best) > 1:
            times, scores = [time / scale for time, _, _ in best], [score for _, score, _ in best]
            ax.step(times, scores, where="post", color="#999999", linewidth=1.2, linestyle="--", zorder=1)
        for time, score, row in found:
            _point(ax, time / scale, score, row, looks[row.entry.label])
        low, high = ax.get_xlim()
        room = 0.08 * max(high - low, 0.05 * high)
        ax.set_xlim(max(low - room, 0.0), high + room)
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=10)
        what = "processor time of training" if by_processor_time(board) else "by the clock, all of it"
        ax.set_xlabel(f"mean time of one trial, {unit} ({what})")
        ax.set_ylabel(accuracy_name(board))
        ax.set_title(
            f"{title(board)}: accuracy against compute\ndashed: nothing else is both faster and higher"
        )
        return figure


def _unit(most: float) -> tuple[float, str]:
    if most < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if most < 5 * 3600 else (3600.0, "hours")


def _point(ax: Axes, time: float, score: float, row: Row, look: Look) -> None:
    mean = None if row.diverged else row.mean  # one diverged seed would squeeze all others
    if mean is not None and mean.low is not None and mean.high is not None and len(row.used) >= MIN_SEEDS:
        ends = [100 * max(mean.low, 0.0), 100 * min(mean.high, 1.0)]
        ax.plot([time, time], ends, color=look.color, linewidth=1.6, alpha=0.6, zorder=2)
    ax.plot(
        [time], [score], look.marker, color=look.color, markersize=9, markeredgecolor="white", zorder=3,
        label=wrap(row.entry.label),
    )  # fmt: skip
