"""Decoding in child processes, again without whoever crashed: a decoder that dies on a file costs no clip."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from datasets.contained import Lost, contained


@dataclass(frozen=True)
class Reading:
    """A file to read, and the decoders that may be asked, in their order."""

    path: Path
    decoders: tuple[str, ...]


class Ordered(Protocol):
    """A dataclass that names its decoders."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def decoders(self) -> tuple[str, ...]:
        """Who may be asked, in this order."""
        ...


Job = TypeVar("Job", bound=Ordered)


class Outcome(NamedTuple):
    """What came of the job at `place`: a result or `Lost`; `failed` tells who crashed or hung before."""

    place: int
    result: Any
    failed: str | None = None


def decoded_in_rounds(
    function: Callable[[Job], Any], jobs: Sequence[Job], workers: int
) -> Generator[Outcome]:
    """Runs `function` on every job in child processes; yields what came of them as they finish.

    A job whose process dies, hangs or raises comes back in the next round without the first of its decoders,
    until one is left.

    Args:
        function: as for `contained`.
        jobs: what to read.
        workers: number of child processes.
    """
    pending = list(enumerate(jobs))
    failed: dict[int, str] = {}
    while pending:
        again: list[tuple[int, Job]] = []
        results = contained(function, [job for _, job in pending], max(1, min(workers, len(pending))))
        with contextlib.closing(results):
            for i, result in results:
                place, job = pending[i]
                if isinstance(result, Lost) and len(job.decoders) > 1:
                    failed.setdefault(place, f"{job.decoders[0]} fails on it: {result.reason}")
                    again.append((place, replace(job, decoders=job.decoders[1:])))
                else:
                    yield Outcome(place, result, failed.get(place))
        pending = sorted(again, key=itemgetter(0))
