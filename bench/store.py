"""Trial folders.  `done.json` is the truth; everything else can be rebuilt.

    RUNS/<suite>/{plan.json, env.json, splits/}
    RUNS/<suite>/trials/<id>/{spec.json, metrics.jsonl, predictions.parquet, checkpoint-*.pt, error.txt,
                              teacher.parquet (of methods that tell), model.safetensors (if asked for),
                              failed.json, done.json}

An attempt holds the trial's lease, writes into a folder of its own and publishes file by file, `done.json`
last, each by an atomic rename, and only while the lease is its own.  Records and predictions carry checksums.
So a trial is either done, with everything in place and whole, or not done.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import lease
from datasets.errors import UserError

PLAN, ENVIRONMENT = "plan.json", "env.json"
LIMITED = "-limited"
"""Ending of the run folder of trials with fewer steps than the suite asks for."""
DONE, FAILED, SPEC = "done.json", "failed.json", "spec.json"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PREDICTIONS, METRICS, ERROR = "predictions.parquet", "metrics.jsonl", "error.txt"
WEIGHTS = "model.safetensors"
ATTEMPT, CHECKPOINTS = ".attempt-", "checkpoint*.pt"
LEFTOVERS = (f"{ATTEMPT}*", ".*.json.*", ".checkpoint.*")
"""What a killed attempt can leave."""
RECORD_FORMAT = 2
"""1 had no checksum."""


class LostLeaseError(Exception):
    """Another process took this trial over, so nothing of this attempt may be published."""


def write_json(path: Path, value: Any, option: str = "--out") -> None:
    """Writes JSON to a temporary file, waits until it is on the disk, and renames it into place.

    `option` is what gives another folder, for messages.

    Raises:
        UserError: when the disk is full or the folder cannot be written.
    """
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=True) + "\n"
    write_bytes(path, text.encode(), option)


def write_bytes(path: Path, content: bytes, option: str = "--out") -> None:
    """As `write_json`, anything.

    Raises:
        UserError: when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    make_folder(path.parent, option)
    with disk_errors(path, option):
        try:
            temporary.write_bytes(content)
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Renames a finished file so that after a power cut there is the old one or the whole new one."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some file systems have no such thing
                os.fsync(folder)
        finally:
            os.close(folder)


def refuse_place(path: Path, option: str) -> None:
    """That a file can be written later, after long work; its folder is made where it is missing.

    Raises:
        UserError: it cannot.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file with {option}.")
    trying = path.with_name(f".{path.name}.try")
    write_bytes(trying, b"", option)
    trying.unlink()


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its checksum."""
    plain = {**record, "record_format": RECORD_FORMAT}
    return {**plain, "checksum": _checksum(plain)}


def _checksum(record: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in record.items() if name != "checksum"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _whole(record: Mapping[str, Any]) -> bool:
    """Whether a record is what was written; those of before there were checksums are believed."""
    if "checksum" not in record and "record_format" not in record:
        return True
    return record.get("checksum") == _checksum(record)


_REFUSED = {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


@contextlib.contextmanager
def disk_errors(path: Path, option: str = "--out") -> Iterator[None]:
    """Turns a full disk or a read-only folder into one sentence; `option` names another folder."""
    try:
        yield
    except OSError as error:
        if disk_full(error):
            raise UserError(
                f"{path}: the disk is full; free some space or give another folder with {option}, then run "
                "the same command again (finished trials are kept)."
            ) from error
        if error.errno in _REFUSED:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); give another folder with {option}."
            ) from error
        raise


def make_folder(folder: Path, option: str = "--out") -> None:
    """Makes a folder and those around it, where they are missing.

    Raises:
        UserError: it cannot be made; `option` names another one.
    """
    with disk_errors(folder, option):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # a file system that takes no folders of ours, as /proc
            raise UserError(
                f"{folder}: cannot be made ({error.strerror}); give another folder with {option}."
            ) from error


def disk_full(error: BaseException) -> bool:
    """Whether this is a full disk, also as libraries tell it that keep the number in the text alone."""
    if not isinstance(error, OSError):
        return False
    return error.errno in DISK_FULL or any(f"errno {number}]" in str(error).lower() for number in DISK_FULL)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial."""

    path: Path

    def done(self, answers: bytes | None = None) -> dict[str, Any] | None:
        """The record of a finished trial, or None; a damaged record or prediction file is not done.

        Args:
            answers: the content of the prediction file, for who has read it already.
        """
        record = self._record(DONE)
        predictions = self.path / PREDICTIONS
        try:
            size = predictions.stat().st_size if answers is None else len(answers)
            if record is None or size != record.get("predictions_bytes"):
                return None
            stated = record.get("predictions_sha256")
            if stated is None:
                return record
            found = sha256(predictions) if answers is None else hashlib.sha256(answers).hexdigest()
            return record if found == stated else None
        except OSError:
            return None

    def failed(self) -> dict[str, Any] | None:
        """The record of a failed trial, or None."""
        return self._record(FAILED)

    def _record(self, name: str) -> dict[str, Any] | None:
        try:
            record = read_json(self.path / name)
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and _whole(record) else None

    def holder(self) -> lease.Holder | None:
        """Who works on this trial."""
        return lease.holder_of(self.path) if self.path.is_dir() else None

    @contextlib.contextmanager
    def attempt(self, *, wait: bool = False) -> Iterator[Path]:
        """A folder for one attempt, under the trial's lease; it is removed afterwards, whatever happened.

        Args:
            wait: for another process that works on this trial; otherwise that is a mistake.

        Raises:
            UserError: naming host and process of who works on this trial; for a folder that is a link.
        """
        if self.path.is_symlink():
            raise UserError(
                f"{self.path}: is a link to another folder, and trials write into the run folder alone; "
                "remove the link and run the same command again."
            )
        make_folder(self.path)
        held = _leased(self.path, f"trial {self.path.name} is being run", wait=wait)
        with held as token:
            self.sweep()
            folder = self.path / f"{ATTEMPT}{token}"
            with disk_errors(folder):
                folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Removes what killed attempts left; only for who holds the lease, or where nobody does.

        Only files that trials make: a run folder may be somebody else's.
        """
        for leftover in (path for pattern in LEFTOVERS for path in self.path.glob(pattern)):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Removes what a killed attempt left where nobody works, checkpoints of a finished trial too."""
        if self.path.is_symlink() or self.holder() is not None:
            return
        with contextlib.suppress(OSError):
            self.sweep()
            (self.path / lease.NAME).unlink(missing_ok=True)
            if (self.path / DONE).is_file():
                for checkpoint in self.path.glob(CHECKPOINTS):
                    checkpoint.unlink(missing_ok=True)

    def mine(self, attempt: Path) -> bool:
        """Whether an attempt still holds the lease."""
        return lease.is_mine(self.path, attempt.name.removeprefix(ATTEMPT))

    def forget(self) -> None:
        """Takes back an earlier record, since the trial runs again."""
        for record in (DONE, FAILED, ERROR):
            (self.path / record).unlink(missing_ok=True)

    def forget_failure(self) -> None:
        """Takes back the record of a failure, so that what is there after an attempt is of that attempt."""
        for record in (FAILED, ERROR):
            (self.path / record).unlink(missing_ok=True)

    def publish_done(self, attempt: Path, record: Mapping[str, Any]) -> None:
        """Moves the attempt's files into place and then declares the trial done.

        Raises:
            LostLeaseError: when another process has taken the trial over.
            UserError: when the disk is full or the folder cannot be written.
        """
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
        write_json(self.path / DONE, sealed(record))
        for stale in (FAILED, ERROR):
            (self.path / stale).unlink(missing_ok=True)

    def publish_failed(self, attempt: Path, record: Mapping[str, Any], trace: str) -> None:
        """Keeps the attempt's log and the traceback, and declares the trial failed.

        Raises:
            LostLeaseError, UserError: as `publish_done`.
        """
        self._move(attempt)
        error = attempt / ERROR
        with disk_errors(self.path):
            error.write_text(trace, encoding="utf-8")
            put_in_place(error, self.path / ERROR)
        write_json(self.path / FAILED, sealed(record))
        (self.path / DONE).unlink(missing_ok=True)  # an older result, which this trial was to replace

    def _move(self, attempt: Path) -> None:
        if not self.mine(attempt):
            raise LostLeaseError(f"trial {self.path.name} was taken over by another process")
        with disk_errors(self.path):
            for file in attempt.iterdir():
                put_in_place(file, self.path / file.name)


@contextlib.contextmanager
def _leased(folder: Path, what: str, *, wait: bool) -> Iterator[str]:
    """The lease of a folder; who has it is named in one sentence."""
    try:
        with disk_errors(folder):
            held = lease.Lease(folder, wait=wait)
    except lease.HeldError as error:
        who = error.holder
        raise UserError(
            f"{folder}: {what} already (host {who.host}, pid {who.pid}); wait for it with --wait, stop it, "
            "or give another folder with --out."
        ) from None
    with held:
        yield held.token


@dataclass(frozen=True)
class RunFolder:
    """The folder of one suite's runs."""

    path: Path

    def trial(self, trial_id: str) -> TrialFolder:
        """The folder of a trial."""
        return TrialFolder(self.path / "trials" / trial_id)

    def limited(self) -> RunFolder:
        """The folder beside it with the trials of `--limit-steps`."""
        return RunFolder(self.path.with_name(f"{self.path.name}{LIMITED}"))

    @contextlib.contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Held by the one `run` that works in this folder; a dead run holds nothing.

        Args:
            wait: for the other run to end; otherwise it is a mistake.

        Raises:
            UserError: naming the host and process that hold it.
        """
        make_folder(self.path)
        with _leased(self.path, "another run works here", wait=wait):
            yield
