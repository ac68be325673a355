"""What a worker does: one trial after the other, each from its specification as JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.failures import INFRASTRUCTURE
from bench.preemption import Preempted
from bench.run_stored import run_stored
from bench.schedule.reuse import Reuse
from bench.spec import TrialSpec
from bench.storage import StorageError
from bench.storage_uri import open_storage
from bench.store import TrialFolder
from bench.trial import Manner, run_trial
from datasets.errors import UserError

PASSED_ON = (
    "SEFAR_BENCH_HOME",
    "SEFAR_BENCH_CACHE",
    "SEFAR_BENCH_CACHE_GIB",
    "SEFAR_BENCH_PLUGINS",
    "PYTHONPATH",
)
"""Environment variables that workers get from the driver, also on other machines."""


class MachineError(Exception):
    """A trial failed for a reason of the machine, so Tune shall try it again."""


class RetiredError(Exception):
    """This process has done its trial and shall do no other one."""


@dataclass(frozen=True)
class Answer:
    """What a worker tells of a trial, whose record is in its folder.

    Attributes:
        told: a sentence about a mistake of the user, or "".
        unfit: why this process should not run another trial, or "".
    """

    told: str = ""
    unfit: str = ""


class Worker:
    """Runs trials in this process, one after the other."""

    def __init__(self) -> None:
        self._reuse: Reuse | None = None

    def work(self, job: Mapping[str, Any]) -> Answer:
        """Runs one trial.

        Args:
            job: the specification as JSON (`spec`), its folder (`folder`), variables to set (`environment`),
                seconds that it may take (`timeout`) and between checkpoints (`checkpoint_seconds`), whether
                to file the model (`keep_weights`), and the URI of the store of results (`storage`).

        Raises:
            MachineError: for a failure that another attempt may not have.
            SystemExit: after SIGTERM or SIGUSR1; the checkpoint is written, and another worker goes on.
        """
        os.environ.update(job["environment"])
        self._reuse = self._reuse or Reuse()
        try:
            record = _run(job)
        except StorageError as error:  # the next attempt may reach it, and finds what this one has finished
            raise MachineError(str(error)) from error
        except UserError as error:
            return Answer(told=str(error) or "unknown mistake")
        except Preempted as told:
            raise SystemExit(str(told)) from None
        if record["status"] == "failed" and record["kind"] in INFRASTRUCTURE:
            raise MachineError(f"{record['kind']}: {record['message']}")
        return Answer(unfit=self._reuse.reason_against(record))


def _run(job: Mapping[str, Any]) -> dict[str, Any]:
    # Another process on this trial is a worker that outlives its killed driver: its result is as good.
    manner = Manner(
        wait=True,
        timeout=job.get("timeout"),
        checkpoint_seconds=job.get("checkpoint_seconds"),
        keep_weights=bool(job.get("keep_weights")),
    )
    spec, folder = TrialSpec.model_validate_json(job["spec"]), TrialFolder(Path(job["folder"]))
    if job.get("storage") is None:
        return run_trial(spec, folder, manner)
    return run_stored(spec, folder, open_storage(job["storage"]), manner)
