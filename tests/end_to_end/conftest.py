"""The command line as its own process, with real Ray, in folders of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from bench.suite import SUITES

PATIENCE = 400.0
"""Seconds to wait for anything: the machine may be busy, and nothing here is a timing."""


@dataclass
class Shell:
    """Starts the command line; every process that comes of it carries this data home in its environment."""

    folder: Path
    home: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
        """Starts a command as the leader of its own process group, as a terminal would."""
        environment = {
            **os.environ,
            "SEFAR_BENCH_HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            **variables,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def litter(self) -> list[Path]:
        """Temporary files of Ray that are left of this shell's commands."""
        folders = {Path(tempfile.gettempdir()), Path("/tmp")}
        return [
            path for p in self.started for folder in folders for path in folder.glob(f"sefar-ray-{p.pid}-*")
        ]

    def run(self, *arguments: str | Path, **variables: str) -> tuple[int, str, str]:
        """Runs a command to its end: exit status, standard output, standard error."""
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def processes(self) -> list[psutil.Process]:
        """Living processes with this data home in their environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mine = process.environ().get("SEFAR_BENCH_HOME") == str(self.home)
                if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    @staticmethod
    def wait_for(what: Callable[[], Any]) -> Any:
        """Waits until `what` is true and returns it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = what()
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what} did not become true")

    def suite(self, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
        """A changed copy of the suite `smoke`; `change` gets its section."""
        content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
        content["name"] = name
        change(content["sections"]["embedded"])
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heard() -> Iterator[None]:
    """What a script starts in its background is deaf to Ctrl-C, and so is all that it starts: not here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def data_home_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips are rendered once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def shell(tmp_path: Path, data_home_of_all: Path) -> Iterator[Shell]:
    """A command line in a folder of its own; whatever it left running is ended."""
    made = Shell(tmp_path, data_home_of_all)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    for left in made.processes():
        with contextlib.suppress(psutil.Error):
            left.kill()
