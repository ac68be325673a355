"""One specification -> one record.  No Ray, no command line; a decoder only when clips are not cached."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import platform
import random
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import bench
from bench import evaluate, plugins, store
from bench.code_hash import code_hash, module_of
from bench.spec import Net, TrialSpec
from bench.store import TrialFolder
from bench.train import State, build_optimizer, train, warmup_steps
from datasets.clip_cache import ClipCache
from datasets.draws import generator
from datasets.errors import UserError
from datasets.loader import BatchSizes, Loader, ViewSettings
from datasets.splits import Split, make_split
from datasets.types import ClipRef, ClipTable, TaskInfo
from methods import ema
from methods.base import Method
from methods.config import build

CHECKPOINT_SECONDS = 300.0
"""Time between checkpoints of a running trial."""


@dataclass(frozen=True)
class Scene:
    """Everything that a trial trains and evaluates on."""

    split: Split
    scored: tuple[ClipRef, ...]
    cache: ClipCache
    task: TaskInfo
    settings: ViewSettings
    device: torch.device


def trial_code_hash(spec: TrialSpec) -> str:
    """The hash of the code behind a trial."""
    data = plugins.dataset(spec.data)
    used = [plugins.method_class(spec.method), plugins.backbone_builder(spec.backbone.name), type(data)]
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
    set_determinism(spec)
    scene = prepare_scene(spec)
    state = build_state(spec, scene)
    loader = _build_loader(spec, scene, state.method)
    checkpoint = folder.path / store.CHECKPOINT
    log_path = attempt / store.METRICS
    best = _Best(spec, scene)
    code = trial_code_hash(spec)
    saved = _checkpoint(checkpoint, code) if resume else None
    if saved is not None:
        state.load_state_dict(saved["state"])
        best.load_state_dict(saved["best"])
        _carry_log(folder.path / store.METRICS, log_path, state.step)
    saver = _Saver(checkpoint, code, folder.path / store.METRICS, log_path)

    def after(now: State) -> None:
        best.look(now)
        saver.look(now, best)

    prepared = time.perf_counter() - started
    folder.forget()
    with log_path.open("a", encoding="utf-8") as log:

        def write(values: Mapping[str, Any]) -> None:
            log.write(json.dumps(dict(values)) + "\n")
            log.flush()

        hidden = torch.tensor([clip.label for clip in scene.split.unlabeled] or [0])
        train(state, loader, spec.protocol, seed=spec.seed, hidden_labels=hidden, log=write, after=after)
    before = time.perf_counter()
    best.restore(state)
    table = _predict(spec, scene, state)
    evaluate.write_predictions(table, attempt / store.PREDICTIONS)
    return {
        "metrics": evaluate.metrics(table, scene.task.classes),
        "parameters": sum(p.numel() for p in state.method.student.parameters()),
        "warmup_steps": warmup_steps(state.method, spec.protocol.steps),
        "checkpoint_step": best.step if best.step is not None else state.step,
        "classes": scene.task.classes,
        "labeled": len(scene.split.labeled),
        "unlabeled": len(scene.split.unlabeled),
        "excluded": dict(sorted(scene.cache.errors.items())),
        "prepare_seconds": prepared,
        "train_seconds": state.seconds,
        "evaluate_seconds": time.perf_counter() - before,
        "clips_seen": state.clips,
        "environment": environment(spec),
    }


def set_determinism(spec: TrialSpec) -> None:
    """Threads, seeds, kernels: set by the trial itself, so that every executor gives the same bits."""
    torch.set_num_threads(spec.protocol.threads)
    torch.manual_seed(spec.seed)
    random.seed(spec.seed)
    np.random.seed(spec.seed)  # a plugin may use the global generator
    if spec.protocol.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Set both ways: a worker runs many trials, and the last one may have asked for the opposite.
    torch.use_deterministic_algorithms(spec.protocol.deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = False


def prepare_scene(spec: TrialSpec) -> Scene:
    """Opens the data of a trial.

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
    usable = _decodable(split, cache, spec.seed)
    protocol = spec.protocol
    task = TaskInfo(
        classes=len(table.classes),
        labeled=len(usable.labeled),
        unlabeled=len(usable.unlabeled),
        class_counts=tuple(
            np.bincount([c.label for c in usable.labeled], minlength=len(table.classes)).tolist()
        ),
        frames=protocol.frames,
        mirror=table.mirror,
        boxes=bool(table.boxes),
    )
    settings = ViewSettings(
        policies=protocol.augmentations,
        size=protocol.size,
        normalize=protocol.normalize,
        mirror=table.mirror,
        boxes=table.boxes,
    )
    scored = split.test if spec.scored_on == "test" else split.validation
    if not scored:
        raise UserError(
            f"{spec.cell} has no {spec.scored_on} clips to score; give the data set a {spec.scored_on} list"
            + (", or at least 20 labels per class." if spec.scored_on == "validation" else ".")
        )
    return Scene(usable, scored, cache, task, settings, torch.device(spec.device))


def open_cache(spec: TrialSpec, table: ClipTable, data: Any) -> ClipCache:
    """The clip cache of a data set; makes the files first where the cache does not hold all clips."""
    clips = table.clips()
    if not ClipCache.complete(clips, spec.data, spec.protocol.short_side):
        data.prepare()
    return ClipCache.open(clips, spec.data, spec.protocol.short_side)


def _decodable(split: Split, cache: ClipCache, seed: int) -> Split:
    """The split without undecodable clips in training and validation; test keeps its list.

    Unlabeled clips change their order: splits are sorted by name, names often tell the class, and a
    method sees each clip's position.
    """
    kept = {
        role: tuple(clip for clip in getattr(split, role) if clip.key not in cache.errors)
        for role in ("labeled", "unlabeled", "validation")
    }
    order = generator(seed, "unlabeled positions").permutation(len(kept["unlabeled"]))
    kept["unlabeled"] = tuple(kept["unlabeled"][i] for i in order)
    if not kept["labeled"]:
        raise UserError("not one labeled clip can be decoded; look at them with: bench data verify NAME")
    return Split(test=split.test, hash=split.hash, **kept)


def build_state(spec: TrialSpec, scene: Scene) -> State:
    """Method, average and optimizer at step 0.

    Raises:
        UserError: for a config that is out of range or a method that this task cannot serve.
    """
    cls = plugins.method_class(spec.method)
    config = build(cls.Config, spec.config, f"method '{spec.method}'")
    refused = cls.unsupported(config, scene.task)
    if refused:
        raise UserError(f"method '{spec.method}' cannot run on {spec.cell}: {refused}.")
    method = cls(config, scene.task, partial(build_backbone, spec.backbone)).to(scene.device)
    average = ema.frozen_copy(method.student)
    return State(method, average, build_optimizer(list(method.student.parameters()), spec.protocol.optimizer))


def build_backbone(net: Net) -> nn.Module:
    """The net of a trial with its initial weights.

    Raises:
        UserError: for a setting that the backbone does not have, or weights where it takes none.
    """
    builder = plugins.backbone_builder(net.name)
    plugins.check_backbone_config(net.name, net.config)
    if net.weights == "random":
        return builder(**net.config)
    if "weights" not in inspect.signature(builder).parameters:
        raise UserError(
            f"backbone '{net.name}' has no ready-made weights to start from, but the suite gives it "
            f"'{net.weights}'; write 'weights: random'."
        )
    return builder(weights=net.weights, **net.config)


def _build_loader(spec: TrialSpec, scene: Scene, method: Method) -> Loader:
    sizes = spec.protocol.batch
    return Loader(
        store=scene.cache,
        labeled=scene.split.labeled,
        unlabeled=scene.split.unlabeled,
        recipe=method.recipe(),
        settings=scene.settings,
        sizes=BatchSizes(labeled=sizes.labeled, unlabeled=sizes.unlabeled, warmup=sizes.warmup),
        warmup_steps=warmup_steps(method, spec.protocol.steps) * sizes.accumulate,
        seed=spec.seed,
        device=scene.device,
    )


def evaluated_model(spec: TrialSpec, state: State) -> nn.Module:
    """The weights that the suite evaluates."""
    return state.average if spec.protocol.evaluation.model == "ema" else state.method.student


def _predict(spec: TrialSpec, scene: Scene, state: State) -> Any:
    keys = [clip.key for clip in scene.scored if clip.key not in scene.cache.errors]
    logits = evaluate.logits_of(
        state.method,
        evaluated_model(spec, state),
        scene.cache,
        keys,
        scene.settings,
        spec.protocol.evaluation.batch,
        scene.device,
    )
    return evaluate.prediction_table(scene.scored, logits, keys, scene.cache.errors)


class _Best:
    """Keeps the weights that were best on validation clips, where the suite's rule asks for it."""

    def __init__(self, spec: TrialSpec, scene: Scene) -> None:
        self._spec, self._scene = spec, scene
        self._on = spec.protocol.checkpoint == "best_validation"
        self._accuracy = -1.0
        self._weights: dict[str, Tensor] = {}
        self.step: int | None = None
        if self._on and not scene.split.validation:
            raise UserError(
                f"checkpoint rule 'best_validation' needs validation clips, and {spec.cell} has none; "
                "use 'final', or at least 20 labels per class."
            )

    def look(self, state: State) -> None:
        """Validates when it is time."""
        every = self._spec.protocol.validate_every
        if not self._on or (state.step % every and state.step < self._spec.protocol.steps):
            return
        scene, model = self._scene, evaluated_model(self._spec, state)
        keys = [clip.key for clip in scene.split.validation]
        batch = self._spec.protocol.evaluation.batch
        logits = evaluate.logits_of(
            state.method, model, scene.cache, keys, scene.settings, batch, scene.device
        )
        labels = np.array([clip.label for clip in scene.split.validation])
        accuracy = float((logits.argmax(1) == labels).mean())
        if accuracy > self._accuracy:
            self._accuracy, self.step = accuracy, state.step
            self._weights = {name: value.clone() for name, value in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs to know of the best weights so far."""
        return {"accuracy": self._accuracy, "step": self.step, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The opposite of `state_dict`."""
        self._accuracy, self.step, self._weights = state["accuracy"], state["step"], state["weights"]

    def restore(self, state: State) -> None:
        """Puts the best weights into the evaluated model."""
        if self._weights:
            evaluated_model(self._spec, state).load_state_dict(self._weights)


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

    def look(self, state: State, best: _Best) -> None:
        """Saves when it is time."""
        if time.monotonic() - self._last >= CHECKPOINT_SECONDS:
            self._last = time.monotonic()
            temporary = self._path.with_suffix(".tmp")
            with store.disk_errors(self._path):
                content = {"state": state.state_dict(), "best": best.state_dict(), "code_hash": self._code}
                torch.save(content, temporary)
                temporary.replace(self._path)
                self._log.write_bytes(self._running_log.read_bytes())


def _carry_log(published: Path, running: Path, step: int) -> None:
    """Takes over the log lines before `step` from the interrupted attempt."""
    if published.is_file():
        lines = published.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] < step]
        running.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def environment(spec: TrialSpec) -> dict[str, Any]:
    """Versions and hardware of this process."""
    gpu = torch.cuda.get_device_name() if spec.device == "cuda" else None
    return {
        "sefar_bench": bench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processor": _processor(),
        "gpu": gpu,
        "threads": spec.protocol.threads,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
