"""What the user sees while trials run: a line per finished trial, and below it the run as it is now."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from bench import live
from bench.plan import PlannedTrial
from bench.progress import clock, result_line
from bench.watch import Snapshot, Watch

QUIET_SECONDS = 60.0
"""Off a terminal, a line of progress after so long without any other."""
LOOK_SECONDS = 1.0
LOOK_SHARE = 0.02
"""Looking at a run takes at most this share of one core: large runs are looked at less often."""


class Ticker:
    """Counts finished trials and prints their lines.

    Args:
        done: trials that were finished before.
        total: trials of the whole plan.
        watch: looks at the run.
    """

    def __init__(self, done: int, total: int, watch: Watch) -> None:
        self._number, self._total, self._watch = done, total, watch
        self._lock = threading.Lock()
        self._seen: Snapshot | None = None
        self._next_look = 0.0
        self._printed = time.monotonic()
        self._live: Live | None = None

    def finished(self, planned: PlannedTrial, record: Mapping[str, Any]) -> None:
        """Reports one trial."""
        self._number += 1
        line = result_line(planned, record, self._number, self._total)
        if self._live is not None:
            self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)
            return
        left = self._look(anyway=True).left if self._number < self._total else None
        self._say(f"{line} ({clock(left)} left)" if left else line)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """On a terminal, a table below the lines that stays in place; elsewhere, a line when all is quiet."""
        shown = self._on_terminal() if sys.stdout.isatty() else self._off_terminal()
        with shown:
            yield

    @contextmanager
    def _on_terminal(self) -> Iterator[None]:
        console = Console()

        def view() -> RenderableType:
            return live.screen(self._look(), console)

        with Live(get_renderable=view, console=console, refresh_per_second=2, transient=True) as shown:
            self._live = shown
            try:
                yield
            finally:
                self._live = None

    @contextmanager
    def _off_terminal(self) -> Iterator[None]:
        stop = threading.Event()
        speaker = threading.Thread(target=self._speak_up, args=(stop,), daemon=True)
        speaker.start()
        try:
            yield
        finally:
            stop.set()
            speaker.join()

    def _speak_up(self, stop: threading.Event) -> None:
        while not stop.wait(max(0.01, self._printed + QUIET_SECONDS - time.monotonic())):
            if time.monotonic() >= self._printed + QUIET_SECONDS:
                with contextlib.suppress(OSError):  # a folder that is away for a moment
                    seen = self._look()
                    self._say("; ".join([live.head(seen), *map(live.running_line, seen.running)]))
                self._printed = time.monotonic()

    def _look(self, anyway: bool = False) -> Snapshot:
        with self._lock:
            began = time.monotonic()
            if self._seen is None or anyway or began >= self._next_look:
                self._seen = self._watch.look()
                took = time.monotonic() - began
                self._next_look = time.monotonic() + max(LOOK_SECONDS, took / LOOK_SHARE)
            return self._seen

    def _say(self, line: str) -> None:
        print(line, flush=True)
        self._printed = time.monotonic()
