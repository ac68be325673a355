"""The pulse of a running trial: a small file that tells anybody who looks how far it is.

It is for the eye only.  What is computed, and the metrics log, depend on no clock; this file is of the clock
alone, and goes with the attempt that writes it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAME = "pulse.json"
EVERY_SECONDS = 2.0
"""Time between two writings; looks in between cost a comparison."""


@dataclass(frozen=True)
class Beat:
    """How far a trial is.

    Attributes:
        step: steps done.
        first: the step from which this attempt went on.
        seconds: of this attempt.
        train_seconds: of training, by all attempts.
        wait_seconds: those of them in which a step waited for its batch.
    """

    step: int
    first: int
    seconds: float
    train_seconds: float
    wait_seconds: float

    @property
    def wait_share(self) -> float | None:
        """The share of training in which the step waited for its batch; None before there was a step."""
        return min(1.0, self.wait_seconds / self.train_seconds) if self.train_seconds > 0 else None


class Pulse:
    """Writes the pulse of one attempt.

    Args:
        folder: of the attempt.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._begun = time.perf_counter()
        self._written = 0.0
        self._first = 0
        self.wait_seconds = 0.0

    def train_from(self, step: int) -> None:
        """Training begins, or goes on at a step."""
        self._first = step
        self._write(step, 0.0)

    def timed(self, make: Callable[[int], Any]) -> Callable[[int], Any]:
        """The function that makes batches, with its time counted as waiting for data."""

        def batch(step: int) -> Any:
            began = time.perf_counter()
            try:
                return make(step)
            finally:
                self.wait_seconds += time.perf_counter() - began

        return batch

    def beat(self, step: int, train_seconds: float) -> None:
        """Tells how many steps are done in how many seconds, not more often than is worth it."""
        if time.perf_counter() - self._written >= EVERY_SECONDS:
            self._write(step, train_seconds)

    def _write(self, step: int, train_seconds: float) -> None:
        now = time.perf_counter()
        beat = Beat(step, self._first, now - self._begun, train_seconds, self.wait_seconds)
        temporary = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk is noticed where it matters
            temporary.write_text(json.dumps(asdict(beat)), encoding="utf-8")
            temporary.replace(self._path)
        self._written = now


def forget(attempt: Path) -> None:
    """Removes the file, since the record of the trial tells the rest."""
    with contextlib.suppress(OSError):
        (attempt / NAME).unlink(missing_ok=True)


def read_beat(attempt: Path) -> Beat | None:
    """The last beat of an attempt, None before its training began."""
    try:
        found = json.loads((attempt / NAME).read_text(encoding="utf-8"))
        return Beat(**found)
    except (OSError, ValueError, TypeError):
        return None
