"""One line per finished trial, and durations for people."""

from __future__ import annotations

from collections.abc import Mapping
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
