"""The driver: Ray Tune executes trials, and what became of each is read from its record."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plan import PlannedTrial
from bench.schedule.cluster import ray_for
from bench.schedule.elsewhere import listen
from bench.schedule.outcome import Board, Enough, Halt, OnResult, Outcome
from bench.schedule.settings import Settings, resources
from bench.schedule.worker import PASSED_ON, RetiredError, Worker
from bench.store import RunFolder
from bench.stored_run import StoredRun
from datasets.errors import UserError


def run_trials(
    trials: Sequence[PlannedTrial], run: RunFolder, settings: Settings, on_result: OnResult
) -> Outcome:
    """Runs trials side by side; returns when all have a record, or what `settings` say is enough.

    Args:
        trials: what to run, in this order; equal specifications run once.
        run: where the records go.  With `settings.address` all machines must see this folder, or the store.
        settings: concurrency.
        on_result: called in this process after each trial with its record.

    Raises:
        UserError: for a mistake of the user that shows only in a worker, resources that nobody offers, or
            a cluster that cannot be reached.  Finished trials are kept.
        KeyboardInterrupt: on Ctrl-C, after all processes have been stopped.
    """
    planned = {trial.spec.id: trial for trial in trials}
    stored = StoredRun.at(settings.storage, run)
    board = Board(planned, run, on_result, settings.deadline, settings.fail_fast, stored)
    if not planned:
        return board.outcome
    need = {trial_id: resources(trial.spec, settings) for trial_id, trial in planned.items()}
    try:
        board.look_at_the_clock()
        _all(board, need, settings)
    except Halt as halt:
        raise halt.reason from None
    except Enough:
        pass
    return board.outcome


def _all(board: Board, need: Mapping[str, Mapping[str, float]], settings: Settings) -> None:
    """Runs what is left, anew where Ray's memory monitor ended it: Tune has no answer to its kills.

    Raises:
        UserError: it did so more often than trials may be tried again.
    """
    for attempt in range(settings.max_retries + 1):
        try:
            with ray_for(settings, need) as folder:
                _tune(board, need, settings, folder)
            return
        except RuntimeError as error:
            if OUT_OF_MEMORY not in str(error):
                raise
            if attempt == settings.max_retries:
                raise UserError(
                    "Ray's memory monitor keeps killing workers: the machine has too little memory for so "
                    "many trials at once; free some, or run fewer with --max-concurrent. What was finished "
                    "is kept."
                ) from None


OUT_OF_MEMORY = "low on memory"
"""What Ray says when its monitor has killed a worker."""


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
            "checkpoint_seconds": settings.checkpoint_seconds,
            "keep_weights": settings.keep_weights,
            "storage": None if board.stored is None else board.stored.storage.uri,
            "elsewhere": settings.address is not None,
        }
        for trial_id, trial in board.left.items()
    ]
    tune.Tuner(
        tune.with_resources(
            _trainable(), lambda config: tune.PlacementGroupFactory([_bundle(need[config["job"]["id"]])])
        ),
        param_space={"job": tune.grid_search(jobs)},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=settings.max_concurrent,
            reuse_actors=settings.reuse_workers,
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
    import ray
    from ray import tune

    class OneTrial(tune.Trainable):
        """A Tune trial of one step, which is one trial of ours; a second step ends an unfit process."""

        def setup(self, config: dict[str, Any]) -> None:
            self._job, self._worker, self._unfit = config["job"], Worker(), ""
            if self._job["elsewhere"]:
                listen(ray)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._job = new_config["job"]
            return True

        def step(self) -> dict[str, Any]:
            if self._unfit:
                raise RetiredError(self._unfit)
            answer = self._worker.work(self._job)
            self._unfit = answer.unfit
            return {"told": answer.told, "unfit": answer.unfit, "done": not answer.unfit}

    return OneTrial


def _callback(board: Board) -> Any:
    from ray import tune

    class Reader(tune.Callback):
        """Reads the record of each trial that ended."""

        def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
            board.look_at_the_clock()

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            if result.get("unfit"):
                # Tune keeps a worker whose trial ends well, so this one's ends with an error, for good.
                trial.max_failures = 0

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
        raise Halt(error) from error
