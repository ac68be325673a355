"""Progress of long work on files: a bar with the remaining time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def tracked(items: Iterable[Item], total: int, what: str, *, shown: bool = True) -> Generator[Item]:
    """Passes the items on and shows on standard error how far it is; `what` reads like "decoding x"."""
    if not shown or not total:
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, total, what)
    else:
        print(f"{what}: {total} clips", file=sys.stderr, flush=True)
        started = time.monotonic()
        yield from items
        print(f"{what}: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


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
