"""Decoding in child processes, again without whoever crashed: a decoder that dies on a file costs no clip."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator, Sequence
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
    until one is left.  One whose process was killed by others, or could not start, comes back once as it is,
    alone in a fresh process; if that happens again, its result is a `Lost` that tells nothing of the file.

    Args:
        function: as for `contained`.
        jobs: what to read.
        workers: number of child processes.
    """
    pending = list(enumerate(jobs))
    failed: dict[int, str] = {}
    alone: set[int] = set()
    while pending:
        again: list[tuple[int, Job]] = []
        for party in _parties(pending, alone):
            results = contained(function, [job for _, job in party], max(1, min(workers, len(party))))
            with contextlib.closing(results):
                for i, result in results:
                    place, job = party[i]
                    if isinstance(result, Lost) and result.outside and place not in alone:
                        alone.add(place)
                        again.append((place, job))
                    elif isinstance(result, Lost) and not result.outside and len(job.decoders) > 1:
                        failed.setdefault(place, f"{job.decoders[0]} fails on it: {result.reason}")
                        again.append((place, replace(job, decoders=job.decoders[1:])))
                    else:
                        yield Outcome(place, _twice(result), failed.get(place))
        pending = sorted(again, key=itemgetter(0))


def _parties(pending: Sequence[tuple[int, Job]], alone: Collection[int]) -> list[Sequence[tuple[int, Job]]]:
    """Who works side by side: those that have the machine to themselves come last, one by one."""
    together = [each for each in pending if each[0] not in alone]
    return [*([together] if together else []), *([each] for each in pending if each[0] in alone)]


def _twice(result: Any) -> Any:
    """What is said of a job that was killed again, which is no fault of its file."""
    if not isinstance(result, Lost) or not result.outside:
        return result
    cure = "this is not kept, and the next command tries it again: see that there is memory for it"
    return replace(result, reason=f"{result.reason}, twice; {cure}")
