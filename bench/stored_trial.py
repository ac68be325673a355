"""A trial whose results and checkpoints are kept in a store, while it runs in a folder of this machine.

    <run>/results/<id>.json                  the truth: done or failed, which attempt, checksums of its files
    <run>/trials/<id>/<attempt>/             what that attempt filed: record, predictions, log
    <run>/trials/<id>/checkpoint.json        the checkpoints that are whole, newest first
    <run>/trials/<id>/checkpoints/*.pt
    <run>/trials/<id>/claims/, .lease.json   who works on it

An attempt writes files of its own and, last, the one small object that points at them, after a look whether
it still holds the lease.  So whoever reads finds a whole result or none, and an attempt that was taken over
leaves at most files that nobody points at.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench import failures, store
from bench.checkpoints import NAME as CHECKPOINT_NAME
from bench.claims import Held
from bench.storage import Entry, Storage, StorageError
from bench.store import TrialFolder

RESULTS, TRIALS, POINTER, CHECKPOINTS = "results", "trials", "checkpoint.json", "checkpoints"
KEPT = 2
"""Checkpoints of a running trial, as on the disk."""
FAILED_FILES = (store.SPEC, store.FAILED, store.ERROR, store.METRICS)
YOUNG_SECONDS = 5.0
"""A store may tell times in whole seconds, so a result this young may have been replaced unseen."""


@dataclass(frozen=True)
class StoredTrial:
    """A trial's place in a store.

    `run`: the name of its run folder.  `folder`: where it lies on this machine.
    """

    storage: Storage
    run: str
    folder: TrialFolder

    @property
    def id(self) -> str:
        """The trial's id."""
        return self.folder.path.name

    @property
    def home(self) -> str:
        """Its folder in the store."""
        return f"{self.run}/{TRIALS}/{self.id}"

    @property
    def result(self) -> str:
        """The object that says what became of it."""
        return f"{self.run}/{RESULTS}/{self.id}.json"

    def known(self, entry: Entry) -> bool:
        """Whether the result that is listed is the one on this machine, or older than that."""
        if time.time_ns() - entry.written_ns < YOUNG_SECONDS * 1e9:
            return False
        for name in (store.DONE, store.FAILED):
            with contextlib.suppress(OSError):
                return (self.folder.path / name).stat().st_mtime_ns // 1000 >= entry.written_ns // 1000
        return False

    def fetch(self, entry: Entry | None = None) -> bool:
        """Brings the stored result here, unless it or a newer one is here, or somebody works on it.

        Args:
            entry: the result as it was listed; None looks for it.

        Returns:
            Whether the folder holds another result than before.

        Raises:
            StorageError, UserError: the store cannot be read, or the folder cannot be written.
        """
        entry = entry or self.storage.look(self.result)
        if entry is None or self.known(entry) or self.folder.holder() is not None:
            return False
        for _ in range(2):  # another attempt may have been published, and these files removed, meanwhile
            told = self._told()
            if told is not None and (brought := self._bring(told, entry.written_ns)) is not None:
                return brought
        return False

    def fetch_done(self, good: Callable[[], bool]) -> None:
        """Brings a stored success for a trial that is about to be run, also where a copy here is damaged.

        Args:
            good: whether what is here will do.

        Raises:
            StorageError, UserError: as `fetch`.
        """
        entry, told = self.storage.look(self.result), self._told()
        if entry is None or told is None or told["status"] != "done" or self.folder.holder() is not None:
            return
        if not good() or not self.known(entry):
            self._bring(told, entry.written_ns)

    def is_here(self) -> bool:
        """Whether the stored result is the one of this folder."""
        told = self._told()
        return told is not None and _same(self.folder.path / store.DONE, told["files"].get(store.DONE))

    def publish(self, held: Held, status: str) -> None:
        """Copies the result in the folder to the store and points at it.

        Raises:
            StorageError: another process has taken the trial over, or the store cannot be written.
        """
        files = {}
        for path in sorted(self.folder.path.iterdir()):
            if _of_result(path, status):
                files[path.name] = self.storage.upload(path, f"{self.home}/{held.token}/{path.name}")
        if not held.holds():
            raise StorageError(
                f"{self.storage.name}: trial {self.id} was taken over by another process; its result counts "
                "there, and this one stays on this machine only."
            )
        told = {"status": status, "attempt": held.token, "files": files}
        self.storage.write(self.result, json.dumps(told, indent=1, sort_keys=True).encode())
        written = self.storage.look(self.result)
        if written is not None:
            self._dated(status, written.written_ns)
        self._tidy(held.token, status)

    def fetch_checkpoint(self, code: str) -> None:
        """Brings the newest stored checkpoint of this code that is whole, if it is ahead of those here."""
        here = max((_step(path.name) for path in self.folder.path.glob("checkpoint-*.pt")), default="")
        for name, told in self._checkpoints(code).items():
            if _step(name) <= here:
                return
            if self.storage.download(f"{self.home}/{CHECKPOINTS}/{name}", self.folder.path / name, told):
                return

    def push_checkpoint(self, held: Held, path: Path, code: str) -> None:
        """Copies a checkpoint to the store; one that is gone from the disk already is left out."""
        try:
            sent = self.storage.upload(path, f"{self.home}/{CHECKPOINTS}/{path.name}")
        except FileNotFoundError:
            return
        if not held.holds():
            return
        known = {path.name: sent, **self._checkpoints(code)}
        kept = dict(sorted(known.items(), reverse=True)[:KEPT])
        pointer = {"code_hash": code, "files": kept}
        self.storage.write(f"{self.home}/{POINTER}", json.dumps(pointer, indent=1).encode())
        for entry in self.storage.listed(f"{self.home}/{CHECKPOINTS}"):
            if PurePosixPath(entry.path).name not in kept:
                self.storage.delete(entry.path)

    def _checkpoints(self, code: str) -> dict[str, dict[str, Any]]:
        """Name -> size and checksum, newest first."""
        pointer = _object(self.storage.read(f"{self.home}/{POINTER}"))
        files = pointer.get("files")
        if pointer.get("code_hash") != code or not isinstance(files, dict):
            return {}
        good = [name for name in files if CHECKPOINT_NAME.fullmatch(name) and isinstance(files[name], dict)]
        return {name: files[name] for name in sorted(good, reverse=True)}

    def _told(self) -> dict[str, Any] | None:
        told = _object(self.storage.read(self.result))
        if told.get("status") not in ("done", "failed") or not isinstance(told.get("files"), dict):
            return None
        return told if all(_plain(name) for name in (*told["files"], str(told.get("attempt")))) else None

    def _bring(self, told: Mapping[str, Any], written_ns: int) -> bool | None:
        """Downloads a result, its record last.

        Returns:
            Whether it is another one than was here; None when it could not be had as a whole.
        """
        record = store.DONE if told["status"] == "done" else store.FAILED
        here, files = self.folder.path, told["files"]
        if record not in files:
            return None
        same = _same(here / record, files[record])
        missing = sorted(name for name in files if name != record and not _same(here / name, files[name]))
        if not same:
            self.folder.forget()
            if store.WEIGHTS not in files:
                (here / store.WEIGHTS).unlink(missing_ok=True)  # of an earlier training
            missing.append(record)
        for name in missing:
            if not self.storage.download(f"{self.home}/{told['attempt']}/{name}", here / name, files[name]):
                return None
        self._dated(str(told["status"]), written_ns)
        return bool(missing)

    def _dated(self, status: str, written_ns: int) -> None:
        """Gives the record the time of the stored result, by which the two are known to be the same."""
        path = self.folder.path / (store.DONE if status == "done" else store.FAILED)
        with contextlib.suppress(OSError):
            os.utime(path, ns=(written_ns, written_ns))

    def _tidy(self, attempt: str, status: str) -> None:
        """Removes what nobody points at any more."""
        record = self.folder.failed() if status == "failed" else None
        resumable = record is not None and record.get("kind") in failures.RESUMABLE
        kept = {attempt, "claims", *((CHECKPOINTS, POINTER) if resumable else ())}
        for entry in self.storage.listed(self.home):
            part = entry.path.removeprefix(f"{self.home}/").split("/")[0]
            if part not in kept:
                self.storage.delete(entry.path)


def _object(content: bytes | None) -> dict[str, Any]:
    """A JSON object, empty where there is none or it is damaged."""
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _plain(name: str) -> bool:
    """Whether a name that a store tells stays inside the folder that it is put into."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) is not None


def _same(path: Path, told: Any) -> bool:
    try:
        return (
            isinstance(told, dict)
            and path.stat().st_size == told.get("bytes")
            and store.sha256(path) == told.get("sha256")
        )
    except OSError:
        return False


def _of_result(path: Path, status: str) -> bool:
    """Whether a file of a trial's folder belongs to its result."""
    if status == "failed":
        return path.name in FAILED_FILES
    apart = (store.FAILED, store.ERROR)
    return path.is_file() and _plain(path.name) and path.suffix != ".pt" and path.name not in apart


def _step(name: str) -> str:
    """The part of a checkpoint's name by which checkpoints are older or newer."""
    return name[: -len("-0123456789abcdef.pt")]
