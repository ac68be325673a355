"""Faults through real Ray: the driver, a worker or the raylet of a run is killed at a random moment."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import yaml

from bench.store import DONE, METRICS, PREDICTIONS, read_json
from bench.suite import SUITES
from datasets.draws import generator

STEPS = 60
PER_RUN = 5
"""Faults that hit one run before it may finish."""
PATIENCE = 600.0
TARGETS = ("driver", "worker", "raylet")


def ray_campaign(faults: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Kills processes of runs; every run must then complete and give the undisturbed table.

    Returns:
        How many faults passed by what was killed, and a line per run that went wrong.
    """
    passed: Counter[str] = Counter()
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sefar-chaos-ray-") as name:
        home = Path(name)
        suite = _suite(home)
        _complete(home, suite, "calm")
        expected = _table(home / "calm")
        for run in range(-(-faults // PER_RUN)):
            rng = generator(seed, "chaos through Ray", index=run)
            count = min(PER_RUN, faults - run * PER_RUN)
            hit = [_fault(home, suite, f"run{run}", rng) for _ in range(count)]
            status, err = _complete(home, suite, f"run{run}")
            if status == 0 and _table(home / f"run{run}") == expected:
                passed.update(hit)
            else:
                failed.append(f"run {run} of seed {seed} after {hit}: status {status}, {err[-300:]}")
                print(failed[-1], flush=True)
    return passed, failed


def _suite(home: Path) -> Path:
    content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
    content["name"] = "chaos"
    content["sections"]["embedded"]["protocol"]["steps"] = STEPS
    content["sections"]["embedded"]["seeds"] = "0-1"
    path = home / "chaos.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _start(home: Path, suite: Path, out: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "--suite",
        str(suite),
        "--out",
        out,
        "--max-retries",
        "9",
    ]
    return subprocess.Popen(
        command,
        cwd=home,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _complete(home: Path, suite: Path, out: str) -> tuple[int, str]:
    process = _start(home, suite, out)
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err


def _fault(home: Path, suite: Path, out: str, rng: np.random.Generator) -> str:
    """Starts the run, waits until a trial trains and then a random while, and kills one of its processes."""
    target = TARGETS[int(rng.integers(len(TARGETS)))]
    process = _start(home, suite, out)
    end = time.monotonic() + PATIENCE
    trials = home / out / "chaos/trials"
    while process.poll() is None and time.monotonic() < end and not list(trials.glob("*/.attempt-*")):
        time.sleep(0.1)
    time.sleep(float(rng.uniform(0, 6)))
    family = _family(process)
    victims = {
        "driver": [each for each in family if each.pid == process.pid],
        "worker": [each for each in family if _named(each, "ray::")],
        "raylet": [each for each in family if _named(each, "raylet")],
    }[target]
    for victim in victims[:1]:
        with contextlib.suppress(psutil.Error):
            victim.kill()
    try:
        process.communicate(timeout=60 if target == "driver" else PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    for left in family:  # only what this run started; a cut of the power would end all of them
        with contextlib.suppress(psutil.Error):
            left.kill()
    psutil.wait_procs(family, timeout=20)
    return target


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


def _table(out: Path) -> dict[str, tuple[str, bytes, bytes]]:
    """Metrics, log and predictions by trial."""
    found = {}
    for done in (out / "chaos/trials").glob(f"*/{DONE}"):
        log, answers = ((done.parent / name).read_bytes() for name in (METRICS, PREDICTIONS))
        found[done.parent.name] = (str(sorted(read_json(done)["metrics"].items())), log, answers)
    return found
