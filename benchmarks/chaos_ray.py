"""Faults through real Ray: driver, workers and raylet of a run are killed at random moments, several per run.

A fault counts when a process of a run that was at work was killed.  After a worker's death the same run goes
on, with the next fault to come; after the driver's or the raylet's the same command is started again: half of
the times at once, so that it meets what is still dying of the run before, and half of the times after
everything of it was killed, as by a cut of the power.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml
from chaos_kept import Kept

from bench.code_hash import code_hash
from bench.lease import holder_of
from bench.render.results_csv import COST_ENDINGS
from bench.store import ATTEMPT, DONE, METRICS, PREDICTIONS, read_json
from bench.suite import SUITES
from datasets.draws import generator

STEPS, SEEDS = 80, 2
PER_RUN = 5
"""Faults that hit one run before it may finish."""
PATIENCE = 900.0
DYING = 90.0
"""A run whose driver or raylet was killed gets so long to end by itself."""
TARGETS = ("driver", "worker", "raylet")
CHECKPOINT_SECONDS = "0.5"


def ray_campaign(
    faults: int, seed: int, kept: Path | None = None, until: float = float("inf")
) -> tuple[Counter[str], list[str]]:
    """Kills processes of runs; every run must then complete and give the undisturbed table and report.

    Args:
        faults: how many are to pass.
        seed: of what is killed, and when.
        kept: file of the runs that passed.
        until: `time.monotonic()` after which no further run begins.

    Returns:
        How many faults passed by what was killed, and a line per run that went wrong.
    """
    notes = Kept(kept, code_hash("bench.runner", "bench.trial", "bench.schedule", "chaos_ray"), seed)
    passed: Counter[str] = Counter(hit for row in notes.rows for hit in row.get("hit", ()))
    failed: list[str] = []
    number = sum("hit" in row for row in notes.rows)
    while sum(passed.values()) < faults and not failed and time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="sefar-chaos-ray-") as name:
            home = Path(name)
            if not any("calm" in row for row in notes.rows):
                notes.add({"calm": _calm(home)})
            expected = next(row["calm"] for row in notes.rows if "calm" in row)
            run = Disturbed(home, generator(seed, "chaos through Ray", index=number))
            began = time.monotonic()
            run.disturb(min(PER_RUN, faults - sum(passed.values())))
            status, err = run.complete()
            found = digest(home / "runs")
        if status == 0 and found == expected:
            passed.update(run.hit)
            notes.add({"hit": run.hit, "seconds": round(time.monotonic() - began)})
        else:
            what = "another table" if status == 0 else f"status {status}, {err[-300:]}"
            failed.append(f"run {number} of seed {seed} after {run.hit}: {what}")
            print(failed[-1], flush=True)
        number += 1
    return passed, failed


def _calm(home: Path) -> str:
    """The digest of an undisturbed run."""
    run = Disturbed(home / "calm", np.random.default_rng(0))
    status, err = run.complete()
    if status != 0:
        raise RuntimeError(f"the undisturbed run ended with {status}: {err[-300:]}")
    return digest(home / "calm" / "runs")


@dataclass
class Disturbed:
    """A run in a folder of its own, whose processes are killed.

    `hit`: what was killed.  `started`: every process of it that was seen, to be ended with it.
    """

    home: Path
    rng: np.random.Generator
    hit: list[str] = field(default_factory=list)
    started: set[psutil.Process] = field(default_factory=set)
    process: subprocess.Popen[str] | None = None

    def disturb(self, faults: int) -> None:
        """Kills so many processes of the run, fewer where all its trials are done before."""
        end = time.monotonic() + PATIENCE
        while len(self.hit) < faults and time.monotonic() < end:
            if self.process is None:
                self.process = self._start()
            if self.process.poll() is not None:
                if self.process.returncode == 0:
                    return
                self.process = None
            elif self._at_work():
                time.sleep(float(self.rng.uniform(0, 4)))
                self._kill(TARGETS[int(self.rng.integers(len(TARGETS)))])
            else:
                time.sleep(0.1)

    def complete(self) -> tuple[int, str]:
        """Lets the run end, once more with the same command where it had failed: status and messages."""
        status, err = self._end(PATIENCE) if self.process is not None else (1, "")
        if status != 0:
            self.process = self._start()
            status, err = self._end(PATIENCE)
        self._cut()
        return status, err

    def _start(self) -> subprocess.Popen[str]:
        suite = _suite(self.home)
        given = ["--suite", str(suite), "--out", "runs", "--max-retries", "9"]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "SEFAR_BENCH_CHECKPOINT_SECONDS": CHECKPOINT_SECONDS,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "bench", "run", *given],
            cwd=self.home,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _at_work(self) -> bool:
        """Whether a living process works on a trial."""
        attempts = (self.home / "runs/chaos/trials").glob(f"*/{ATTEMPT}*")
        return any(holder_of(attempt.parent) is not None for attempt in attempts)

    def _kill(self, target: str) -> None:
        """Kills a process of this kind, if there is one, and waits for what must come of it."""
        assert self.process is not None
        family = _family(self.process)
        self.started.update(family)
        victims = {
            "driver": [each for each in family if each.pid == self.process.pid],
            "worker": [each for each in family if _named(each, "ray::") and not _named(each, "ray::IDLE")],
            "raylet": [each for each in family if _named(each, "raylet")],
        }[target]
        try:
            victim = victims[int(self.rng.integers(len(victims)))] if victims else None
            if victim is None or not victim.is_running():
                return
            victim.kill()
        except psutil.NoSuchProcess:
            return
        self.hit.append(target)
        if target == "worker":
            return
        if target == "raylet":
            self._end(DYING)
        else:
            self.process.wait()
        if self.rng.random() < 0.5:
            self._cut()
        self.process = None

    def _end(self, patience: float) -> tuple[int, str]:
        assert self.process is not None
        try:
            _, err = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self.started.update(_family(self.process))
            self.process.kill()
            _, err = self.process.communicate()
        return self.process.returncode, err

    def _cut(self) -> None:
        """Ends all that is left of the run, and only that."""
        for left in self.started:
            with contextlib.suppress(psutil.Error):
                left.kill()
        psutil.wait_procs(list(self.started), timeout=20)
        self.started.clear()


def _suite(home: Path) -> Path:
    content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
    content["name"] = "chaos"
    content["sections"]["embedded"]["protocol"]["steps"] = STEPS
    content["sections"]["embedded"]["seeds"] = f"0-{SEEDS - 1}"
    path = home / "chaos.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        leader = psutil.Process(process.pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return []


def _named(process: psutil.Process, start: str) -> bool:
    try:
        return process.name().startswith(start)
    except psutil.Error:
        return False


def digest(out: Path) -> str:
    """SHA-256 of all of a run that is a function of its specifications.

    Metrics, log and predictions by trial, and of the report its statistics and its table without the columns
    of costs.
    """
    found = hashlib.sha256()
    run = out / "chaos"
    for done in sorted(run.glob(f"trials/*/{DONE}")):
        metrics = str(sorted(read_json(done)["metrics"].items()))
        found.update(f"{done.parent.name} {metrics}\n".encode())
        for name in (METRICS, PREDICTIONS):
            found.update(hashlib.sha256((done.parent / name).read_bytes()).digest())
    with contextlib.suppress(FileNotFoundError):
        found.update((run / "report/stats.json").read_bytes())
        with (run / "report/results.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                kept = {name: value for name, value in row.items() if not name.endswith(COST_ENDINGS)}
                found.update(str(kept).encode())
    return found.hexdigest()
