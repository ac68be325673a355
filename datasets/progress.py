"""Progress of long work on files, with the time left: a bar on a terminal, lines now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

LINE_SECONDS = 30.0
"""Between two lines where there is no terminal."""


def tracked(items: Iterable[Item], total: int, what: str, *, shown: bool = True) -> Generator[Item]:
    """Passes the items on and shows on standard error how far it is; `what` reads like "decoding x"."""
    if not shown or not total:
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, total, what)
    else:
        yield from _lines(items, total, what)


def _lines(items: Iterable[Item], total: int, what: str) -> Generator[Item]:
    print(f"{what}: {total} clips", file=sys.stderr, flush=True)
    started = said = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= LINE_SECONDS and done < total:
            left = (now - started) / done * (total - done)
            print(f"{what}: {done} of {total}, about {_time(left)} left", file=sys.stderr, flush=True)
            said = now
    print(f"{what}: done in {_time(time.monotonic() - started)}", file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bar(items: Iterable[Item], total: int, what: str) -> Generator[Item]:
    # rich takes 50 ms to import, which only those who see the bar should pay.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)
