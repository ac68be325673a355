"""The driver: Ray Tune executes trials, and what became of each is read from its record."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.plan import PlannedTrial
from bench.schedule.cluster import ray_for
from bench.schedule.settings import Settings, resources
from bench.schedule.worker import PASSED_ON, work
from bench.store import RunFolder
from bench.trial import lost_record
from datasets.errors import UserError

OnResult = Callable[[PlannedTrial, Mapping[str, Any]], None]


@dataclass
class Outcome:
    """Numbers of finished and of failed trials."""

    done: int = 0
    failed: int = 0


class _Halt(BaseException):
    """Carries an error through Tune, which catches every `Exception`."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass
class Board:
    """What the driver knows while trials run; Ray's callbacks write to it."""

    planned: Mapping[str, PlannedTrial]
    run: RunFolder
    on_result: OnResult
    outcome: Outcome = field(default_factory=Outcome)

    def ended(self, trial_id: str, told: str) -> None:
        """Reads what became of a trial.

        Raises:
            UserError: when its worker met a mistake of the user, which `told` describes.
        """
        if told:
            raise UserError(told)
        folder = self.run.trial(trial_id)
        record = folder.done() or folder.failed()
        if record is None:
            return self.lost(trial_id)
        return self._count(trial_id, record)

    def lost(self, trial_id: str) -> None:
        """Reads what the last attempt filed; files that its worker died where it left nothing."""
        planned = self.planned[trial_id]
        folder = self.run.trial(trial_id)
        self._count(trial_id, folder.done() or folder.failed() or lost_record(planned.spec, folder))

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
        run: where the records go.  With `settings.address` all machines must see this folder.
        settings: concurrency.
        on_result: called in this process after each trial with its record.

    Raises:
        UserError: for a mistake of the user that shows only in a worker, resources that nobody offers, or
            a cluster that cannot be reached.  Finished trials are kept.
        KeyboardInterrupt: on Ctrl-C, after all processes have been stopped.
    """
    planned = {trial.spec.id: trial for trial in trials}
    board = Board(planned, run, on_result)
    if not planned:
        return board.outcome
    need = {trial_id: resources(trial.spec, settings) for trial_id, trial in planned.items()}
    try:
        with ray_for(settings, need) as folder:
            _tune(board, need, settings, folder)
    except _Halt as halt:
        raise halt.reason from None
    return board.outcome


def _tune(board: Board, need: Mapping[str, Mapping[str, float]], settings: Settings, folder: Path) -> None:
    from ray import tune

    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    jobs = [
        {
            "id": trial_id,
            "spec": trial.spec.canonical(),
            "folder": str(board.run.trial(trial_id).path.resolve()),
            "environment": environment,
            "timeout": settings.trial_timeout,
            "keep_weights": settings.keep_weights,
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


def _callback(board: Board) -> Any:
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
