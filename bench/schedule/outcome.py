"""What the driver learns while trials run, and when that is reason to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.plan import PlannedTrial
from bench.store import RunFolder, TrialFolder
from bench.stored_run import StoredRun
from bench.trial import finished, lost_record
from datasets.errors import UserError

OnResult = Callable[[PlannedTrial, Mapping[str, Any]], None]


@dataclass
class Outcome:
    """Numbers of finished and of failed trials, and why the others were left (None: there are none).

    `stopped`: "time" when that of `--max-hours` was over, "failure" on the first one under `--fail-fast`.
    """

    done: int = 0
    failed: int = 0
    stopped: Literal["time", "failure"] | None = None


class Halt(BaseException):
    """Carries an error through Tune, which catches every `Exception`."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Enough(BaseException):
    """No more trials: those that run write a checkpoint and go; `Outcome.stopped` says why."""


@dataclass
class Board:
    """Counts what became of trials; Ray's callbacks write to it.

    `deadline`: by `time.monotonic()`, when no trial may run any more.  `stored`: the run's place in a store.
    """

    planned: Mapping[str, PlannedTrial]
    run: RunFolder
    on_result: OnResult
    deadline: float | None = None
    fail_fast: bool = False
    stored: StoredRun | None = None
    outcome: Outcome = field(default_factory=Outcome)
    counted: set[str] = field(default_factory=set)

    @property
    def left(self) -> dict[str, PlannedTrial]:
        """Trials of which nothing is known yet."""
        return {trial_id: trial for trial_id, trial in self.planned.items() if trial_id not in self.counted}

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Tune writes its callbacks to a file that nobody reads; this process's affairs stay out of it."""
        return type(None), ()

    def ended(self, trial_id: str, told: str) -> None:
        """Reads what became of a trial.

        Raises:
            UserError: when its worker met a mistake of the user, which `told` describes.
            Enough: when it failed and the first failure is to end the run.
        """
        if told:
            raise UserError(told)
        folder = self._folder(trial_id)
        record = folder.done() or folder.failed()
        if record is None:
            return self.lost(trial_id)
        return self._count(trial_id, record)

    def lost(self, trial_id: str) -> None:
        """Reads what the last attempt filed; files that its worker died where it left nothing.

        Raises:
            Enough: as `ended`.
        """
        planned = self.planned[trial_id]
        folder = self._folder(trial_id)
        record = finished(planned.spec, folder) or folder.failed() or lost_record(planned.spec, folder)
        self._count(trial_id, record)

    def _folder(self, trial_id: str) -> TrialFolder:
        """A trial's folder, with what its worker, on whatever machine, has left in the store."""
        if self.stored is not None:
            self.stored.trial(trial_id).fetch()
        return self.run.trial(trial_id)

    def look_at_the_clock(self) -> None:
        """Ends the run when its time is over.

        Raises:
            Enough: then.
        """
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.outcome.stopped = "time"
            raise Enough

    def _count(self, trial_id: str, record: Mapping[str, Any]) -> None:
        self.counted.add(trial_id)
        failed = record["status"] != "done"
        if failed:
            self.outcome.failed += 1
        else:
            self.outcome.done += 1
        self.on_result(self.planned[trial_id], record)
        if failed and self.fail_fast and self.outcome.done + self.outcome.failed < len(self.planned):
            self.outcome.stopped = "failure"
            raise Enough
