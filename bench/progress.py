"""What the user sees while trials run: one line per finished trial, progress and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.plan import PlannedTrial

SECONDS = ("prepare_seconds", "train_seconds", "evaluate_seconds")


def clock(seconds: float) -> str:
    """A duration as 0:32, 12:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def seconds_of(record: Mapping[str, Any]) -> float:
    """How long a trial took, data and evaluation included."""
    return sum(float(record.get(name, 0.0)) for name in SECONDS)


def result_line(planned: PlannedTrial, record: Mapping[str, Any], number: int, total: int) -> str:
    """`[8/30] synthgym@4 sefar seed=1 top1 54.2 0:32`, or what went wrong."""
    head = f"[{number}/{total}] {planned.line}"
    if record["status"] != "done":
        message = " ".join(str(record.get("message", "")).split())
        return f"{head} FAILED ({record.get('kind')}): {message}"
    return f"{head} top1 {100 * record['metrics']['top1']:.1f} {clock(seconds_of(record))}"


class Ticker:
    """Counts finished trials and prints their lines.

    Args:
        done: trials that were finished before.
        total: trials of the whole plan.
    """

    def __init__(self, done: int, total: int) -> None:
        self._before, self._number, self._total = done, done, total
        self._started: float | None = None  # when the first trial began: starting Ray is no trial's time
        self._bar: Any = None
        self._task: Any = None

    def finished(self, planned: PlannedTrial, record: Mapping[str, Any]) -> None:
        """Reports one trial."""
        self._number += 1
        if self._started is None:
            self._started = time.monotonic() - seconds_of(record)
        line = result_line(planned, record, self._number, self._total)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._number, left=self.left())
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            left = self.left()
            print(f"{line} ({left} left)" if left else line, flush=True)

    def left(self) -> str:
        """Estimated time to the end, "" when nothing is left or known."""
        ran, rest = self._number - self._before, self._total - self._number
        if not ran or not rest or self._started is None:
            return ""
        return clock((time.monotonic() - self._started) / ran * rest)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """On a terminal, a bar below the lines."""
        if not sys.stdout.isatty():
            yield
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]} left"),
        )
        with Progress(*columns, transient=True, refresh_per_second=2) as bar:
            self._bar = bar
            self._task = bar.add_task("trials", total=self._total, completed=self._number, left="?")
            try:
                yield
            finally:
                self._bar = None
