"""A run as a table for a terminal, and as lines for anything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.progress import clock
from bench.watch import Row, Running, Snapshot

AROUND = 12
"""Lines of a screen that are not rows of entries or running trials."""
NARROW = 100
"""A terminal of fewer columns gets no columns that tell least."""


def head(seen: Snapshot) -> str:
    """The run in a line, as `8 of 30 trials done, 1 failed, 2 running, 20 to do, about 12:03 left`."""
    parts = [f"{seen.done} of {seen.total} trials done"]
    if seen.failed:
        parts.append(f"{seen.failed} failed")
    if seen.running:
        parts.append(f"{len(seen.running)} running")
    if seen.waiting:
        begun = f" ({seen.interrupted} with a checkpoint)" if seen.interrupted else ""
        parts.append(f"{seen.waiting} to do{begun}")
    if seen.left and (seen.running or seen.driver):
        parts.append(f"about {clock(seen.left)} left")
    return ", ".join(parts)


def screen(seen: Snapshot, console: Console, title: str = "") -> RenderableType:
    """The whole view; what does not fit the screen is counted in a last line."""
    line = Text(f"{title}: {head(seen)}" if title else head(seen), style="bold")
    room = max(4, console.height - AROUND)
    running = seen.running[: max(2, room // 2)]
    rows, left_out = _most_telling(seen.rows, max(2, room - len(running)))
    parts: list[RenderableType] = [line]
    if running:
        parts.append(_running_table(running, console.width))
        if len(running) < len(seen.running):
            parts.append(Text(f"  and {len(seen.running) - len(running)} more running", style="dim"))
    parts.append(_entries_table(rows))
    if left_out:
        parts.append(Text(f"  and {left_out} more rows; all: python -m bench status --json", style="dim"))
    return Group(*parts)


def lines(seen: Snapshot) -> list[str]:
    """The same for what is no terminal: one line for the run, one per running trial and per entry."""
    found = [head(seen)]
    found += [f"  {running_line(each)}" for each in seen.running]
    for row in seen.rows:
        score = "" if row.top1 is None else f" top1 {100 * row.top1:.1f} so far"
        failed = f", {row.failed} failed" if row.failed else ""
        found.append(f"  {row.cell} {row.entry}: {row.done} of {row.total} done{failed}{score}")
    return found


def running_line(each: Running) -> str:
    """A running trial, as `synthgym@4 sefar seed=1 step 120/800 loss 1.23 pseudo-labels 71 % right`."""
    parts = [each.planned.line]
    parts.append(f"step {each.step}/{each.steps}" if each.step is not None else "prepares")
    if each.loss is not None:
        parts.append(f"loss {each.loss:.3g}")
    if each.accuracy is not None:
        parts.append(f"pseudo-labels {100 * each.accuracy:.0f} % right")
    if each.wait is not None:
        parts.append(f"data wait {100 * each.wait:.0f} %")
    return " ".join(parts)


def as_json(seen: Snapshot) -> dict[str, Any]:
    """The same for programs."""
    return {
        "total": seen.total,
        "done": seen.done,
        "failed": seen.failed,
        "waiting": seen.waiting,
        "interrupted": seen.interrupted,
        "left_seconds": seen.left,
        "driver": seen.driver,
        "running": [
            {
                "trial": each.planned.spec.id,
                "cell": each.planned.cell,
                "entry": each.planned.entry,
                "seed": each.planned.seed,
                "where": each.where,
                "step": each.step,
                "steps": each.steps,
                "seconds": each.seconds,
                "loss": each.loss,
                "pseudo_label_accuracy": each.accuracy,
                "data_wait_share": each.wait,
            }
            for each in seen.running
        ],
        "entries": [
            {
                "cell": row.cell,
                "entry": row.entry,
                "total": row.total,
                "done": row.done,
                "failed": row.failed,
                "top1": row.top1,
            }
            for row in seen.rows
        ],
    }


def _running_table(running: Sequence[Running], width: int) -> Table:
    wide = width >= NARROW
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("running", no_wrap=True)
    for name in ("step", "loss", "pseudo-labels right", "data wait", "time"):
        table.add_column(name if wide else name.replace("pseudo-labels right", "right"), justify="right")
    if wide:
        table.add_column("where", no_wrap=True, style="dim")
    for each in running:
        cells = [
            each.planned.line,
            "prepares" if each.step is None else f"{each.step}/{each.steps}",
            "" if each.loss is None else f"{each.loss:.3g}",
            "" if each.accuracy is None else f"{100 * each.accuracy:.0f} %",
            "" if each.wait is None else f"{100 * each.wait:.0f} %",
            "" if each.seconds is None else clock(each.seconds),
        ]
        table.add_row(*(Text(cell) for cell in ([*cells, each.where] if wide else cells)))
    return table


def _entries_table(rows: Sequence[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("entry", no_wrap=True)
    for name in ("done", "failed", "top1 so far"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(f"{row.cell} {row.entry}"),
            f"{row.done}/{row.total}",
            str(row.failed) if row.failed else "",
            "" if row.top1 is None else f"{100 * row.top1:.1f}",
        )
    return table


def _most_telling(rows: Sequence[Row], room: int) -> tuple[list[Row], int]:
    """As many rows as fit, in their order: those under way before those that are done or wait."""
    if len(rows) <= room:
        return list(rows), 0

    def rank(row: Row) -> int:
        ended = row.done + row.failed
        return 0 if row.failed or 0 < ended < row.total else 1 if ended else 2

    chosen = sorted(range(len(rows)), key=lambda i: (rank(rows[i]), i))[:room]
    return [rows[i] for i in sorted(chosen)], len(rows) - room
