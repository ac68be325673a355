"""Run folders with real plan, spec, done and prediction files, whose accuracies are chosen by the test."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.evaluate import metrics, write_predictions
from bench.plan import PlannedTrial
from bench.spec import Batch, Net, Optimizer, Protocol, TrialSpec
from bench.store import RunFolder, read_json, sealed, sha256, write_json
from bench.suite import Entry, LoadedSuite, Section, Suite, Task, Tuned, parse_seeds
from datasets.policy import AugmentPolicy

CLASSES = 12
STRONG, WEAK = AugmentPolicy(rotate=20.0, color_mix=0.4), AugmentPolicy(translate=None)

Outcome = float | str
"""True accuracy of a finished trial, or "diverged", "failed", "missing"."""


def protocol(**changes: Any) -> Protocol:
    values = {
        "frames": 8,
        "short_side": 48,
        "size": 32,
        "normalize": "clip",
        "augmentations": {"labeled": STRONG, "weak": WEAK, "strong": STRONG, "test": AugmentPolicy()},
        "steps": 600,
        "batch": Batch(labeled=8, unlabeled=16, warmup=8),
        "optimizer": Optimizer(name="adamw", lr=4e-3),
    }
    return Protocol(**{**values, **changes})


def suite(
    entries: dict[str, str], *, data: str = "gymlike", labels: tuple[str, ...] = ("2",), seeds: str = "0-4",
    notes: dict[str, str] | None = None, tuned: Tuned | None = None, title: str = "A suite for tests",
) -> LoadedSuite:  # fmt: skip
    """A suite with one section; `entries` maps labels to roles, in order."""
    section = Section(
        title="Embedded",
        embedded=True,
        seeds=seeds,
        backbone=Net(name="shiftnet"),
        protocol=protocol(),
        tasks=(Task(data=data, labels=labels),),
        entries=tuple(
            Entry(
                label=label, method=label.split()[0].strip(","), role=role, note=(notes or {}).get(label, "")
            )
            for label, role in entries.items()
        ),
    )
    made = Suite(name="tiny", title=title, sections={"embedded": section})
    return LoadedSuite(suite=made, path=Path("tiny.yaml"), tuned=tuned)


def write_run(
    loaded: LoadedSuite, folder: Path, outcome: Callable[[str, str, int], Outcome], *,
    clips: int = 240, per_video: int = 1, seed_sd: float = 0.01, limited: bool = False,
    banner: str | list[str] = "", plan: dict[str, Any] | None = None,
    code_hash: Callable[[str, int], str] = lambda method, seed: f"code-{method}",
) -> RunFolder:  # fmt: skip
    """Writes a run of every cell, entry and seed of the suite; `outcome(entry, labels, seed)`."""
    run = RunFolder(folder)
    trials = []
    for name, section in loaded.suite.sections.items():
        for task in section.tasks:
            for labels in task.labels:
                for entry in section.entries:
                    for seed in parse_seeds(section.seeds):
                        planned = _planned(name, section, entry, task.data, labels, seed, limited)
                        result = outcome(entry.label, labels, seed)
                        code = code_hash(entry.method, seed)
                        _write_trial(run, planned, result, clips, per_video, seed_sd, code)
                        trials.append(planned.model_dump(mode="json"))
    write_json(run.path / "plan.json", {"trials": trials, "banner": banner, **(plan or {})})
    return run


def reseal(trial: Path, **changes: Any) -> None:
    """Files a trial's record again, after a change of its predictions or with other fields."""
    predictions = trial / "predictions.parquet"
    whole = {"predictions_bytes": predictions.stat().st_size, "predictions_sha256": sha256(predictions)}
    write_json(trial / "done.json", sealed({**read_json(trial / "done.json"), **whole, **changes}))


def _planned(name, section, entry, data, labels, seed, limited) -> PlannedTrial:
    budget = "all" if entry.role == "bound" else labels
    # A note of the label in the config keeps trials of two entries with one method apart.
    spec = TrialSpec(
        method=entry.method,
        config={"form": entry.label},
        data=data,
        labels=budget,
        split_hash=hashlib.sha256(f"{data}@{budget} {seed}".encode()).hexdigest(),
        seed=seed,
        backbone=section.backbone,
        protocol=section.protocol,
        limited=limited,
    )
    cell = f"{data}@{labels}"
    return PlannedTrial(section=name, entry=entry.label, role=entry.role, cell=cell, seed=seed, spec=spec)


def _write_trial(run, planned, result, clips, per_video, seed_sd, code) -> None:
    spec = planned.spec
    folder = run.trial(spec.id)
    base = {"id": spec.id, "spec": spec.model_dump(mode="json"), "code_hash": code}
    if result == "missing" or folder.done() is not None:
        return
    with folder.attempt() as attempt:
        write_json(folder.path / "spec.json", base["spec"])
        if isinstance(result, str):
            message = "the loss is not finite at step 17" if result == "diverged" else "a worker was lost"
            kind = "diverged" if result == "diverged" else "exception"
            failed = {**base, "status": "failed", "kind": kind, "message": message}
            folder.publish_failed(attempt, failed, "Traceback ...")
            return
        table = predictions(float(result), planned.entry, spec.seed, clips, per_video, seed_sd)
        write_predictions(table, attempt / "predictions.parquet")
        folder.publish_done(attempt, {**base, **_record(table), "status": "done"})


def predictions(
    accuracy: float, entry: str, seed: int, clips: int = 240, per_video: int = 1, seed_sd: float = 0.01
) -> pd.DataFrame:
    """A table whose accuracy varies with the seed, with clips that are hard for every entry."""
    difficulty = np.random.default_rng(99).normal(size=clips)
    rng = np.random.default_rng([zlib.crc32(entry.encode()), seed])
    level = np.clip(accuracy + seed_sd * rng.normal(), 0.01, 0.99)
    order = np.argsort(difficulty + 1.2 * rng.normal(size=clips))
    correct = np.zeros(clips, dtype=bool)
    correct[order[: round(level * clips)]] = True
    label = np.arange(clips) % CLASSES
    predicted = np.where(correct, label, (label + 1) % CLASSES)
    table = pd.DataFrame(
        {
            "clip": [f"test/{i:04d}.mp4" for i in range(clips)],
            "label": label,
            "group": [f"video{i // per_video}" for i in range(clips)],
            "predicted": predicted,
            "rank": np.where(correct, 0, 1),
            "nll": np.where(correct, 0.3, 2.0),
            "confidence": np.full(clips, 0.8),
            "error": [""] * clips,
        }
    )
    return table.sample(frac=1, random_state=seed)  # rows come in another order in every trial


def _record(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "metrics": metrics(table, CLASSES),
        "parameters": 130_000,
        "checkpoint_step": 600,
        "labeled": 24,
        "unlabeled": 1200,
        "prepare_seconds": 1.5,
        "train_seconds": 30.25,
        "evaluate_seconds": 0.75,
        "environment": {"sefar_bench": "0.1.0", "python": "3.11.9", "torch": "2.6.0", "processor": "a CPU"},
    }


def on_data(loaded: LoadedSuite, *names: str, labels: tuple[str, ...] = ("2",)) -> LoadedSuite:
    """The suite with these data sets; one run of it gives all of them the same answers."""
    section = loaded.suite.sections["embedded"]
    section = section.model_copy(update={"tasks": tuple(Task(data=name, labels=labels) for name in names)})
    made = loaded.suite.model_copy(update={"sections": {"embedded": section}})
    return loaded.model_copy(update={"suite": made})
