"""Faults through trial and store without Ray: what each does to a run of two tiny trials.

A fault happens in a forked process, which is the `command`: it runs the trials that are not done.  Whatever
the fault left, the same command, undisturbed, must finish and give the undisturbed table.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from bench import checkpoints, lease, store, trial
from bench.preemption import Preempted
from bench.runner import sweep
from bench.spec import TrialSpec
from bench.store import DONE, METRICS, PREDICTIONS, RunFolder
from bench.trial import Manner, finished, run_trial
from datasets.errors import UserError

NOBODY = 65534
"""Root may write everywhere, so a read-only folder needs another user."""
WRITERS = tuple(str(module.__file__) for module in (store, checkpoints, lease, trial))
"""The files whose every line is a place to be killed at."""
DAY = 86_400.0

Tracer = Callable[[], None]


@dataclass(frozen=True)
class Stage:
    """A run folder, the specifications that it shall hold, and the traced lines of a whole run."""

    run: RunFolder
    specs: tuple[TrialSpec, ...]
    lines: int


def command(run: RunFolder, specs: Sequence[TrialSpec]) -> int:
    """What `bench run` does with its trials, one after the other, with a checkpoint after every step."""
    try:
        sweep(run)
        for spec in specs:
            folder = run.trial(spec.id)
            if finished(spec, folder) is None:
                run_trial(spec, folder, Manner(checkpoint_seconds=0.0))
    except UserError:
        return 1
    except (Preempted, KeyboardInterrupt):
        return 130
    return 0


def forked(work: Callable[[], int]) -> int:
    """Runs something in a forked process: its exit status, or minus the signal that ended it."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = work()
        except BaseException:  # the child of a fork must never run on in its parent's code
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(ended)


def at_line(number: int, act: Tracer) -> Callable[[], int]:
    """Traces the writing code from here on and acts at its line `number`; gives a counter of lines."""
    count = 0

    def line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            if count == number:
                act()
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename in WRITERS else None

    sys.settrace(call)
    return lambda: count


def count_lines(run: RunFolder, specs: Sequence[TrialSpec], out: Path) -> int:
    """Lines of writing code in an undisturbed run, which is done by this."""

    def counted() -> int:
        counter = at_line(0, lambda: None)
        status = command(run, specs)
        sys.settrace(None)
        out.write_text(str(counter()), encoding="ascii")
        return status

    if forked(counted):
        raise RuntimeError("the undisturbed run failed")
    return int(out.read_text(encoding="ascii"))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stopped_at(stage: Stage, number: int, act: Tracer = _die) -> int:
    def work() -> int:
        at_line(number, act)
        return command(stage.run, stage.specs)

    return forked(work)


def kill(stage: Stage, rng: np.random.Generator) -> None:
    """SIGKILL at a random line of a write."""
    _stopped_at(stage, int(rng.integers(1, stage.lines + 1)))


def preempt(stage: Stage, rng: np.random.Generator) -> None:
    """SIGTERM or SIGUSR1 at a random line: a checkpoint and a clean exit, or nothing lost."""
    number = (signal.SIGTERM, signal.SIGUSR1)[int(rng.integers(2))]
    _stopped_at(stage, int(rng.integers(1, stage.lines + 1)), lambda: os.kill(os.getpid(), number))


def full_disk(stage: Stage, rng: np.random.Generator) -> None:
    """No file may grow beyond a random size: writes fail in their middle."""
    limit = int(10 ** rng.uniform(1.0, 5.7))

    def work() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return command(stage.run, stage.specs)

    status = forked(work)
    if status not in (0, 1):
        raise AssertionError(f"a full disk ended the command with {status}")


def _damage(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        content = content[: int(rng.integers(len(content)))]
    else:
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def checkpoint(stage: Stage, rng: np.random.Generator) -> None:
    """A trial is killed; then its newest checkpoint, or each, is truncated or gets a flipped bit."""
    _stopped_at(stage, int(rng.integers(stage.lines // 8, stage.lines + 1)))
    for spec in stage.specs:
        found = sorted(stage.run.trial(spec.id).path.glob("checkpoint-*.pt"), reverse=True)
        for path in found[: int(rng.integers(1, 3))]:
            _damage(path, rng)


def _damage_result(stage: Stage, rng: np.random.Generator, name: str) -> None:
    forked(lambda: command(stage.run, stage.specs))
    _damage(stage.run.trial(stage.specs[int(rng.integers(len(stage.specs)))].id).path / name, rng)


def done_record(stage: Stage, rng: np.random.Generator) -> None:
    """A `done.json` is truncated or gets a flipped bit."""
    _damage_result(stage, rng, DONE)


def predictions(stage: Stage, rng: np.random.Generator) -> None:
    """Predictions are truncated or get a flipped bit."""
    _damage_result(stage, rng, PREDICTIONS)


def clock_jump(stage: Stage, rng: np.random.Generator) -> None:
    """The clock jumps by days while a trial runs, which is then killed; its files have times of before."""
    days = float(rng.uniform(-400, 400))
    real = time.time

    def jump() -> None:
        time.time = lambda: real() + days * DAY

    def work() -> int:
        at = sorted(int(rng.integers(1, stage.lines + 1)) for _ in range(2))
        counted = [0]

        def act() -> None:
            jump() if not counted[0] else _die()
            counted[0] += 1
            at_line(at[1] - at[0] + 1, act)

        at_line(at[0], act)
        return command(stage.run, stage.specs)

    forked(work)
    for path in stage.run.path.rglob("*"):
        with contextlib.suppress(OSError):
            moved = path.stat().st_mtime + days * DAY
            os.utime(path, (moved, moved))


def read_only(stage: Stage, rng: np.random.Generator) -> None:
    """The run folder can only be read: one sentence, exit status 1, nothing lost."""
    _stopped_at(stage, int(rng.integers(1, stage.lines + 1)))
    before = all(finished(spec, stage.run.trial(spec.id)) for spec in stage.specs)
    stage.run.path.mkdir(parents=True, exist_ok=True)
    folders = [stage.run.path, *(path for path in stage.run.path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)

    def work() -> int:
        if os.geteuid() == 0:
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        return command(stage.run, stage.specs)

    status = forked(work)
    for folder in folders:
        folder.chmod(0o755)
    if status != (0 if before else 1):
        raise AssertionError(f"a read-only folder ended the command with {status}")


FAULTS: dict[str, Callable[[Stage, np.random.Generator], None]] = {
    "kill": kill,
    "preempt": preempt,
    "full disk": full_disk,
    "checkpoint": checkpoint,
    "done.json": done_record,
    "predictions": predictions,
    "clock jump": clock_jump,
    "read-only": read_only,
}


def table(run: RunFolder, specs: Sequence[TrialSpec]) -> dict[str, tuple[str, bytes, bytes]]:
    """Everything of a run that is a function of its specifications: metrics, log, predictions by trial."""
    found = {}
    for spec in specs:
        folder = run.trial(spec.id)
        record = finished(spec, folder)
        if record is not None:
            log, answers = ((folder.path / name).read_bytes() for name in (METRICS, PREDICTIONS))
            found[spec.id] = (str(sorted(record["metrics"].items())), log, answers)
    return found


def litter(run: RunFolder) -> list[str]:
    """Files that only an interrupted trial has, or none should."""
    kept = {DONE, METRICS, PREDICTIONS, "spec.json"}
    return sorted(str(p.relative_to(run.path)) for p in run.path.glob("trials/*/*") if p.name not in kept)
