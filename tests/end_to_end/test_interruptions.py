"""Runs that are stopped or killed: finished trials stay, nothing runs on, the same command completes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def _long(section: dict[str, Any]) -> None:
    """Two short trials, then two that last long enough to be interrupted."""
    short, other = section["entries"]
    section["entries"] = [short, {**other, "label": "long"}]
    section["seeds"] = "0-1"
    section["protocol"]["steps"] = 200


def _done(shell: Any) -> dict[Path, tuple[int, bytes]]:
    found = shell.folder.glob("runs/long/trials/*/done.json")
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def _running(shell: Any) -> list[Path]:
    return list(shell.folder.glob("runs/long/trials/*/.attempt-*/metrics.jsonl"))


def _until_half_done(shell: Any) -> tuple[Any, dict[Path, tuple[int, bytes]]]:
    """Starts the run and waits until a trial is done and another is training."""
    suite = shell.suite("long", _long)
    process = shell.start("run", "--suite", suite)

    def half() -> bool:
        assert process.poll() is None, process.communicate()
        return bool(_done(shell)) and any(path.stat().st_size for path in _running(shell))

    shell.wait_for(half)
    return process, _done(shell)


def _goes_on(shell: Any, kept: dict[Path, tuple[int, bytes]]) -> None:
    status, out, err = shell.run("run", "--suite", "long.yaml")
    assert status == 0, err
    assert f"{4 - len(kept)} of 4 trials to run" in out
    after = _done(shell)
    assert len(after) == 4
    assert {path: after[path] for path in kept} == kept
    assert not list(shell.folder.glob("runs/long/trials/*/.attempt-*"))
    assert not shell.litter()
    assert not shell.processes()


def _second_run_is_refused(shell: Any, pid: int) -> None:
    status, _, err = shell.run("run", "--suite", "long.yaml")
    assert status == 1
    assert f"pid {pid}" in err and err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_gives_130_at_once_and_the_same_command_completes(shell: Any, number: int) -> None:
    process, _ = _until_half_done(shell)
    if number == signal.SIGINT:
        _second_run_is_refused(shell, process.pid)
    began = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: everybody in the foreground hears it
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert time.monotonic() - began < 60
    assert err.splitlines()[-1] == "stopped; what was finished is kept, and the same command goes on"
    assert "Traceback" not in err
    assert not shell.processes()
    assert not shell.litter()
    _goes_on(shell, _done(shell))


def test_a_killed_run_is_completed_by_the_same_command(shell: Any) -> None:
    process, _ = _until_half_done(shell)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shell.wait_for(lambda: not shell.processes())  # Ray's processes end with their driver
    _goes_on(shell, _done(shell))
