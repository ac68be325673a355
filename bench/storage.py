"""A shared folder or an object store, through pyarrow's file systems.

What is asked of a store is little, so that every one can give it: a small object is written whole or not at
all, what was written is read and listed at once, and listings tell when an object was last written.  There
are no renames and no locks.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import fs

from bench.store import disk_errors, put_in_place
from datasets.errors import UserError

WAITS = (1.0, 5.0, 25.0)
"""Seconds between the attempts of a request that the network failed."""

CHUNK = 2**22

CURES = (
    (("NO_SUCH_BUCKET", "bucket does not exist", "Bucket not found"), "make the bucket first"),
    (
        ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH", "INVALID_SIGNATURE", "HTTP 403"),
        "give this machine credentials that may read and write there",
    ),
    (
        ("libjvm", "libhdfs"),
        "hdfs:// needs Java (JAVA_HOME) and Hadoop with libhdfs (HADOOP_HOME, CLASSPATH): install them "
        "here and on every machine that runs trials",
    ),
    (("NETWORK_CONNECTION", "curlCode", "resolve host"), "see whether it runs and is reachable from here"),
)
USUAL_CURE = "mend it, then give the same command again"

T = TypeVar("T")


class StorageError(UserError):
    """A store cannot be reached or used; what is on this machine stays, and the same command goes on."""


@dataclass(frozen=True)
class Entry:
    """An object of a store: its path below the storage's root, bytes, and when it was written."""

    path: str
    size: int
    written_ns: int


@dataclass(frozen=True)
class Storage:
    """A place in a store.  Paths are relative to it, with '/'.

    `uri`: as the user gave it, for workers; `name`: the same without secrets, for messages.
    """

    uri: str
    name: str
    system: Any
    root: str

    @property
    def folder(self) -> Path | None:
        """Its folder, where it is one that this machine sees; None for an object store."""
        return Path(self.root) if isinstance(self.system, fs.LocalFileSystem) else None

    def read(self, path: str) -> bytes | None:
        """The content of an object, or None where there is none.

        Raises:
            StorageError: the store cannot be read.
        """

        def once() -> bytes | None:
            try:
                with self.system.open_input_stream(self._at(path), compression=None) as stream:
                    content: bytes = stream.read()
                    return content
            except FileNotFoundError:
                return None

        return self._patiently(once)

    def write(self, path: str, content: bytes) -> None:
        """Writes a small object, whole or not at all.

        Raises:
            StorageError, UserError: the store, or the folder, cannot be written.
        """
        folder = self.folder
        if folder is not None:
            _write_file(folder / path, lambda file: file.write(content))
            return

        def once() -> None:
            with self.system.open_output_stream(self._at(path), compression=None) as stream:
                stream.write(content)

        self._patiently(once)

    def upload(self, local: Path, path: str) -> dict[str, Any]:
        """Copies a file to the store.  One that was torn is known by what is returned.

        Returns:
            `bytes` and `sha256` of what was sent.

        Raises:
            StorageError, UserError: the store, or the folder, cannot be written.
            FileNotFoundError: there is no such local file.
        """
        folder = self.folder
        if folder is not None:
            sent: dict[str, Any] = {}
            with local.open("rb") as source:
                _write_file(folder / path, lambda target: sent.update(_copy(source, target)))
            return sent

        def once() -> dict[str, Any]:
            stream = self.system.open_output_stream
            with local.open("rb") as source, stream(self._at(path), compression=None) as target:
                return _copy(source, target)

        return self._patiently(once)

    def download(self, path: str, local: Path, told: dict[str, Any]) -> bool:
        """Copies an object to a file, which appears whole or not at all.

        Args:
            path: the object.
            local: the file.
            told: `bytes` and `sha256` of the object, as whoever wrote it filed them.

        Returns:
            Whether there is such an object.

        Raises:
            StorageError, UserError: the store cannot be read, or the file cannot be written.
        """

        def once() -> bool:
            temporary = local.with_name(f".{local.name}.{uuid.uuid4().hex[:8]}")
            try:
                stream = self.system.open_input_stream(self._at(path), compression=None)
                with stream as source, disk_errors(local), temporary.open("wb") as target:
                    found = _copy(source, target)
                if found != {"bytes": told.get("bytes"), "sha256": told.get("sha256")}:
                    return False
                with disk_errors(local):
                    put_in_place(temporary, local)
                return True
            except FileNotFoundError:
                return False
            finally:
                temporary.unlink(missing_ok=True)

        with disk_errors(local):
            local.parent.mkdir(parents=True, exist_ok=True)
        return self._patiently(once)

    def listed(self, folder: str) -> list[Entry]:
        """The objects below a folder, in no order; none where there is no such folder.

        Raises:
            StorageError: the store cannot be read.
        """
        selector = fs.FileSelector(self._at(folder), recursive=True, allow_not_found=True)
        found = self._patiently(lambda: self.system.get_file_info(selector))
        start = len(self.root.rstrip("/")) + 1
        return [
            Entry(info.path[start:], info.size or 0, info.mtime_ns or 0)
            for info in found
            if info.type == fs.FileType.File and not Path(info.path).name.startswith(".")
        ]

    def look(self, path: str) -> Entry | None:
        """One object, without its content; None where there is none.

        Raises:
            StorageError: the store cannot be read.
        """
        info = self._patiently(lambda: self.system.get_file_info(self._at(path)))
        return Entry(path, info.size or 0, info.mtime_ns or 0) if info.type == fs.FileType.File else None

    def delete(self, path: str) -> None:
        """Removes an object, if it is there.

        Raises:
            StorageError: the store cannot be written.
        """

        def once() -> None:
            with contextlib.suppress(FileNotFoundError):
                self.system.delete_file(self._at(path))

        self._patiently(once)

    def _at(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def _patiently(self, request: Callable[[], T]) -> T:
        for wait in (*WAITS, None):
            try:
                return request()
            except (UserError, FileNotFoundError):
                raise
            except (OSError, pa.ArrowException) as error:
                if wait is None or _hopeless(error):
                    raise complaint(self.name, error) from error
                time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def without_secrets(uri: str) -> str:
    """A URI without the keys and passwords that it may carry, for messages."""
    plain = re.sub(r"(://)[^/@]*@", r"\1", uri)
    return re.sub(r"([?&][^=&]*(?:key|secret|token|password|sas)[^=&]*=)[^&]*", r"\1...", plain, flags=re.I)


def _hopeless(error: Exception) -> bool:
    return any(sign in str(error) for signs, _ in CURES[:2] for sign in signs)


def complaint(name: str, error: BaseException) -> StorageError:
    """The sentence about what a driver raised, with the cure."""
    text = str(error)
    cure = next((cure for signs, cure in CURES if any(sign in text for sign in signs)), USUAL_CURE)
    return StorageError(f"--storage {name}: {first_line(error)}; {cure}; nothing was lost.")


def first_line(error: BaseException) -> str:
    """The first line of what a driver says, without the number of the request."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return without_secrets(re.sub(r" \(Request ID: [^)]*\)", "", first)).rstrip(".")[:300]


def _copy(source: Any, target: Any) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _write_file(path: Path, write: Callable[[Any], Any]) -> None:
    """Writes a file of a shared folder, by a rename."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                write(file)
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
