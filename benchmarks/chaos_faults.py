"""Faults through trial and store without Ray: what each does to a run of two tiny trials.

A fault happens in a forked process, which is the `command`: it does what `bench run` does around its trials,
one after the other.  Whatever the fault left, the same command, undisturbed, must finish and give the
undisturbed table, without doing again what was done.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from bench import checkpoints, event_file, index, lease, store, trial
from bench.agenda import survey
from bench.plan import PlannedTrial
from bench.preemption import Preempted
from bench.runner import sweep
from bench.store import DONE, METRICS, PLAN, PREDICTIONS, SPEC, RunFolder, write_json
from bench.trial import Manner, finished, run_trial
from datasets.errors import UserError

NOBODY = 65534
"""Root may write everywhere, so a read-only folder needs another user."""
WRITERS = tuple(str(module.__file__) for module in (store, checkpoints, lease, trial, index))
"""The files whose every instruction is a place to be killed at."""
DAY = 86_400.0
ENOUGH = 256 << 20
"""Bytes of a small disk on which space has been made."""

index.SETTLED_SECONDS = 0.02
"""So that the index plays its part within the fractions of a second between these commands."""

Act = Callable[[], None]


@dataclass(frozen=True)
class Stage:
    """A run folder, the trials that it shall hold, and the traced instructions of a whole run."""

    run: RunFolder
    trials: tuple[PlannedTrial, ...]
    instructions: int


def command(run: RunFolder, trials: Sequence[PlannedTrial]) -> int:
    """What `bench run` does with its folder and trials, with a checkpoint after every step."""
    try:
        with run.lock():
            write_json(run.path / PLAN, {"trials": [each.model_dump(mode="json") for each in trials]})
            states = survey(trials, run)
            sweep(run)
            for each in trials:
                if states[each.spec.id] != "done":
                    run_trial(each.spec, run.trial(each.spec.id), Manner(checkpoint_seconds=0.0))
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
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the campaign's own is not for its children
            status = work()
        except BaseException:  # the child of a fork must never run on in its parent's code
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(ended)


def at_instruction(number: int, act: Act) -> Callable[[], int]:
    """Traces the writing code from here on and acts at its instruction `number`; gives a counter of them."""
    count = 0

    def instruction(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "opcode":
            count += 1
            if count == number:
                act()
        return instruction

    def call(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in WRITERS:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return instruction

    sys.settrace(call)
    return lambda: count


def count_instructions(run: RunFolder, trials: Sequence[PlannedTrial], out: Path) -> int:
    """Instructions of writing code in an undisturbed run, which is done by this."""

    def counted() -> int:
        counter = at_instruction(0, lambda: None)
        status = command(run, trials)
        sys.settrace(None)
        out.write_text("\n".join([str(counter()), *sys.modules]), encoding="utf-8")
        return status

    if forked(counted):
        raise RuntimeError("the undisturbed run failed")
    count, *modules = out.read_text(encoding="utf-8").split("\n")
    _import(modules)
    return int(count)


def _import(modules: Sequence[str]) -> None:
    """Imports here what each forked command would otherwise import anew: most of its time."""
    for name in modules:
        if name not in sys.modules and not name.startswith("__"):
            with contextlib.suppress(Exception):
                __import__(name)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stopped_at(stage: Stage, number: int, act: Act = _die) -> int:
    def work() -> int:
        at_instruction(number, act)
        return command(stage.run, stage.trials)

    return forked(work)


def _anywhere(stage: Stage, rng: np.random.Generator) -> int:
    return int(rng.integers(1, stage.instructions + 1))


def kill(stage: Stage, rng: np.random.Generator) -> None:
    """SIGKILL at a random instruction of the code that writes."""
    _stopped_at(stage, _anywhere(stage, rng))


def preempt(stage: Stage, rng: np.random.Generator) -> None:
    """SIGTERM or SIGUSR1 at a random instruction: a checkpoint and a clean exit, or nothing lost."""
    number = (signal.SIGTERM, signal.SIGUSR1)[int(rng.integers(2))]
    _stopped_at(stage, _anywhere(stage, rng), lambda: os.kill(os.getpid(), number))


def _small_files(stage: Stage, limit: int, signaled: Any) -> int:
    """The command where no file may grow beyond a limit: its exit status."""

    def work() -> int:
        signal.signal(signal.SIGXFSZ, signaled)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return command(stage.run, stage.trials)

    return forked(work)


def torn_write(stage: Stage, rng: np.random.Generator) -> None:
    """Killed in the middle of a write, after a random number of bytes of the file."""
    status = _small_files(stage, int(10 ** rng.uniform(1.0, 6.3)), signal.SIG_DFL)
    if status not in (0, -signal.SIGXFSZ):
        raise AssertionError(f"a torn write ended the command with {status}")


def no_growth(stage: Stage, rng: np.random.Generator) -> None:
    """No file may grow beyond a random size, as under a quota: writes fail in their middle."""
    status = _small_files(stage, int(10 ** rng.uniform(1.0, 6.3)), signal.SIG_IGN)
    if status not in (0, 1):
        raise AssertionError(f"files that cannot grow ended the command with {status}")


def full_disk(stage: Stage, rng: np.random.Generator) -> None:
    """The run folder is a small file system, which fills up; then space is made on it."""
    size = int(10 ** rng.uniform(3.6, 7.0))
    stage.run.path.mkdir(parents=True)
    if not _mount(stage.run.path, f"size={size}"):
        no_growth(stage, rng)
        return
    status = forked(lambda: command(stage.run, stage.trials))
    if not _mount(stage.run.path, f"remount,size={ENOUGH}"):
        raise AssertionError("the small file system cannot be made larger")
    if status not in (0, 1):
        raise AssertionError(f"a full disk ended the command with {status}")


def _mount(folder: Path, options: str) -> bool:
    """Mounts a file system in memory; whether this user may."""
    if sys.platform != "linux":
        return False
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "sefar-chaos", str(folder)], capture_output=True, check=False
    )
    return made.returncode == 0


def may_mount(folder: Path) -> bool:
    """Whether full disks can be real ones here."""
    folder.mkdir(parents=True, exist_ok=True)
    could = _mount(folder, "size=65536")
    release(folder)
    return could


def release(folder: Path) -> None:
    """Unmounts what `full_disk` has mounted."""
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


def _damage(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        content = content[: int(rng.integers(len(content)))]
    else:
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def checkpoint(stage: Stage, rng: np.random.Generator) -> None:
    """A trial is killed; then its newest checkpoint, or each, is truncated or gets a flipped bit."""
    _stopped_at(stage, int(rng.integers(stage.instructions // 8, stage.instructions + 1)))
    for each in stage.trials:
        found = sorted(stage.run.trial(each.spec.id).path.glob("checkpoint-*.pt"), reverse=True)
        for path in found[: int(rng.integers(1, 3))]:
            _damage(path, rng)


def _damage_result(stage: Stage, rng: np.random.Generator, name: str) -> None:
    for _ in range(2):  # the second one finds all done, and notes it in the index
        forked(lambda: command(stage.run, stage.trials))
        time.sleep(2 * index.SETTLED_SECONDS)
    hit = stage.trials[int(rng.integers(len(stage.trials)))].spec.id
    _damage(stage.run.trial(hit).path / name, rng)


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
        time.time_ns = lambda: int(time.time() * 1e9)

    def work() -> int:
        at = sorted(_anywhere(stage, rng) for _ in range(2))

        def act() -> None:
            jump()
            at_instruction(at[1] - at[0] + 1, _die)

        at_instruction(at[0], act)
        return command(stage.run, stage.trials)

    forked(work)
    for path in stage.run.path.rglob("*"):
        with contextlib.suppress(OSError):
            moved = path.stat().st_mtime + days * DAY
            os.utime(path, (moved, moved))


def read_only(stage: Stage, rng: np.random.Generator) -> None:
    """The run folder can only be read: exit status 1, nothing lost."""
    _stopped_at(stage, _anywhere(stage, rng))
    stage.run.path.mkdir(parents=True, exist_ok=True)
    folders = [stage.run.path, *(path for path in stage.run.path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)

    def work() -> int:
        if os.geteuid() == 0:
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        return command(stage.run, stage.trials)

    status = forked(work)
    for folder in folders:
        folder.chmod(0o755)
    if status != 1:
        raise AssertionError(f"a read-only folder ended the command with {status}")


FAULTS: dict[str, Callable[[Stage, np.random.Generator], None]] = {
    "kill": kill,
    "torn write": torn_write,
    "preempt": preempt,
    "full disk": full_disk,
    "no growth": no_growth,
    "checkpoint": checkpoint,
    "done.json": done_record,
    "predictions": predictions,
    "clock jump": clock_jump,
    "read-only": read_only,
}


def table(run: RunFolder, trials: Sequence[PlannedTrial]) -> dict[str, tuple[str, bytes, bytes]]:
    """Everything of a run that is a function of its specifications: metrics, log, predictions by trial."""
    found = {}
    for each in trials:
        folder = run.trial(each.spec.id)
        record = finished(each.spec, folder)
        if record is not None:
            log, answers = ((folder.path / name).read_bytes() for name in (METRICS, PREDICTIONS))
            found[each.spec.id] = (str(sorted(record["metrics"].items())), log, answers)
    return found


def results(run: RunFolder, trials: Sequence[PlannedTrial]) -> dict[str, tuple[int, int]]:
    """The files of the finished trials as the file system knows them: a trial done again has others."""
    found = {}
    for each in trials:
        folder = run.trial(each.spec.id)
        if finished(each.spec, folder) is not None:
            written = (folder.path / DONE).stat()
            found[each.spec.id] = (written.st_ino, written.st_mtime_ns)
    return found


def litter(run: RunFolder) -> list[str]:
    """Files that only an interrupted run has, or none should."""
    kept = {DONE, METRICS, PREDICTIONS, SPEC, event_file.NAME}
    found = [path for path in run.path.glob("trials/*/*") if path.name not in kept]
    found += [path for path in run.path.glob("*") if path.name not in (PLAN, "trials", index.NAME)]
    return sorted(str(path.relative_to(run.path)) for path in found)
