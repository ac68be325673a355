"""A method that tells of every step where and from which process it was made, and takes its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

STEPS = 40
PLUGIN = """
import os
import time

from methods.fixmatch import FixMatch


class Walks(FixMatch):
    name = "walks"

    def step(self, batch, progress):
        with open(os.environ["SEFAR_BENCH_HOME"] + "/walk.txt", "a") as file:
            file.write(f"{os.environ.get('NODE_NAME', '-')} {os.getpid()} {progress.step}\\n")
        time.sleep(0.05)
        return super().step(batch, progress)
"""

TIMES = ("_seconds", "_hours", "_mib")


@dataclass(frozen=True)
class Walked:
    """One step: of which node, process and trial, and its number."""

    node: str
    process: str
    step: int


def suite(shell: Any, seeds: str, steps: int = STEPS, *, alone: bool = False) -> tuple[str | Path, ...]:
    """Writes suite and plugin; gives the options that name them.  `alone`: no method but this one."""

    def change(section: dict[str, Any]) -> None:
        walks = {"label": "walks", "method": "walks"}
        section["entries"] = [{**walks, "role": "baseline"}] if alone else [section["entries"][0], walks]
        section["seeds"] = seeds
        section["protocol"]["steps"] = steps

    (shell.folder / "walks.py").write_text(PLUGIN, encoding="utf-8")
    return ("--suite", shell.suite("walk", change), "--plugin", shell.folder / "walks.py")


def walked(shell: Any) -> list[Walked]:
    """All steps so far."""
    path = shell.home / "walk.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    parts = [line.split() for line in lines]
    return [Walked(node, process, int(step)) for node, process, step in parts]


def starts(steps: list[Walked]) -> list[Walked]:
    """The steps with which a process began or took up a trial."""
    last: dict[str, int] = {}
    found = []
    for step in steps:
        if step.step != last.get(step.process, -2) + 1:
            found.append(step)
        last[step.process] = step.step
    return found


def until(shell: Any, process: Any, what: Callable[[], Any]) -> None:
    """Waits for something while a command runs."""

    def so_far() -> bool:
        assert process.poll() is None, process.communicate()
        return bool(what())

    shell.wait_for(so_far)


def results(folder: Path) -> pd.DataFrame:
    """The results table of a run folder, without its costs."""
    table = pd.read_csv(folder / "report/results.csv")
    return table.loc[:, [name for name in table.columns if not name.endswith(TIMES)]]
