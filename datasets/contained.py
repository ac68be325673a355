"""Work on untrusted files in child processes: one that crashes or hangs becomes a result, not an end."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

PATIENCE_SECONDS = 600.0
"""A job that takes longer hangs: no clip of an action data set needs minutes."""

KILLS = (signal.SIGKILL, signal.SIGTERM)
"""Signals that no decoder sends itself: the system that runs out of memory, or a person."""

_TAKEN = "taken"


@dataclass(frozen=True)
class Lost:
    """What became of a job whose process died or was stopped; `reason` is one clause.

    `outside`: the job had no part in it: its process was killed by others, or died before it took the job.
    """

    reason: str
    outside: bool = False


@dataclass
class _Child:
    process: BaseProcess
    pipe: Connection
    place: int = -1
    since: float = 0.0
    taken: bool = False

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def contained(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    patience: float = PATIENCE_SECONDS,
) -> Generator[tuple[int, Result | Lost]]:
    """Runs `function` on every job in `workers` child processes; yields (position, result) as they finish.

    Each child holds one job at a time, so that a crash names its file.  What `function` raises counts as
    lost, too: it should return the failures that it expects.

    Args:
        function: a function at the top of a module that is cheap to import: children start afresh.
        jobs: what to work on; picklable.
        workers: number of child processes.
        patience: seconds after which a job counts as hanging and its process is stopped.
    """
    waiting = iter(range(len(jobs)))
    children: list[_Child] = []
    try:
        for place in waiting:
            _give(child := _start(function), place, jobs[place])
            children.append(child)
            if len(children) >= max(1, workers):
                break
        while children:
            for child in _ready(children, patience):
                if _has_taken(child, patience):
                    continue
                place = child.place
                result = _take(child, patience)
                if isinstance(result, Lost):
                    child.stop()
                    children.remove(child)
                following = next(waiting, None)
                if following is None:
                    if child in children:
                        child.stop()
                        children.remove(child)
                else:
                    if child not in children:
                        children.append(child := _start(function))
                    _give(child, following, jobs[following])
                yield place, result
    finally:
        for child in children:
            child.stop()


def _start(function: Callable[[Any], Any]) -> _Child:
    # "spawn" on every system: a forked child inherits the locks of its parent's threads.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Child(process, ours)


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent stops us
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send((_TAKEN, None))
        try:
            result = function(job)
        except Exception as error:  # the boundary: the parent records it as the loss of this job
            result = Lost(f"{type(error).__name__}: {error}")
        pipe.send(("done", result))


def _give(child: _Child, place: int, job: object) -> None:
    child.place, child.since, child.taken = place, time.monotonic(), False
    # One that died while idle is noticed by the read that follows: it finds the end of the pipe.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child.pipe.send(job)


def _ready(children: list[_Child], patience: float) -> list[_Child]:
    """Children that have answered, died, or run out of time; waits for at least one."""
    while True:
        ready = set(wait([child.pipe for child in children], timeout=min(1.0, patience)))
        now = time.monotonic()
        found = [child for child in children if child.pipe in ready or now - child.since > patience]
        if found:
            return found


def _has_taken(child: _Child, patience: float) -> bool:
    """Whether a child says that it begins with its job, and no more than that."""
    if child.taken or not child.pipe.poll() or time.monotonic() - child.since > patience:
        return False
    with contextlib.suppress(EOFError, ConnectionResetError):
        child.pipe.recv()
        child.taken = True
    return child.taken


def _take(child: _Child, patience: float) -> Any:
    if not child.pipe.poll():
        return Lost(f"reading it took more than {patience:g} s")
    try:
        said, result = child.pipe.recv()
        return result if said != _TAKEN else Lost(f"reading it took more than {patience:g} s")
    except (EOFError, ConnectionResetError):
        child.process.join(timeout=5)
    code = child.process.exitcode
    if code is not None and -code in KILLS:
        return Lost(f"its process was killed from outside (exit code {code})", outside=True)
    if not child.taken:
        return Lost(f"its process could not start (exit code {code})", outside=True)
    return Lost(f"its decoder crashed (exit code {code})")
