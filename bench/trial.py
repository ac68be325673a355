"""One specification -> one record.  No Ray, no command line; a decoder only when clips are not cached."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench import (
    budget,
    evaluate,
    failures,
    initial_weights,
    kept_weights,
    looks,
    plugins,
    pulse,
    store,
    teacher,
    unreadable,
)
from bench.checkpoints import Checkpoints, remove_checkpoints
from bench.environment import environment
from bench.experiment import Experiment, Scene, evaluated_model, make_scene, set_determinism
from bench.meter import Meter
from bench.preemption import Notice, noticed
from bench.spec import TrialSpec
from bench.store import LostLeaseError, TrialFolder
from bench.train import warmup_steps
from bench.trial_code import trial_code_hash
from datasets.clip_cache import ClipCache
from datasets.errors import UserError
from datasets.splits import make_split
from datasets.types import ClipTable

CHECKPOINT_SECONDS = 300.0
"""Time between checkpoints of a running trial."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a trial is run; nothing of it can change a result.

    `resume`: go on from a checkpoint in the folder.  `wait`: for another process that runs this trial.
    `timeout`: seconds that this attempt may take.  `checkpoint_seconds`: time between checkpoints.
    `keep_weights`: file the evaluated model too.  `saved`: hears of every checkpoint's file.
    """

    resume: bool = True
    wait: bool = False
    timeout: float | None = None
    checkpoint_seconds: float | None = None
    keep_weights: bool = False
    saved: Callable[[Path], None] | None = None


def run_trial(spec: TrialSpec, folder: TrialFolder, manner: Manner | None = None) -> dict[str, Any]:
    """Runs a trial and files its record; a failure of the trial is a record too.

    Args:
        spec: the trial.
        folder: its folder.
        manner: how.

    Returns:
        The record: `status` is "done" or "failed".

    Raises:
        UserError: for what the user must mend (no disk space, a changed split, a trial that another process
            runs); nothing is filed then.
        Preempted: on SIGTERM or SIGUSR1, after a checkpoint.
    """
    manner = manner or Manner()
    base = _base(spec)
    other = folder.holder() if manner.wait else None
    with folder.attempt(wait=manner.wait) as attempt, noticed() as notice:
        done = finished(spec, folder) if other is not None else None
        if done is not None:
            return done  # by whom we waited for
        folder.forget_failure()
        try:
            store.write_json(folder.path / store.SPEC, base["spec"])
            record = {**base, **_run(spec, folder, attempt, manner, notice), "status": "done"}
            pulse.forget(attempt)
            folder.publish_done(attempt, record)
        except LostLeaseError as error:
            raise UserError(f"{folder.path}: {error}; its record counts, look there.") from None
        except UserError:
            raise
        except Exception as error:  # the boundary: whatever a method raises becomes the trial's record
            return _failed(spec, folder, attempt, base, error)
        remove_checkpoints(folder.path)
        return record


def finished(spec: TrialSpec, folder: TrialFolder) -> dict[str, Any] | None:
    """The record of a trial that today's code has finished, or None."""
    done = folder.done()
    return done if done is not None and done.get("code_hash") == trial_code_hash(spec) else None


def _failed(
    spec: TrialSpec, folder: TrialFolder, attempt: Path, base: Mapping[str, Any], error: Exception
) -> dict[str, Any]:
    """Files a failure, unless it is the user's to mend."""
    trace = traceback.format_exc()
    if store.disk_full(error):
        with store.disk_errors(folder.path):
            raise error
    pulse.forget(attempt)
    kind, message = failures.classify(error, spec)
    record = {**base, "status": "failed", "kind": kind, "message": message}
    _file_failure(folder, attempt, record, trace)
    return record


def _file_failure(folder: TrialFolder, attempt: Path, record: Mapping[str, Any], trace: str) -> None:
    try:
        folder.publish_failed(attempt, record, trace)
    except LostLeaseError as error:
        raise UserError(f"{folder.path}: {error}; its record counts, look there.") from None
    if record["kind"] not in failures.RESUMABLE:  # what broke a trial may be in its state
        remove_checkpoints(folder.path)


def lost_record(spec: TrialSpec, folder: TrialFolder) -> dict[str, Any]:
    """Files that the process of a trial died without leaving a record."""
    message = "its process died: it was killed, its node was lost, or the machine ran out of memory"
    failed = {**_base(spec), "status": "failed", "kind": failures.LOST_WORKER, "message": message}
    with folder.attempt(wait=True) as attempt:
        done = finished(spec, folder)
        if done is not None:
            return done
        _file_failure(folder, attempt, failed, f"{message}\n")
    return failed


def _base(spec: TrialSpec) -> dict[str, Any]:
    """What every record says, however the trial ends."""
    return {
        "id": spec.id,
        "spec": spec.model_dump(mode="json"),
        "code_hash": trial_code_hash(spec),
        "plugins": plugins.origins_of(spec.method, spec.data, spec.backbone.name),
    }


def _run(
    spec: TrialSpec, folder: TrialFolder, attempt: Path, manner: Manner, notice: Notice
) -> dict[str, Any]:
    from bench.event_file import EventFile  # noqa: PLC0415  # slow, and no driver needs it

    started = time.perf_counter()
    meter = Meter(torch.device(spec.device))
    set_determinism(spec)
    scene, content = prepare_scene(spec)
    experiment = Experiment(spec, scene)
    state = experiment.state
    log_path = attempt / store.METRICS
    beat = pulse.Pulse(attempt)
    keeper = _Keeper(
        spec, experiment, Checkpoints(folder.path, trial_code_hash(spec)), log_path, manner, notice, beat
    )
    if manner.resume:
        keeper.resume()
    prepared = time.perf_counter() - started
    folder.forget()
    _time_batches(experiment, beat)
    with log_path.open("a", encoding="utf-8") as log, EventFile(attempt, log_path) as events:

        def write(values: Mapping[str, Any]) -> None:
            log.write(json.dumps(dict(values)) + "\n")
            log.flush()
            events.add(values)

        beat.train_from(state.step)
        notice.patient = True
        experiment.train(write, keeper.look)
        notice.patient = False
        notice.obey()
    before = time.perf_counter()
    several = spec.protocol.evaluation.views * spec.protocol.evaluation.crops > 1
    table = looks.predictions(spec, experiment) if several else experiment.predictions()
    evaluate.write_predictions(table, attempt / store.PREDICTIONS)
    told = teacher.look(spec, scene, state.method)
    if told is not None:
        told.to_parquet(attempt / teacher.FILE, index=False)
    if manner.keep_weights:
        kept_weights.save(evaluated_model(spec, state), attempt / store.WEIGHTS)
    record: dict[str, Any] = {
        "metrics": evaluate.metrics(table, scene.task.classes),
        "initial_weights": initial_weights.statement(spec.backbone),
        "parameters": sum(p.numel() for p in state.method.student.parameters()),
        "warmup_steps": warmup_steps(state.method, spec.protocol.steps),
        "checkpoint_step": experiment.checkpoint_step,
        "classes": scene.task.classes,
        "labeled": len(scene.split.labeled),
        "unlabeled": len(scene.split.unlabeled),
        "excluded": dict(sorted(scene.cache.errors.items())),
        **content,
        "prepare_seconds": prepared,
        "train_seconds": state.seconds,
        "train_cpu_seconds": state.cpu_seconds,
        "data_wait_seconds": beat.wait_seconds,
        "evaluate_seconds": time.perf_counter() - before,
        "clips_seen": state.clips,
        "peak_memory_mib": meter.peak_memory_mib(),
        "energy_joules": meter.energy_joules(),
        "environment": environment(spec),
    }
    record["step_cost"] = budget.recorded(state.method, scene, spec.protocol, spec.seed)
    return record


def _time_batches(experiment: Experiment, beat: pulse.Pulse) -> None:
    """Counts the time in which training waits for batches.

    From outside, because a line in the code that trains would change its hash, and no result depends on it.
    """
    loader: Any = experiment._loader
    loader.batch = beat.timed(loader.batch)


def prepare_scene(spec: TrialSpec) -> tuple[Scene, dict[str, Any]]:
    """Opens the data of a trial.

    Returns:
        What the trial trains on, and what its record says of that: two hashes, of the videos and their
        decoders and of the pixels, for the code that reads and decodes data, which the code hash leaves out;
        and, where there are any, how many clips of which list cannot be read.

    Raises:
        UserError: when the split is not the planned one, or no labeled clip can be decoded.
    """
    data = plugins.dataset(spec.data)
    table = data.table()
    split = make_split(table, spec.labels, spec.seed, spec.allow_empty_classes)
    if split.hash != spec.split_hash:
        raise UserError(
            f"data set '{spec.data}' has changed since trial {spec.id} was planned (split "
            f"{split.hash[:12]} instead of {spec.split_hash[:12]}); plan again with the same command."
        )
    cache = open_cache(spec, table, data)
    if not any(clip.key in cache for clip in split.labeled):
        raise failures.UndecodableSetError(
            f"of the {len(split.labeled)} labeled clips of {spec.cell} not one can be decoded; look at them "
            f"with: python -m bench data verify {spec.data}"
        )
    members = [clip.key for clip in (*split.labeled, *split.unlabeled, *split.validation, *split.test)]
    content = f"{table.mirror} {cache.content_hash(members)}"
    about: dict[str, Any] = {
        "data_hash": hashlib.sha256(content.encode()).hexdigest()[:16],
        "pixel_hash": cache.pixel_hash(members)[:16],
    }
    if cache.errors:
        about["unread"] = unreadable.by_list(table, cache.errors)
    return make_scene(spec, table, split, cache), about


def open_cache(spec: TrialSpec, table: ClipTable, data: Any, workers: int = 2) -> ClipCache:
    """The clip cache of a data set; makes the files first where the cache does not hold all clips.

    Child processes decode: a file that crashes its decoder costs its own clip, not the trial.
    """
    clips, protocol = table.clips(), spec.protocol
    short_side, form, decoder = protocol.short_side, protocol.store, protocol.decoder
    if not ClipCache.complete(clips, spec.data, short_side, decoder=decoder, form=form):
        data.prepare()
    return ClipCache.open(clips, spec.data, short_side, workers=workers, decoder=decoder, form=form)


class _Keeper:
    """Looks after a trial between its steps: checkpoints with the log so far, signals, time-out."""

    def __init__(
        self,
        spec: TrialSpec,
        experiment: Experiment,
        checkpoints: Checkpoints,
        log: Path,
        manner: Manner,
        notice: Notice,
        beat: pulse.Pulse,
    ) -> None:
        self._spec, self._experiment, self._checkpoints = spec, experiment, checkpoints
        self._log, self._manner, self._notice, self._pulse = log, manner, notice, beat
        given = manner.checkpoint_seconds
        self._every = CHECKPOINT_SECONDS if given is None else given
        self._last = self._started = time.monotonic()

    def resume(self) -> None:
        """Goes on from the newest good checkpoint, with the log up to it."""
        saved = self._checkpoints.load()
        if saved is not None:
            self._experiment.load_state_dict(saved)
            self._log.write_text(saved["log"], encoding="utf-8")
            self._pulse.wait_seconds = float(saved.get("wait_seconds", 0.0))

    def look(self) -> None:
        """Saves when it is time, at the end of training and when a signal has come.

        Raises:
            Preempted: on a signal.
            TimedOutError: after the time that the trial was given.
        """
        step, now = self._experiment.state.step, time.monotonic()
        self._pulse.beat(step, self._experiment.state.seconds)
        late = self._manner.timeout is not None and now - self._started > self._manner.timeout
        ended = step >= self._spec.protocol.steps
        if ended or late or self._notice.given or now - self._last >= self._every:
            self._last = now
            log = self._log.read_text(encoding="utf-8")
            beside = {"log": log, "wait_seconds": self._pulse.wait_seconds}
            path = self._checkpoints.save(step, {**self._experiment.state_dict(), **beside})
            if self._manner.saved is not None:
                self._manner.saved(path)
        self._notice.obey()
        if late and not ended:
            raise failures.TimedOutError(
                f"it took longer than the {self._manner.timeout:g} s of --trial-timeout and stopped at step "
                f"{step} of {self._spec.protocol.steps}; give it more, and --retry-failed goes on from there"
            )
