"""Ray Tune runs the trials that are missing.  The only import of Ray, and it waits until it is needed.

Ray is the executor and nothing more: workers get a specification as JSON, load the classes themselves and
write the harness's own records, and what became of a trial is read from those.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.address import check_answers
from bench.failures import INFRASTRUCTURE
from bench.plan import PlannedTrial
from bench.preemption import Preempted
from bench.run_stored import run_stored
from bench.spec import TrialSpec
from bench.storage import StorageError
from bench.storage_uri import open_storage
from bench.store import RunFolder, TrialFolder
from bench.stored_run import StoredRun
from bench.trial import Manner, finished, lost_record, run_trial
from datasets.errors import UserError
from methods.config import Choices, Span

OnResult = Callable[[PlannedTrial, Mapping[str, Any]], None]

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new reporter prints tables even when it is told to be silent
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: Ray would finish its own bookkeeping first
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Set before Ray is imported."""

PASSED_ON = (
    "SEFAR_BENCH_HOME",
    "SEFAR_BENCH_CACHE",
    "SEFAR_BENCH_CACHE_GIB",
    "SEFAR_BENCH_PLUGINS",
    "PYTHONPATH",
)
"""Environment variables that workers get from the driver, also on other machines."""

OBJECT_STORE_BYTES = 80 * 2**20
"""Hardly anything passes through Ray's object store; this is about the least that it accepts."""

SOCKET_ROOM = 33
"""Longest name of Ray's temporary folder: paths of Unix sockets below it end at 103 characters."""

SAVE_SECONDS = 15.0
"""Workers of a run that is stopped get so long to write their checkpoints."""

FOLDER_PREFIX = "sefar-ray-"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many trials at once and what each gets; None is decided from the machine and the protocol.

    `address`: of a running Ray cluster, or "auto"; None starts Ray on this machine for this run.
    `max_retries`: further attempts after a failure of the machine.  `trial_timeout`: seconds per attempt.
    `keep_weights`: trials file their evaluated models.  `storage`: URI of a store of results and checkpoints.
    `checkpoint_seconds`: time between checkpoints.
    """

    max_concurrent: int | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    address: str | None = None
    max_retries: int = 2
    trial_timeout: float | None = None
    checkpoint_seconds: float | None = None
    keep_weights: bool = False
    storage: str | None = None


@dataclass
class Outcome:
    """Numbers of finished and of failed trials."""

    done: int = 0
    failed: int = 0


class MachineError(Exception):
    """A trial failed for a reason of the machine, so Tune shall try it again."""


class _Halt(BaseException):
    """Carries an error through Tune, which catches every `Exception`."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass
class _Board:
    """What the driver knows while trials run; Ray's callbacks write to it."""

    planned: Mapping[str, PlannedTrial]
    run: RunFolder
    on_result: OnResult
    stored: StoredRun | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def ended(self, trial_id: str, told: str) -> None:
        """Reads what became of a trial.

        Raises:
            UserError: when its worker met a mistake of the user, which `told` describes.
        """
        if told:
            raise UserError(told)
        folder = self._folder(trial_id)
        record = folder.done() or folder.failed()
        if record is None:
            return self.lost(trial_id)
        return self._count(trial_id, record)

    def lost(self, trial_id: str) -> None:
        """Reads what the last attempt filed; files that its worker died where it left nothing."""
        planned = self.planned[trial_id]
        folder = self._folder(trial_id)
        record = finished(planned.spec, folder) or folder.failed() or lost_record(planned.spec, folder)
        self._count(trial_id, record)

    def _folder(self, trial_id: str) -> TrialFolder:
        """A trial's folder, with what its worker, on whatever machine, has left in the store."""
        if self.stored is not None:
            self.stored.trial(trial_id).fetch()
        return self.run.trial(trial_id)

    def _count(self, trial_id: str, record: Mapping[str, Any]) -> None:
        if record["status"] == "done":
            self.outcome.done += 1
        else:
            self.outcome.failed += 1
        self.on_result(self.planned[trial_id], record)


def run_trials(
    trials: Sequence[PlannedTrial], run: RunFolder, settings: Settings, on_result: OnResult
) -> Outcome:
    """Runs trials side by side; returns when all have a record.

    Args:
        trials: what to run; equal specifications run once.
        run: where the records go.  With `settings.address` all machines must see this folder, or the store.
        settings: concurrency.
        on_result: called in this process after each trial with its record.

    Raises:
        UserError: for a mistake of the user that shows only in a worker, resources that nobody offers, or
            a cluster that cannot be reached.  Finished trials are kept.
        KeyboardInterrupt: on Ctrl-C, after all processes have been stopped.
    """
    planned = {trial.spec.id: trial for trial in trials}
    board = _Board(planned, run, on_result, StoredRun.at(settings.storage, run))
    if not planned:
        return board.outcome
    need = {trial_id: resources(trial.spec, settings) for trial_id, trial in planned.items()}
    try:
        with _ray(settings, need) as folder:
            _tune(board, need, settings, folder)
    except _Halt as halt:
        raise halt.reason from None
    return board.outcome


def resources(spec: TrialSpec, settings: Settings) -> dict[str, float]:
    """CPUs and GPUs that a trial asks for: the threads of its protocol, and one GPU where it uses one."""
    gpus = 1.0 if spec.device == "cuda" else 0.0
    wanted = {
        "cpu": spec.protocol.threads if settings.cpus_per_trial is None else settings.cpus_per_trial,
        "gpu": gpus if settings.gpus_per_trial is None else settings.gpus_per_trial,
    }
    return {kind: amount for kind, amount in wanted.items() if amount}


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, and a container's quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cpus = min(cpus, max(1, int(quota) // int(period)))
    return cpus


def work(job: Mapping[str, Any]) -> str:
    """Runs one trial in a worker.

    Args:
        job: the specification as JSON (`spec`), its folder (`folder`), variables to set (`environment`),
            seconds that it may take (`timeout`) and between checkpoints (`checkpoint_seconds`), whether to
            file the model (`keep_weights`), and the URI of the store that keeps results and checkpoints
            (`storage`).

    Returns:
        A sentence about a mistake of the user, or "".

    Raises:
        MachineError: for a failure that another attempt may not have.
        SystemExit: after SIGTERM or SIGUSR1; the checkpoint is written, and another worker goes on.
    """
    os.environ.update(job["environment"])
    # Another process on this trial is a worker that outlives its killed driver: its result is as good.
    manner = Manner(
        wait=True,
        timeout=job.get("timeout"),
        checkpoint_seconds=job.get("checkpoint_seconds"),
        keep_weights=bool(job.get("keep_weights")),
    )
    try:
        spec = TrialSpec.model_validate_json(job["spec"])
        record = _run(spec, TrialFolder(Path(job["folder"])), job.get("storage"), manner)
    except StorageError as error:  # the next attempt may reach it, and finds what this one has finished
        raise MachineError(str(error)) from error
    except UserError as error:
        return str(error) or "unknown mistake"
    except Preempted as told:
        raise SystemExit(str(told)) from None
    finally:
        gc.collect()
    if record["status"] == "failed" and record["kind"] in INFRASTRUCTURE:
        raise MachineError(f"{record['kind']}: {record['message']}")
    return ""


def _run(spec: TrialSpec, folder: TrialFolder, storage: str | None, manner: Manner) -> dict[str, Any]:
    if storage is None:
        return run_trial(spec, folder, manner)
    return run_stored(spec, folder, open_storage(storage), manner)


def draw_configurations(
    ranges: Mapping[str, Choices | Span], count: int, seeds: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Draws settings by Ray Tune's samplers.

    Args:
        ranges: where to search, by name.
        count: how many configurations.
        seeds: a seed for each name, so that adding one range does not move the draws of another.

    Returns:
        `count` dictionaries of one value per name.
    """
    _import_ray()
    drawn: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, declared in ranges.items():
        state = np.random.RandomState(seeds[name] % 2**32)
        domain = _domain(declared)
        for values in drawn:
            value = domain.sample(random_state=state)
            values[name] = value.item() if isinstance(value, np.generic) else value
    return drawn


def _domain(declared: Choices | Span) -> Any:
    from ray import tune

    if isinstance(declared, Choices):
        return tune.choice(list(declared.values))
    make = tune.loguniform if declared.log else tune.uniform
    return make(declared.low, declared.high)


def _import_ray() -> Any:
    """Ray, told to be silent.

    Raises:
        UserError: when Ray is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise UserError(
            f"Ray cannot be imported ({error}); install sefar-bench with its requirements, or run single "
            "trials with: python -m bench trial SPEC.json"
        ) from error
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


@contextlib.contextmanager
def _ray(settings: Settings, need: Mapping[str, Mapping[str, float]]) -> Iterator[Path]:
    """Ray, started or joined; gives a temporary folder; leaves no process and no file behind."""
    ray = _import_ray()
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=_short_temporary()))
    before = set(_children())
    try:
        _start(ray, settings, need, folder)
        _check_resources(ray.cluster_resources(), need)
        yield folder
    except BaseException:
        with _deaf():
            _let_save(set(_children()) - before)
        raise
    finally:
        with _deaf():
            ray.shutdown()
            _end(set(_children()) - before)
            shutil.rmtree(folder, ignore_errors=True)


def _start(ray: Any, settings: Settings, need: Mapping[str, Mapping[str, float]], folder: Path) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    terminate = signal.getsignal(signal.SIGTERM)
    if settings.address is None:
        most = max(job["cpu"] for job in need.values())
        wanted = max(available_cpus(), (settings.max_concurrent or 1) * most)
        ray.init(
            num_cpus=int(np.ceil(wanted)),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    else:
        check_answers(settings.address, ray.util.get_node_ip_address())
        try:
            ray.init(address=settings.address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            first = (str(error).strip().splitlines() or ["no answer"])[0]
            raise UserError(
                f"--address {settings.address}: no Ray cluster lets us in there ({first}); one that asks for "
                "a token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN in the environment."
            ) from error
    with contextlib.suppress(ValueError):  # Ray puts its own handler here
        signal.signal(signal.SIGTERM, terminate)


def _check_resources(offered: Mapping[str, float], need: Mapping[str, Mapping[str, float]]) -> None:
    for kind, option in (("cpu", "--cpus-per-trial"), ("gpu", "--gpus-per-trial")):
        most = max(job.get(kind, 0.0) for job in need.values())
        here = offered.get(kind.upper(), 0.0)
        if most > here:
            raise UserError(
                f"a trial asks for {most:g} {kind.upper()}s and there are {here:g}; give less with {option}."
            )


def _tune(board: _Board, need: Mapping[str, Mapping[str, float]], settings: Settings, folder: Path) -> None:
    from ray import tune

    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    jobs = [
        {
            "id": trial_id,
            "spec": trial.spec.canonical(),
            "folder": str(board.run.trial(trial_id).path.resolve()),
            "environment": environment,
            "timeout": settings.trial_timeout,
            "checkpoint_seconds": settings.checkpoint_seconds,
            "keep_weights": settings.keep_weights,
            "storage": None if board.stored is None else board.stored.storage.uri,
        }
        for trial_id, trial in board.planned.items()
    ]
    on_gpu = any(trial.spec.device == "cuda" for trial in board.planned.values())
    tune.Tuner(
        tune.with_resources(
            _trainable(), lambda config: tune.PlacementGroupFactory([_bundle(need[config["job"]["id"]])])
        ),
        param_space={"job": tune.grid_search(jobs)},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=settings.max_concurrent,
            # Importing torch costs a worker seconds.  On a GPU a failed trial may poison its process.
            reuse_actors=not on_gpu,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(folder),
            verbose=0,
            callbacks=[_callback(board)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            # Trials record their own failures, so what Ray sees fail is the machine: another attempt.
            failure_config=tune.FailureConfig(max_failures=settings.max_retries),
        ),
    ).fit()


def _bundle(need: Mapping[str, float]) -> dict[str, float]:
    """Ray's own names of resources are in capitals; anything else would wait for ever."""
    return {kind.upper(): amount for kind, amount in need.items()}


def _name(trial: Any) -> str:
    return str(trial.config["job"]["id"])


def _trainable() -> type[Any]:
    from ray import tune

    class OneTrial(tune.Trainable):
        """A Tune trial of one step, which is one trial of ours."""

        def setup(self, config: dict[str, Any]) -> None:
            self._job = config["job"]

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._job = new_config["job"]
            return True

        def step(self) -> dict[str, Any]:
            return {"told": work(self._job), "done": True}

    return OneTrial


def _callback(board: _Board) -> Any:
    from ray import tune

    class Reader(tune.Callback):
        """Reads the record of each trial that ended."""

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            with _halting():
                board.ended(_name(trial), str((trial.last_result or {}).get("told", "")))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            with _halting():
                board.lost(_name(trial))

    return Reader()


@contextlib.contextmanager
def _halting() -> Iterator[None]:
    """Lets an error in a callback end the run; Tune would take it for a failure of the trial."""
    try:
        yield
    except Exception as error:
        raise _Halt(error) from error


def _short_temporary() -> str:
    """The temporary folder, or /tmp where its name is too long for Ray's sockets."""
    usual = tempfile.gettempdir()
    return usual if len(usual) + len(FOLDER_PREFIX) + 17 <= SOCKET_ROOM or sys.platform == "win32" else "/tmp"


def _sweep() -> None:
    """Removes what killed runs of this user left of Ray's files."""
    for folder in Path(_short_temporary()).glob(f"{FOLDER_PREFIX}*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _let_save(processes: set[psutil.Process]) -> None:
    """Asks the workers of a run that is stopped for their checkpoints, and gives them a while."""
    workers = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("ray::"):
                process.terminate()
                workers.append(process)
    psutil.wait_procs(workers, timeout=SAVE_SECONDS)


def _end(processes: set[psutil.Process]) -> None:
    """Kills what Ray left running."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(processes), timeout=5)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Cleaning up is not interrupted."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which no signal reaches
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
