"""Processes and files that a run of Ray leaves: found, asked to save, ended, swept."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

SOCKET_ROOM = 33
"""Longest name of Ray's temporary folder: paths of Unix sockets below it end at 103 characters."""

SAVE_SECONDS = 15.0
"""Workers of a run that is stopped get so long to write their checkpoints."""

FOLDER_PREFIX = "sefar-ray-"


def short_temporary() -> str:
    """The temporary folder, or /tmp where its name is too long for Ray's sockets."""
    usual = tempfile.gettempdir()
    return usual if len(usual) + len(FOLDER_PREFIX) + 17 <= SOCKET_ROOM or sys.platform == "win32" else "/tmp"


def sweep() -> None:
    """Removes what killed runs of this user left of Ray's files."""
    for folder in Path(short_temporary()).glob(f"{FOLDER_PREFIX}*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def children() -> list[psutil.Process]:
    """Every process that came of this one."""
    return psutil.Process().children(recursive=True)


def let_save(processes: set[psutil.Process]) -> None:
    """Asks the workers of a run that is stopped for their checkpoints, and gives them a while."""
    workers = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if _is_worker(process.name()):
                process.terminate()
                workers.append(process)
    psutil.wait_procs(workers, timeout=SAVE_SECONDS)


def _is_worker(name: str) -> bool:
    """Whether a process of this name runs a trial.

    Ray's agents have such names too; without them its local server ends, and takes the workers along.
    """
    return name.startswith("ray::") and "Agent" not in name and not name.startswith("ray::IDLE")


def end(processes: set[psutil.Process]) -> None:
    """Kills what Ray left running."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(processes), timeout=5)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Cleaning up is not interrupted."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which no signal reaches
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
