"""Trial folders.  `done.json` is the truth; everything else can be rebuilt.

    RUNS/<suite>/trials/<id>/{spec.json, metrics.jsonl, predictions.parquet, checkpoint.pt, error.txt,
                              teacher.parquet (of methods that tell), model.safetensors (if asked for),
                              failed.json, done.json}

An attempt writes into a folder of its own and publishes file by file, `done.json` last, each by an atomic
rename.  So a trial is either done, with everything in place, or not done.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from datasets.errors import UserError

LOST_WORKER = "lost worker"
"""The kind of failure whose cause is the machine; the next run tries the trial again."""

DONE, FAILED, SPEC = "done.json", "failed.json", "spec.json"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
PREDICTIONS, METRICS, CHECKPOINT, ERROR = "predictions.parquet", "metrics.jsonl", "checkpoint.pt", "error.txt"
WEIGHTS = "model.safetensors"


def write_json(path: Path, value: Any) -> None:
    """Writes JSON to a temporary file and renames it into place.

    Raises:
        UserError: when the disk is full or the folder cannot be written.
    """
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=True) + "\n"
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full disk or a read-only folder into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"{path}: the disk is full; free some space or give another folder with --out, then run "
                "the same command again (finished trials are kept)."
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); give another folder with --out."
            ) from error
        raise


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial."""

    path: Path

    def done(self) -> dict[str, Any] | None:
        """The record of a finished trial, or None; a damaged record or prediction file is not done."""
        return self._checked(DONE)

    def failed(self) -> dict[str, Any] | None:
        """The record of a failed trial, or None."""
        try:
            return read_json(self.path / FAILED)
        except (OSError, ValueError):
            return None

    def _checked(self, name: str) -> dict[str, Any] | None:
        try:
            record = read_json(self.path / name)
        except (OSError, ValueError):
            return None
        predictions = self.path / PREDICTIONS
        if not predictions.is_file() or predictions.stat().st_size != record.get("predictions_bytes"):
            return None
        return record

    @contextlib.contextmanager
    def attempt(self) -> Iterator[Path]:
        """A folder for one attempt; it is removed afterwards, whatever happened."""
        folder = self.path / f".attempt-{uuid.uuid4().hex[:12]}"
        with disk_errors(folder):
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def forget(self) -> None:
        """Takes back an earlier record, since the trial runs again."""
        for record in (DONE, FAILED, ERROR):
            (self.path / record).unlink(missing_ok=True)

    def publish_done(self, attempt: Path, record: Mapping[str, Any]) -> None:
        """Moves the attempt's files into place and then declares the trial done."""
        predictions = attempt / PREDICTIONS
        record = {
            **record,
            "predictions_bytes": predictions.stat().st_size,
            "predictions_sha256": sha256(predictions),
        }
        if (attempt / WEIGHTS).is_file():
            record["weights_sha256"] = sha256(attempt / WEIGHTS)
        else:
            (self.path / WEIGHTS).unlink(missing_ok=True)  # of an earlier training
        self._move(attempt)
        write_json(self.path / DONE, record)
        for stale in (FAILED, ERROR, CHECKPOINT):
            (self.path / stale).unlink(missing_ok=True)

    def publish_failed(self, attempt: Path, record: Mapping[str, Any], trace: str) -> None:
        """Keeps the attempt's log and the traceback, and declares the trial failed."""
        self._move(attempt)
        with disk_errors(self.path):
            (self.path / ERROR).write_text(trace, encoding="utf-8")
        write_json(self.path / FAILED, record)
        if record.get("kind") != LOST_WORKER:  # what broke a trial may be in its state
            (self.path / CHECKPOINT).unlink(missing_ok=True)
        (self.path / DONE).unlink(missing_ok=True)  # an older result, which this trial was to replace

    def _move(self, attempt: Path) -> None:
        for file in attempt.iterdir():
            file.replace(self.path / file.name)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one suite's runs."""

    path: Path

    def trial(self, trial_id: str) -> TrialFolder:
        """The folder of a trial."""
        return TrialFolder(self.path / "trials" / trial_id)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held by the one `run` that works in this folder.

        Raises:
            UserError: naming the host and process that hold it.  The lock of a dead process is free.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
        holder = self.path / ".holder.json"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            who = read_json(holder) if holder.is_file() else {}
            raise UserError(
                f"{self.path}: another run works here (host {who.get('host', '?')}, "
                f"pid {who.get('pid', '?')}); wait for it, stop it, or give another folder with --out."
            ) from None
        try:
            write_json(holder, {"host": socket.gethostname(), "pid": os.getpid()})
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()
