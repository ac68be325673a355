"""What a worker does: one trial after the other, each from its specification as JSON."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.failures import INFRASTRUCTURE
from bench.preemption import Preempted
from bench.spec import TrialSpec
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


def work(job: Mapping[str, Any]) -> str:
    """Runs one trial in a worker.

    Args:
        job: the specification as JSON (`spec`), its folder (`folder`), variables to set (`environment`),
            seconds that it may take (`timeout`), and whether to file the model (`keep_weights`).

    Returns:
        A sentence about a mistake of the user, or "".

    Raises:
        MachineError: for a failure that another attempt may not have.
        SystemExit: after SIGTERM or SIGUSR1; the checkpoint is written, and another worker goes on.
    """
    os.environ.update(job["environment"])
    # Another process on this trial is a worker that outlives its killed driver: its result is as good.
    manner = Manner(wait=True, timeout=job.get("timeout"), keep_weights=bool(job.get("keep_weights")))
    try:
        spec = TrialSpec.model_validate_json(job["spec"])
        record = run_trial(spec, TrialFolder(Path(job["folder"])), manner)
    except UserError as error:
        return str(error) or "unknown mistake"
    except Preempted as told:
        raise SystemExit(str(told)) from None
    finally:
        gc.collect()
    if record["status"] == "failed" and record["kind"] in INFRASTRUCTURE:
        raise MachineError(f"{record['kind']}: {record['message']}")
    return ""
