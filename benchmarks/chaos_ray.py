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
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml
from chaos_kept import RAY_CODE, Kept, code_of

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
MESSAGES = "messages.txt"


def ray_campaign(
    faults: int, seed: int, kept: Path | None = None, until: float = float("inf")
) -> tuple[Counter[str], list[str]]:
    """Kills processes of runs; every run must then complete and give the undisturbed table and report.

    Args:
        faults: how many are to pass.
        seed: of what is killed, and when.
        kept: file of the faults so far; the run that they hit lies beside it, so that a stopped campaign goes
            on within it.
        until: `time.monotonic()` after which no further fault begins.

    Returns:
        How many faults passed by what was killed, and a line per run that went wrong.
    """
    notes = Kept(kept, code_of(*RAY_CODE), seed)
    failed: list[str] = []
    with _place(kept) as home:
        expected = next((row["calm"] for row in notes.rows if "calm" in row), None)
        if expected is None:
            expected = _calm(home / "calm")
            notes.add({"calm": expected})
        while sum(_passed(notes).values()) < faults and not failed and time.monotonic() < until:
            number = sum("passed" in row for row in notes.rows)
            hits = [row["hit"] for row in notes.rows if row.get("run") == number and "hit" in row]
            if not hits:
                shutil.rmtree(home / "run", ignore_errors=True)
            wanted = min(PER_RUN, faults - sum(_passed(notes).values()))
            complaint = _one_run(home / "run", notes, number, hits, wanted, until)
            if complaint is None:  # time is up
                break
            if complaint:
                failed.append(f"run {number} of seed {seed} after {hits}: {complaint}")
                print(failed[-1], flush=True)
            elif digest(home / "run" / "runs") != expected:
                failed.append(f"run {number} of seed {seed} after {hits}: another table")
                print(failed[-1], flush=True)
            else:
                notes.add({"passed": number})
    return _passed(notes), failed


def _passed(notes: Kept) -> Counter[str]:
    """The faults of the runs that completed as they should, by what was killed."""
    runs = {row["passed"] for row in notes.rows if "passed" in row}
    return Counter(row["hit"] for row in notes.rows if "hit" in row and row["run"] in runs)


def _one_run(home: Path, notes: Kept, number: int, hits: list[str], wanted: int, until: float) -> str | None:
    """Brings a run from its first fault, or from where it was stopped, to its end.

    Returns:
        What is wrong, "" when nothing is, None when the time was up before.
    """
    with Disturbed(home, generator(notes.seed, "chaos through Ray", epoch=number, index=len(hits))) as run:
        while len(hits) < wanted:
            if time.monotonic() > until:
                return None
            hit = run.disturb()
            if not hit:
                break
            hits.append(hit)
            notes.add({"run": number, "hit": hit})
        status, err = run.complete()
    return "" if status == 0 else f"status {status}, {err[-300:]}"


@contextlib.contextmanager
def _place(kept: Path | None) -> Iterator[Path]:
    """The folder of the runs: beside the file of what passed, or a temporary one."""
    if kept is not None:
        yield kept.resolve().with_name(f"{kept.stem}-ray")
        return
    with tempfile.TemporaryDirectory(prefix="sefar-chaos-ray-") as name:
        yield Path(name)


def _calm(home: Path) -> str:
    """The digest of an undisturbed run."""
    with Disturbed(home, np.random.default_rng(0)) as run:
        status, err = run.complete()
    if status != 0:
        raise RuntimeError(f"the undisturbed run ended with {status}: {err[-300:]}")
    return digest(home / "runs")


@dataclass
class Disturbed:
    """A run in a folder of its own, whose processes are killed; all of them are ended with its `with` block.

    `started`: every process of it that was seen.
    """

    home: Path
    rng: np.random.Generator
    started: set[psutil.Process] = field(default_factory=set)
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Disturbed:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.started.update(_family(self.process))
        self._cut()

    def disturb(self) -> str:
        """Kills one process of the run: which one, or "" where all trials are done before."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process is None:
                self.process = self._start()
            if self.process.poll() is not None:
                if self.process.returncode == 0:
                    return ""
                self.process = None
            elif self._at_work():
                time.sleep(float(self.rng.uniform(0, 4)))
                target = TARGETS[int(self.rng.integers(len(TARGETS)))]
                if self._kill(target):
                    return target
            else:
                time.sleep(0.1)
        raise RuntimeError(f"no trial of {self.home} has begun in {PATIENCE:g} s")

    def complete(self) -> tuple[int, str]:
        """Lets the run end, once more with the same command where it had failed: status and messages."""
        status, err = self._end(PATIENCE) if self.process is not None else (1, "")
        if status != 0:
            self.process = self._start()
            status, err = self._end(PATIENCE)
        return status, err

    def _start(self) -> subprocess.Popen[bytes]:
        suite = _suite(self.home)
        given = ["--suite", str(suite), "--out", "runs", "--max-retries", "9"]
        given += ["--checkpoint-seconds", CHECKPOINT_SECONDS]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (self.home / MESSAGES).open("w") as messages:
            return subprocess.Popen(
                [sys.executable, "-m", "bench", "run", *given],
                cwd=self.home,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                start_new_session=True,
            )

    def _at_work(self) -> bool:
        """Whether a process of this run works on a trial; not one still dying of the run before."""
        assert self.process is not None
        attempts = (self.home / "runs/chaos/trials").glob(f"*/{ATTEMPT}*")
        holders = {holder.pid for each in attempts if (holder := holder_of(each.parent)) is not None}
        return bool(holders) and any(each.pid in holders for each in _family(self.process))

    def _kill(self, target: str) -> bool:
        """Kills a process of this kind, if there is one, and waits for what must come of it."""
        assert self.process is not None
        family = _family(self.process)
        self.started.update(family)
        victims = {
            "driver": [each for each in family if each.pid == self.process.pid],
            "worker": [each for each in family if _named(each, "ray::ResourceTrainable")],
            "raylet": [each for each in family if _named(each, "raylet")],
        }[target]
        if not victims:
            return False
        try:
            victims[int(self.rng.integers(len(victims)))].kill()
        except psutil.NoSuchProcess:
            return False
        if target == "worker":
            return True
        if target == "raylet":
            self._end(DYING)
        else:
            self.process.wait()
        self.process = None
        if self.rng.random() < 0.5:
            self._cut()
        return True

    def _end(self, patience: float) -> tuple[int, str]:
        assert self.process is not None
        try:
            self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.started.update(_family(self.process))
            self.process.kill()
            self.process.wait()
        messages = (self.home / MESSAGES).read_text(encoding="utf-8", errors="replace")
        return self.process.returncode, messages

    def _cut(self) -> None:
        """Ends all that is left of the run, and only that."""
        for left in self.started:
            with contextlib.suppress(psutil.Error):
                left.kill()
        psutil.wait_procs(list(self.started), timeout=20)
        if self.process is not None:
            self.process.wait()
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


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
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
