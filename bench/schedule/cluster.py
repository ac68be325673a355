"""Ray, started for a run or joined: quiet, on loopback only, and gone without a trace afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.address import check_answers
from bench.schedule.elsewhere import let_save_elsewhere
from bench.schedule.processes import FOLDER_PREFIX, children, deaf, end, let_save, short_temporary, sweep
from bench.schedule.settings import Settings, available_cpus
from datasets.errors import UserError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new reporter prints tables even when it is told to be silent
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Its memory monitor kills our workers when a neighbor fills the machine, and Tune then gives up the whole
    # run.  The system kills the process that fills it, and a worker that it kills is lost, which is foreseen.
    "RAY_memory_monitor_refresh_ms": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: Ray would finish its own bookkeeping first
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Set before Ray is imported."""

KNOWS_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's variable; it means every system, whatever its name says."""

NEEDLESS = ("start_monitor", "start_log_monitor", "start_api_server")
"""Ray's autoscaler, log forwarder and API server: a run needs none of them, and they slow its start."""

STARTS = 5
SLOW_START = "timed out during startup"
"""What Ray says when it was too slow."""

OBJECT_STORE_BYTES = 80 * 2**20
"""Hardly anything passes through Ray's object store; this is about the least that it accepts."""


def import_ray() -> Any:
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
    # What its servers have to say goes past the logs, to standard output; records tell of lost workers.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    return ray


@contextlib.contextmanager
def ray_for(settings: Settings, need: Mapping[str, Mapping[str, float]]) -> Iterator[Path]:
    """Ray, started or joined; gives a temporary folder; leaves no process and no file behind."""
    ray = import_ray()
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=short_temporary()))
    before = set(children())
    with _kept_to_loopback(ray, settings.address is None):
        try:
            _start(ray, settings, need, folder)
            _check_resources(ray.cluster_resources(), need)
            yield folder
        except BaseException:
            with deaf():
                if settings.address is None:
                    let_save(set(children()) - before)
                else:
                    let_save_elsewhere(ray)
            raise
        finally:
            with deaf():
                started = set(children()) - before  # who outlives Ray's server is no child of ours any more
                ray.shutdown()
                end(started | set(children()) - before)
                shutil.rmtree(folder, ignore_errors=True)


def _start(ray: Any, settings: Settings, need: Mapping[str, Mapping[str, float]], folder: Path) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    terminate = signal.getsignal(signal.SIGTERM)
    if settings.address is None:
        most = max(job["cpu"] for job in need.values())
        wanted = max(available_cpus(), (settings.max_concurrent or 1) * most)
        _start_patiently(
            ray,
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


def _start_patiently(ray: Any, **options: Any) -> None:
    """Starts Ray here; it gives itself 30 seconds, which are too few where others keep the processors busy.

    Raises:
        UserError: when it was too slow again and again.
    """
    before = set(children())
    for _ in range(STARTS):
        try:
            with _without_servers(ray):
                ray.init(**options)
            return
        except Exception as error:  # Ray has no class of its own for this
            if SLOW_START not in str(error):
                raise
            with deaf():
                ray.shutdown()
                end(set(children()) - before)
    raise UserError(
        f"Ray did not start within 30 seconds, {STARTS} times in a row: the machine is too busy; run the "
        "same command again later."
    )


@contextlib.contextmanager
def _without_servers(ray: Any) -> Iterator[None]:
    """Ray starts none of the `NEEDLESS` meanwhile; a Ray that has other servers starts all of them."""
    node = ray._private.node.Node
    kept = {name: getattr(node, name) for name in NEEDLESS if hasattr(node, name)}
    for name in kept:
        setattr(node, name, lambda self, *_, **__: None)
    try:
        yield
    finally:
        for name, start in kept.items():
            setattr(node, name, start)


@contextlib.contextmanager
def _kept_to_loopback(ray: Any, alone: bool) -> Iterator[None]:
    """Whether Ray listens to this machine alone; what else this process does with Ray is its own affair.

    Asked for 127.0.0.1 it takes the address of the network instead, except where it knows no clusters, which
    this variable says, also to the processes that it starts.
    """
    constants = ray._private.ray_constants
    said, knew = os.environ.get(KNOWS_CLUSTERS), constants.ENABLE_RAY_CLUSTER
    os.environ[KNOWS_CLUSTERS], constants.ENABLE_RAY_CLUSTER = "0" if alone else "1", not alone
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = knew
        if said is None:
            os.environ.pop(KNOWS_CLUSTERS, None)
        else:
            os.environ[KNOWS_CLUSTERS] = said


def _check_resources(offered: Mapping[str, float], need: Mapping[str, Mapping[str, float]]) -> None:
    for kind, option in (("cpu", "--cpus-per-trial"), ("gpu", "--gpus-per-trial")):
        most = max(job.get(kind, 0.0) for job in need.values())
        here = offered.get(kind.upper(), 0.0)
        if most > here:
            raise UserError(
                f"a trial asks for {most:g} {kind.upper()}s and there are {here:g}; give less with {option}."
            )
