"""One specification -> one record.  No Ray, no command line; a decoder only when clips are not cached."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench import evaluate, plugins, store
from bench.code_hash import code_hash, module_of
from bench.environment import environment
from bench.experiment import Experiment, Scene, make_scene, set_determinism
from bench.meter import Meter
from bench.spec import TrialSpec
from bench.store import TrialFolder
from bench.train import warmup_steps
from datasets.clip_cache import ClipCache
from datasets.errors import UserError
from datasets.splits import make_split
from datasets.types import ClipTable

CHECKPOINT_SECONDS = 300.0
"""Time between checkpoints of a running trial."""


def trial_code_hash(spec: TrialSpec) -> str:
    """The hash of the code behind a trial."""
    used = [plugins.method_class(spec.method), plugins.backbone_builder(spec.backbone.name)]
    return code_hash(*(module_of(plugin) for plugin in used))


def run_trial(spec: TrialSpec, folder: TrialFolder, resume: bool = True) -> dict[str, Any]:
    """Runs a trial and files its record; a failure of the trial is a record too.

    Args:
        spec: the trial.
        folder: its folder.
        resume: continue from a checkpoint in the folder, if there is one.

    Returns:
        The record: `status` is "done" or "failed".

    Raises:
        UserError: for what the user must mend (no disk space, a changed split); nothing is filed then.
    """
    with folder.attempt() as attempt:
        store.write_json(folder.path / store.SPEC, spec.model_dump(mode="json"))
        base = {"id": spec.id, "spec": spec.model_dump(mode="json"), "code_hash": trial_code_hash(spec)}
        try:
            record = {**base, **_run(spec, folder, attempt, resume), "status": "done"}
        except UserError:
            raise
        except Exception as error:  # the boundary: whatever a method raises becomes the trial's record
            if isinstance(error, OSError) and error.errno in store.DISK_FULL:
                with store.disk_errors(folder.path):
                    raise
            failed = {**base, "status": "failed", "kind": failure_kind(error), "message": str(error)}
            folder.publish_failed(attempt, failed, traceback.format_exc())
            return failed
        folder.publish_done(attempt, record)
        return record


def lost_record(spec: TrialSpec, folder: TrialFolder) -> dict[str, Any]:
    """Files that the process of a trial died without leaving a record."""
    message = "its process died: it was killed, or the machine ran out of memory"
    base = {"id": spec.id, "spec": spec.model_dump(mode="json"), "code_hash": trial_code_hash(spec)}
    failed = {**base, "status": "failed", "kind": store.LOST_WORKER, "message": message}
    with folder.attempt() as attempt:
        folder.publish_failed(attempt, failed, f"{message}\n")
    return failed


def failure_kind(error: Exception) -> str:
    """A class of failure: "diverged", "out of memory" or "exception"."""
    if isinstance(error, evaluate.DivergedError):
        return "diverged"
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return "out of memory"
    return "exception"


def _run(spec: TrialSpec, folder: TrialFolder, attempt: Path, resume: bool) -> dict[str, Any]:
    started = time.perf_counter()
    meter = Meter(torch.device(spec.device))
    set_determinism(spec)
    scene, content = prepare_scene(spec)
    experiment = Experiment(spec, scene)
    state = experiment.state
    checkpoint = folder.path / store.CHECKPOINT
    log_path = attempt / store.METRICS
    code = trial_code_hash(spec)
    saved = _checkpoint(checkpoint, code) if resume else None
    if saved is not None:
        experiment.load_state_dict(saved)
        _carry_log(folder.path / store.METRICS, log_path, state.step)
    saver = _Saver(checkpoint, code, folder.path / store.METRICS, log_path)
    prepared = time.perf_counter() - started
    folder.forget()
    with log_path.open("a", encoding="utf-8") as log:

        def write(values: Mapping[str, Any]) -> None:
            log.write(json.dumps(dict(values)) + "\n")
            log.flush()

        experiment.train(write, lambda: saver.look(experiment))
    before = time.perf_counter()
    table = experiment.predictions()
    evaluate.write_predictions(table, attempt / store.PREDICTIONS)
    return {
        "metrics": evaluate.metrics(table, scene.task.classes),
        "parameters": sum(p.numel() for p in state.method.student.parameters()),
        "warmup_steps": warmup_steps(state.method, spec.protocol.steps),
        "checkpoint_step": experiment.checkpoint_step,
        "classes": scene.task.classes,
        "labeled": len(scene.split.labeled),
        "unlabeled": len(scene.split.unlabeled),
        "excluded": dict(sorted(scene.cache.errors.items())),
        "data_hash": content,
        "prepare_seconds": prepared,
        "train_seconds": state.seconds,
        "train_cpu_seconds": state.cpu_seconds,
        "evaluate_seconds": time.perf_counter() - before,
        "clips_seen": state.clips,
        "peak_memory_mib": meter.peak_memory_mib(),
        "energy_joules": meter.energy_joules(),
        "environment": environment(spec),
    }


def prepare_scene(spec: TrialSpec) -> tuple[Scene, str]:
    """Opens the data of a trial.

    Returns:
        What the trial trains on, and the hash of that content: it stands in the record for the code that
        reads and decodes data, which the code hash leaves out.

    Raises:
        UserError: when the split is not the planned one, or no labeled clip can be decoded.
    """
    data = plugins.dataset(spec.data)
    table = data.table()
    split = make_split(table, spec.labels, spec.seed)
    if split.hash != spec.split_hash:
        raise UserError(
            f"data set '{spec.data}' has changed since trial {spec.id} was planned (split "
            f"{split.hash[:12]} instead of {spec.split_hash[:12]}); plan again with the same command."
        )
    cache = open_cache(spec, table, data)
    members = [*split.labeled, *split.unlabeled, *split.validation, *split.test]
    content = f"{table.mirror} {cache.content_hash([clip.key for clip in members])}"
    return make_scene(spec, table, split, cache), hashlib.sha256(content.encode()).hexdigest()[:16]


def open_cache(spec: TrialSpec, table: ClipTable, data: Any) -> ClipCache:
    """The clip cache of a data set; makes the files first where the cache does not hold all clips."""
    clips = table.clips()
    if not ClipCache.complete(clips, spec.data, spec.protocol.short_side):
        data.prepare()
    return ClipCache.open(clips, spec.data, spec.protocol.short_side)


def _checkpoint(path: Path, code: str) -> dict[str, Any] | None:
    """The checkpoint, unless it is missing, damaged, or of other code: then the trial starts afresh."""
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        return None
    return saved if isinstance(saved, dict) and saved.get("code_hash") == code else None


class _Saver:
    """Writes a checkpoint, and the log up to it, every few minutes."""

    def __init__(self, path: Path, code: str, log: Path, running_log: Path) -> None:
        self._path, self._code, self._log, self._running_log = path, code, log, running_log
        self._last = time.monotonic()

    def look(self, experiment: Experiment) -> None:
        """Saves when it is time."""
        if time.monotonic() - self._last >= CHECKPOINT_SECONDS:
            self._last = time.monotonic()
            temporary = self._path.with_suffix(".tmp")
            with store.disk_errors(self._path):
                content = {**experiment.state_dict(), "code_hash": self._code}
                torch.save(content, temporary)
                temporary.replace(self._path)
                self._log.write_bytes(self._running_log.read_bytes())


def _carry_log(published: Path, running: Path, step: int) -> None:
    """Takes over the log lines before `step` from the interrupted attempt."""
    if published.is_file():
        lines = published.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] < step]
        running.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
