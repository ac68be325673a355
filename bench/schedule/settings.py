"""How many trials run at once, and what each of them asks for."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.spec import TrialSpec

EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many trials at once and what each gets; None is decided from the machine and the protocol.

    `address`: of a running Ray cluster, or "auto"; None starts Ray on this machine for this run.
    `max_retries`: further attempts after a failure of the machine.  `trial_timeout`: seconds per attempt.
    `checkpoint_seconds`: time between checkpoints.  `keep_weights`: trials file their evaluated models.
    `storage`: URI of a store of results and checkpoints.  `deadline`: by `time.monotonic()`, when trials that
    run write a checkpoint and go.  `fail_fast`: they do so on the first failure.  `reuse_workers`: a worker
    that nothing speaks against runs one trial after the other, see `bench.schedule.reuse`.
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
    deadline: float | None = None
    fail_fast: bool = False
    reuse_workers: bool = True


def resources(spec: TrialSpec, settings: Settings) -> dict[str, float]:
    """CPUs and GPUs that a trial asks for: the threads of its protocol, and one GPU where it uses one."""
    gpus = 1.0 if spec.device == "cuda" else 0.0
    wanted = {
        "cpu": spec.protocol.threads if settings.cpus_per_trial is None else settings.cpus_per_trial,
        "gpu": gpus if settings.gpus_per_trial is None else settings.gpus_per_trial,
    }
    return {kind: amount for kind, amount in wanted.items() if amount}


def places(specs: Iterable[TrialSpec], settings: Settings) -> int | None:
    """How many of these trials run at once on this machine; None on a cluster, which may grow and shrink."""
    if settings.address is not None:
        return settings.max_concurrent
    needs = [resources(spec, settings) for spec in specs]
    cpus = max((need.get("cpu", 0.0) for need in needs), default=1.0)
    gpus = max((need.get("gpu", 0.0) for need in needs), default=0.0)
    most = [math.floor(available_cpus() / cpus + EPSILON)] if cpus else []
    if settings.max_concurrent is not None:  # then Ray is told of as many CPUs as that takes
        most = [settings.max_concurrent]
    if gpus:
        most.append(math.floor(torch.cuda.device_count() / gpus + EPSILON))
    return max(1, min(most, default=1))


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, and a container's quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cpus = min(cpus, max(1, int(quota) // int(period)))
    return cpus
