"""Trials as runs in MLflow, for who keeps experiments there.  Records stay the truth, and no trial waits.

The driver sends a trial when it has ended, from its record and its log, in a thread of its own.  What could
not be sent, and what ended before anybody asked for MLflow, is sent by the next run with `--mlflow`.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.plan import PlannedTrial
from bench.progress import seconds_of
from bench.store import METRICS, RunFolder
from bench.training_log import read_log
from datasets.errors import UserError

TRIAL, STATUS = "sefar_bench.trial", "sefar_bench.status"
"""Tags by which a trial is found again."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # a folder that was named is meant
}
"""Set before MLflow is imported, unless the user has set them."""

MOST_PARAMS, MOST_METRICS, LONGEST = 100, 1000, 500
"""What one request may hold, and letters of a parameter or tag."""

FAILURES = 3
"""After so many failures in a row nothing more is sent."""

CLOSE_SECONDS = 60.0
"""How long the end of a run waits for what is still to be sent."""


class MlflowRuns:
    """An experiment of MLflow, named as the run folder.

    Args:
        uri: of the tracking server, or a folder as `file:DIR`.
        run: the run folder.

    Raises:
        UserError: when MLflow is not installed, or nobody answers at the URI.
    """

    def __init__(self, uri: str, run: RunFolder) -> None:
        self._uri, self._run = uri, run
        self._client = _client(uri)
        try:
            self._experiment = self._experiment_id(run.path.name)
            self._sent = self._sent_before()
        except Exception as error:  # whatever its store raises
            raise UserError(
                f"--mlflow {uri}: MLflow cannot be used there ({_first_line(error)}); give the URI of a "
                "running server, or a folder as file:/DIR, or leave --mlflow out."
            ) from error
        self._queue: queue.Queue[tuple[PlannedTrial, Mapping[str, Any]] | None] = queue.Queue()
        self._failures = 0
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def catch_up(self, trials: Sequence[PlannedTrial]) -> None:
        """Sends the finished trials of a plan that MLflow does not have yet."""
        for trial in {trial.spec.id: trial for trial in trials}.values():
            if self._sent.get(trial.spec.id, ("", ""))[1] != "done":
                record = self._run.trial(trial.spec.id).done()
                if record is not None:
                    self.finished(trial, record)

    def finished(self, planned: PlannedTrial, record: Mapping[str, Any]) -> None:
        """Sends one trial, soon."""
        self._queue.put((planned, record))

    def close(self) -> None:
        """Waits a while for what is still to be sent, and says so if that was not enough."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)
        if self._failures or self._thread.is_alive():
            print(
                f"warning: not everything was sent to MLflow at {self._uri}; the same command sends the rest",
                file=sys.stderr,
            )

    def _send_all(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._failures >= FAILURES:
                continue
            try:
                self._send(*item)
                self._failures = 0
            except Exception as error:  # no trial fails because of a log
                self._failures += 1
                if self._failures == 1:
                    print(f"warning: MLflow at {self._uri}: {_first_line(error)}", file=sys.stderr)

    def _send(self, planned: PlannedTrial, record: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - an optional package

        trial_id = planned.spec.id
        before = self._sent.pop(trial_id, None)
        end = int(time.time() * 1000)
        start = end - int(1000 * seconds_of(record))
        name = planned.line
        made = self._client.create_run(self._experiment, start_time=start, run_name=name)
        run_id = made.info.run_id
        params = [Param(key, value) for key, value in _parameters(planned).items()]
        tags = [RunTag(key, value) for key, value in _tags(planned, record, self._run.path.name).items()]
        for part in _parts(params, MOST_PARAMS):
            self._client.log_batch(run_id, params=part)
        series = [
            Metric(name, value, end, step) for name, value, step in _numbers(record, self._log_of(trial_id))
        ]
        for part in _parts(series, MOST_METRICS):
            self._client.log_batch(run_id, metrics=part)
        # Last, so that a trial whose sending was cut off is not taken for sent.
        self._client.log_batch(run_id, tags=tags)
        self._client.set_terminated(run_id, "FINISHED" if record["status"] == "done" else "FAILED", end)
        if before is not None:
            self._client.delete_run(before[0])
        self._sent[trial_id] = run_id, str(record["status"])

    def _log_of(self, trial_id: str) -> Any:
        try:
            return read_log(self._run.trial(trial_id).path / METRICS)
        except UserError:  # a trial that failed before its first step
            return None

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _sent_before(self) -> dict[str, tuple[str, str]]:
        """Trial -> its run and how that ended."""
        sent: dict[str, tuple[str, str]] = {}
        token = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token)
            for found in page:
                tags = found.data.tags
                if TRIAL in tags:
                    sent[tags[TRIAL]] = found.info.run_id, tags.get(STATUS, "")
            token = page.token
            if not token:
                return sent


@contextlib.contextmanager
def closing(runs: MlflowRuns | None) -> Iterator[None]:
    """Sends what is left when the block ends, however it ends."""
    try:
        yield
    finally:
        if runs is not None:
            runs.close()


def _client(uri: str) -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise UserError(
            f"--mlflow {uri}: MLflow cannot be imported ({error}); install it with: pip install "
            "'sefar-bench[mlflow]'."
        ) from error
    try:
        return MlflowClient(tracking_uri=uri)
    except Exception as error:
        raise UserError(
            f"--mlflow {uri}: MLflow knows no such place ({_first_line(error)}); give the URI of a server, "
            "as http://HOST:5000, or a folder as file:/DIR."
        ) from error


def _parameters(planned: PlannedTrial) -> dict[str, str]:
    """Everything that the trial is, by the names of the specification; no value is too long for MLflow."""
    return {name: text[:LONGEST] for name, text in _flat(planned.spec.model_dump(mode="json"))}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, str(value)


def _tags(planned: PlannedTrial, record: Mapping[str, Any], suite: str) -> dict[str, str]:
    tags = {
        TRIAL: planned.spec.id,
        STATUS: str(record["status"]),
        "suite": suite,
        "section": planned.section,
        "cell": planned.cell,
        "entry": planned.entry,
        "role": planned.role,
        "seed": str(planned.seed),
        "code_hash": str(record.get("code_hash", "")),
    }
    if record["status"] != "done":
        tags |= {"kind": str(record.get("kind", "")), "message": str(record.get("message", ""))[:LONGEST]}
    return tags


def _numbers(record: Mapping[str, Any], log: Any) -> Iterator[tuple[str, float, int]]:
    """Metrics and costs of the record, then the log, as (name, value, step)."""
    steps = int(record.get("checkpoint_step") or 0)
    for name, value in {**record.get("metrics", {}), **record}.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value), steps
    if log is not None:
        for name, values in log.series.items():
            for step, value in zip(log.step.tolist(), values.tolist(), strict=True):
                if not math.isnan(value):  # the line lacks it
                    yield name, value, step


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__
