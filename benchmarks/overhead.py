"""What the harness costs beside training: start-up, seconds around each trial, and a folder of 20,000 trials.

Example: python benchmarks/overhead.py --to /tmp/overhead

Three measurements, each with what is allowed; exit status 3 where one is not kept:

- `scan`: `bench plan` over a folder of finished trials, in processes of its own: the first look after the
  trials came there, which reads every byte, and a later look.  Importing the programs is timed apart.
- `start-up`: from the command to the first trial at work, through Ray, with all data ready.
- `around`: seconds of a worker from one finished trial to the next, less training and evaluation.

Seconds of CPU are printed beside those of the clock, since other programs on the machine disturb the latter.
The folder of trials is made once and used again.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

MOST_SCAN, MOST_START, MOST_AROUND = 5.0, 10.0, 2.0
CELLS = ("synthgym", "synthgym_order")
LABELS = ("1", "2", "4", "8", "16")
ENTRIES = 20
CLIPS = 600
LOG = '{"step": 0, "loss/supervised": 2.0}\n' * 60


def _suite(to: Path, name: str, change: Any) -> Path:
    """A suite file made from the suite `smoke`."""
    from bench.suite import SUITES  # noqa: PLC0415

    content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
    content["name"] = name
    change(content["sections"]["embedded"])
    path = to / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def make_trials(to: Path, trials: int) -> Path:
    """A suite of so many trials and their folders, all finished by today's code, unless they are there.

    Returns:
        The suite's file; the run folder is `to`/runs/many.
    """
    from made_trials import file_trial  # noqa: PLC0415

    from bench.agenda import make_agenda  # noqa: PLC0415
    from bench.plan import Choice  # noqa: PLC0415
    from bench.store import RunFolder, read_json, write_json  # noqa: PLC0415
    from bench.suite import load_suite  # noqa: PLC0415
    from bench.trial_code import trial_code_hash  # noqa: PLC0415

    def change(section: dict[str, Any]) -> None:
        section["seeds"] = f"0-{max(1, trials // (len(CELLS) * len(LABELS) * ENTRIES)) - 1}"
        section["tasks"] = [{"data": data, "labels": list(LABELS)} for data in CELLS]
        section["entries"] = [
            {"label": f"entry{i}", "method": "fixmatch", "config": {"threshold": round(0.5 + i / 50, 2)}}
            for i in range(1, ENTRIES)
        ]
        section["entries"].insert(0, {"label": "entry0", "method": "supervised", "role": "baseline"})
        del section["tune"]

    to.mkdir(parents=True, exist_ok=True)
    suite = _suite(to, "many", change)
    run = RunFolder(to / "runs" / "many")
    planned = make_agenda(load_suite(str(suite)), Choice(), device="cpu").trials
    codes = {
        name: trial_code_hash(next(t.spec for t in planned if t.spec.method == name))
        for name in ("supervised", "fixmatch")
    }
    mark = to / "made.json"
    wanted = {"trials": len(planned), "codes": codes}
    if not mark.is_file() or read_json(mark) != wanted:
        started = time.perf_counter()
        for i, trial in enumerate(planned):
            record = {**_record(), "code_hash": codes[trial.spec.method]}
            file_trial(run.trial(trial.spec.id).path, trial.spec, _predictions(i), LOG, record)
        write_json(mark, wanted)
        print(f"made {len(planned):,} trial folders in {time.perf_counter() - started:.0f} s", flush=True)
    plan = {"suite": "many", "trials": [trial.model_dump(mode="json") for trial in planned]}
    write_json(run.path / "plan.json", plan)
    return suite


_TABLE: dict[str, Any] = {}


def _predictions(number: int) -> Any:
    """A table of answers in the form of a trial's, other answers for each number."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rng = np.random.default_rng(number)
    if not _TABLE:
        _TABLE["clip"] = pa.array([f"test/{i:05d}.mp4" for i in range(CLIPS)])
        _TABLE["group"] = pa.array([f"video{i}" for i in range(CLIPS)])
        _TABLE["label"] = pa.array(np.arange(CLIPS) % 12)
        _TABLE["error"] = pa.array([""] * CLIPS)
    answered = {
        "predicted": pa.array(rng.integers(0, 12, CLIPS)),
        "rank": pa.array(rng.integers(0, 12, CLIPS)),
        "nll": pa.array(rng.uniform(0.0, 3.0, CLIPS)),
        "confidence": pa.array(rng.uniform(0.2, 1.0, CLIPS)),
    }
    return pa.table({**_TABLE, **answered})


def _record() -> dict[str, Any]:
    from bench.environment import processor  # noqa: PLC0415

    names = ("top1", "top5", "mean_class", "macro_f1", "ece", "nll", "coverage", "precision")
    return {
        "metrics": dict.fromkeys(names, 0.123456789012345),
        "classes": 12,
        "labeled": 24,
        "unlabeled": 2400,
        "excluded": {},
        "parameters": 130_000,
        "checkpoint_step": 24,
        "prepare_seconds": 1.0,
        "train_seconds": 30.0,
        "train_cpu_seconds": 29.0,
        "evaluate_seconds": 1.0,
        "clips_seen": 576,
        "peak_memory_mib": 400.0,
        "energy_joules": None,
        "data_hash": "0" * 16,
        "pixel_hash": "0" * 16,
        "plugins": {"method": "package 'sefar-bench'", "data": "package 'sefar-bench'", "backbone": ""},
        "environment": {"processor": processor(), "python": "3.11", "torch": "2", "numpy": "2", "threads": 1},
        "step_cost": {"clips": 24, "frames": 192, "views": 3},
    }


STAGE_NAMES = ("imports", "planning", "scanning", "rest of a rerun")
STAGES = """
import resource, sys, time
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
marks = [(time.perf_counter(), cpu())]
from pathlib import Path
from bench import runner, forecast, plan_file
from bench.agenda import make_agenda, survey
from bench.plan import Choice
from bench.suite import load_suite
from bench.failure_table import failure_lines
from bench.render import stamp
import bench.schedule, bench.split_folder
marks.append((time.perf_counter(), cpu()))
loaded = load_suite(sys.argv[1])
agenda = make_agenda(loaded, Choice(), device="cpu")
marks.append((time.perf_counter(), cpu()))
run = runner.run_folder(loaded, Path(sys.argv[2]), Choice())
states = survey(agenda.trials, run)
marks.append((time.perf_counter(), cpu()))
assert set(states.values()) == {"done"}, {s: list(states.values()).count(s) for s in set(states.values())}
plan_file.write_plan(loaded, agenda, run)
runner.sweep(run)
failure_lines(agenda.trials, run)
stamp.digest(loaded, run)
marks.append((time.perf_counter(), cpu()))
for (a, b), (c, d) in zip(marks, marks[1:]):
    print(c - a, d - b)
"""


def scan(to: Path, trials: int) -> bool:
    """Times plan and scan of a large folder, stage by stage; whether a later look is fast enough."""
    suite = make_trials(to, trials)
    for derived in (to / "runs" / "many").glob(".*.json"):
        derived.unlink()
    kept = True
    for look in ("first look", "later look"):
        done = subprocess.run(
            [sys.executable, "-c", STAGES, str(suite), str(to / "runs")],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        )
        stages = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
        told = ", ".join(
            f"{name} {clock:.2f} s ({cpu:.2f} of CPU)"
            for name, (clock, cpu) in zip(
                ("imports", "planning", "scanning", "rest of a rerun"), stages, strict=True
            )
        )
        total = sum(clock for clock, _ in stages[1:3])
        print(f"{trials:,} finished trials, {look}: {told}; planning and scanning {total:.2f} s", flush=True)
        kept = total < MOST_SCAN
    seconds, cpu = timed(["plan", "--suite", str(suite), "--out", str(to / "runs")])
    print(f"`bench plan` as a whole, with imports: {seconds:.2f} s ({cpu:.2f} of CPU)", flush=True)
    return kept


def timed(arguments: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of CPU of one command of `bench`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bench", *arguments], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


STEPS, TRIALS = 30, 6


def around(to: Path) -> bool:
    """Runs a few short trials through Ray, one after the other; whether start-up and surroundings keep."""
    from bench.store import RunFolder, read_json  # noqa: PLC0415

    def change(section: dict[str, Any]) -> None:
        section["protocol"]["steps"] = STEPS
        section["tasks"] = [{"data": "synthgym", "labels": ["2"]}]
        section["seeds"] = f"0-{TRIALS // 2 - 1}"
        del section["tune"]

    to.mkdir(parents=True, exist_ok=True)
    suite = _suite(to, "short", change)
    run = RunFolder(to / "runs" / "short")
    shutil.rmtree(run.path, ignore_errors=True)
    warm = ["run", "--suite", str(suite), "--out", str(to / "warm"), "--seeds", "0", "--stale", "redo"]
    timed(warm)  # data, clip cache
    began = time.time()
    seconds, cpu = timed(["run", "--suite", str(suite), "--out", str(to / "runs"), "--max-concurrent", "1"])
    done = sorted(run.path.glob("trials/*/done.json"), key=lambda path: path.stat().st_mtime)
    start = min((path.parent / "spec.json").stat().st_mtime for path in done) - began
    beside = []
    for before, after in itertools.pairwise(done):
        record = read_json(after)
        train, evaluate = record["train_seconds"], record["evaluate_seconds"]
        beside.append(after.stat().st_mtime - before.stat().st_mtime - train - evaluate)
        print(
            f"training {train:.2f} s, evaluation {evaluate:.2f} s, beside them {beside[-1]:.2f} s, "
            f"of these preparation {record['prepare_seconds']:.2f} s"
        )
    middle = statistics.median(beside)
    print(f"start-up: {start:.1f} s to the first trial at work (allowed: {MOST_START:g} s)")
    print(f"around a trial: {middle:.2f} s (median of {len(beside)}, allowed: {MOST_AROUND:g} s)")
    print(f"the whole run: {seconds:.1f} s ({cpu:.1f} of CPU)", flush=True)
    return start <= MOST_START and middle <= MOST_AROUND


def main() -> int:
    """Measures what is asked for: 3 where something takes longer than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="folder of the made runs")
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--only", choices=["scan", "around"], help="one part alone")
    options = parser.parse_args()
    kept = True
    if options.only != "around":
        kept = scan(options.to, options.trials)
    if options.only != "scan":
        kept = around(options.to) and kept
    return 0 if kept else 3


if __name__ == "__main__":
    sys.exit(main())
