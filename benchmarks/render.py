"""How long a large report takes, and how much memory: 10,000 trials x 2,000 clips by default.

Example: python benchmarks/render.py --to /tmp/large --profile

The run folder is made once and used again.  The report is rendered in a process of its own, so that its peak
memory is that of rendering alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

DATASETS, BUDGETS, ENTRIES = 10, ("1", "2", "4", "8", "16"), 20
CLASSES = 12
MOST_SECONDS, MOST_GIB = 60.0, 4.0


def suite_text(seeds: int) -> str:
    """The suite as YAML: one section, all cells, one baseline."""
    tasks = "".join(f"      - {{data: set{i}, labels: {list(BUDGETS)}}}\n" for i in range(DATASETS))
    entries = "".join(
        f"      - {{label: method{i}, method: supervised, role: {'competitor' if i else 'baseline'}}}\n"
        for i in range(ENTRIES)
    )
    return f"""name: large
title: A large suite
sections:
  all:
    title: Everything
    embedded: true
    seeds: 0-{seeds - 1}
    backbone: {{name: shiftnet}}
    protocol:
      frames: 8
      short_side: 48
      size: 32
      normalize: clip
      augmentations: {{labeled: {{}}, weak: {{}}, strong: {{}}, test: {{}}}}
      steps: 600
      batch: {{labeled: 8, unlabeled: 16, warmup: 8}}
      optimizer: {{name: adamw, lr: 0.004}}
    tasks:
{tasks}    entries:
{entries}"""


def make_run(to: Path, trials: int, clips: int) -> None:
    """Writes the suite and a run folder with plan, records and predictions, unless it is complete."""
    from bench.plan import PlannedTrial  # noqa: PLC0415
    from bench.spec import TrialSpec  # noqa: PLC0415
    from bench.store import RunFolder, write_json  # noqa: PLC0415
    from bench.suite import load_suite, parse_seeds  # noqa: PLC0415

    cells = DATASETS * len(BUDGETS) * ENTRIES
    to.mkdir(parents=True, exist_ok=True)
    (to / "large.yaml").write_text(suite_text(max(trials // cells, 1)), encoding="utf-8")
    section = load_suite(str(to / "large.yaml")).suite.sections["all"]
    run = RunFolder(to / "runs" / "large")
    planned = []
    for task in section.tasks:
        for labels in task.labels:
            for entry in section.entries:
                for seed in parse_seeds(section.seeds):
                    spec = TrialSpec(
                        method=entry.method,
                        config={"form": entry.label},
                        data=task.data,
                        labels=labels,
                        split_hash=hashlib.sha256(f"{task.data} {labels} {seed}".encode()).hexdigest(),
                        seed=seed,
                        backbone=section.backbone,
                        protocol=section.protocol,
                    )
                    place = {"section": "all", "entry": entry.label, "role": entry.role}
                    cell = f"{task.data}@{labels}"
                    planned.append(PlannedTrial(**place, cell=cell, seed=seed, spec=spec))
    started = time.perf_counter()
    for i, trial in enumerate(planned):
        if run.trial(trial.spec.id).done() is None:
            _write_trial(run, trial, clips)
        if i % 500 == 0:
            print(
                f"made {i:,} of {len(planned):,} trials in {time.perf_counter() - started:.0f} s", flush=True
            )
    write_json(run.path / "plan.json", {"trials": [trial.model_dump(mode="json") for trial in planned]})


LOG = (("loss/supervised", 2.0), ("loss/unsupervised", 0.5), ("pseudo/used", 0.6), ("pseudo/weight", 0.6))
"""What a trial logs every tenth step, with where it starts."""


def _log(rng: Any, steps: int) -> str:
    """A metrics log as long as a trial's."""
    lines = []
    for step in range(0, steps, 10):
        values = {name: round(start * (0.9 + 0.2 * rng.random()), 5) for name, start in LOG}
        lines.append(json.dumps({"step": step, "lr": 0.004, **values, "pseudo/precision": 0.7}))
    return "\n".join(lines) + "\n"


def _write_trial(run: Any, trial: Any, clips: int) -> None:
    """A finished trial: clips differ in difficulty, entries in ability, seeds in luck."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    from made_trials import file_trial  # noqa: PLC0415

    from bench.metrics import all_metrics  # noqa: PLC0415
    from bench.predictions import predictions_of  # noqa: PLC0415

    number = int(trial.entry.removeprefix("method"))
    rng = np.random.default_rng([number, trial.seed, int(trial.spec.labels), int(trial.spec.data[3:])])
    difficulty = np.random.default_rng(0).normal(0, 1.5, clips)
    ability = 0.3 + 0.05 * number + 0.2 * rng.normal()
    correct = rng.random(clips) < 1 / (1 + np.exp(-difficulty - ability))
    label = np.arange(clips) % CLASSES
    table = pa.table(
        {
            "clip": [f"test/{i:05d}.mp4" for i in range(clips)],
            "label": label,
            "group": [f"video{i:05d}" for i in range(clips)],
            "predicted": np.where(
                correct, label, (label + 1 + rng.integers(0, CLASSES - 1, clips)) % CLASSES
            ),
            "rank": np.where(correct, 0, 1),
            "nll": rng.exponential(1.0, clips),
            "confidence": rng.uniform(0.2, 1.0, clips),
            "error": [""] * clips,
        }
    )
    folder = run.trial(trial.spec.id).path
    found = predictions_of(table, folder)
    record = {
        "metrics": all_metrics(found, CLASSES),
        "classes": CLASSES,
        "code_hash": "0",
        "prepare_seconds": 1.0,
        "train_seconds": 30.0 + rng.random(),
        "evaluate_seconds": 1.0,
        "environment": {"processor": "a CPU"},
    }
    file_trial(folder, trial.spec, table, _log(rng, trial.spec.protocol.steps), record)


def render(to: Path, formats: str, profile: bool) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of CPU and peak GiB of one report."""
    command = [sys.executable]
    if profile:
        command += ["-m", "cProfile", "-o", str(to / "render.prof")]
    command += ["-m", "bench", "report", "--suite", str(to / "large.yaml"), "--out", str(to / "runs")]
    command += ["--to", str(to / "report"), "--format", formats]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, used.ru_maxrss / 1024**2


def main() -> int:
    """Makes the run, renders it, and says whether it kept within time and memory: 3 where not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="folder of the run and its report")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=2_000)
    parser.add_argument("--format", default="md,html,latex,csv,json")
    parser.add_argument("--profile", action="store_true", help="leave TO/render.prof and print its top")
    options = parser.parse_args()
    make_run(options.to, options.trials, options.clips)
    seconds, cpu, gib = render(options.to, options.format, options.profile)
    if options.profile:
        import pstats  # noqa: PLC0415

        pstats.Stats(str(options.to / "render.prof")).sort_stats("cumulative").print_stats(40)
    size = sum(path.stat().st_size for path in (options.to / "report").rglob("*") if path.is_file()) / 1e6
    print(
        f"{options.trials:,} trials x {options.clips:,} clips: "
        f"{seconds:.1f} s, {cpu:.1f} of CPU, {gib:.2f} GiB, report of "
        f"{size:.1f} MB (allowed: {MOST_SECONDS:.0f} s, {MOST_GIB:.0f} GiB)"
    )
    return 0 if seconds < MOST_SECONDS and gib < MOST_GIB else 3


if __name__ == "__main__":
    sys.exit(main())
