"""Leases: who works on a trial or in a run folder, also where file locks do not work.

A lease is a file that tells its holder: token, host, process.  It appears whole or not at all, and its time
is renewed by a heartbeat.  A holder that is dead on this machine has no lease any more; one on another
machine loses it when the heartbeat stays away.  Ages are differences of two times of one file system, so the
clocks of the machines do not matter.

A lease can be lost to somebody who believed its holder dead (a machine that slept, say).  So whoever
publishes looks first whether the lease is still its own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

NAME = ".lease.json"
SECONDS = 60.0
"""A lease of another machine ends when its heartbeat stays away for so long."""
BEAT_SECONDS = 10.0
POLL_SECONDS = 0.5
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.  `place`: the space of process ids; `born`: when the process began."""

    token: str
    host: str
    pid: int
    place: str
    born: float


class HeldError(Exception):
    """Somebody else holds the lease."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"held by host {holder.host}, pid {holder.pid}")
        self.holder = holder


class Lease:
    """The lease of a folder, from the moment it is made to the end of its `with` block.

    Args:
        folder: what is leased; it must exist.
        wait: for its holder to finish or die, for as long as it takes.

    Raises:
        HeldError: when somebody living holds it, and `wait` is not given.
        OSError: when the folder cannot be written.
    """

    def __init__(self, folder: Path, *, wait: bool = False) -> None:
        self._path = folder / NAME
        mine = _me()
        self.token = mine.token
        while not _take(self._path, mine):
            holder = holder_of(folder)
            if holder is not None and not wait:
                raise HeldError(holder)
            if holder is not None:
                time.sleep(POLL_SECONDS)
        self._stop = threading.Event()
        self._heart = threading.Thread(target=_beat, args=(self._path, mine.token, self._stop), daemon=True)
        self._heart.start()

    def holds(self) -> bool:
        """Whether nobody has taken the lease over."""
        return is_mine(self._path.parent, self.token)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._heart.join()
        if is_mine(self._path.parent, self.token):
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def is_mine(folder: Path, token: str) -> bool:
    """Whether the lease of a folder is (still) the one with this token."""
    holder = _read(folder / NAME)
    return holder is not None and holder.token == token


def holder_of(folder: Path) -> Holder | None:
    """The living holder of a folder's lease, or None; a lease that cannot be read has none."""
    path = folder / NAME
    holder = _read(path)
    if holder is None:
        return None
    if holder.place == _place():
        return holder if _lives(holder) else None
    return None if _expired(path) else holder


def myself() -> Holder:
    """This process as a holder, under a new token."""
    return _me()


def lives(holder: Holder) -> bool | None:
    """Whether a holder of this machine is alive; None for one of another machine."""
    return _lives(holder) if holder.place == _place() else None


def holder_from(value: Mapping[str, Any]) -> Holder:
    """A holder as `asdict` wrote it.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return Holder(
        str(value["token"]), str(value["host"]), int(value["pid"]), str(value["place"]), float(value["born"])
    )


def _take(path: Path, mine: Holder) -> bool:
    """Makes the lease ours, unless somebody living has it."""
    before = _read(path)
    if path.exists():
        if holder_of(path.parent) is not None:
            return False
        _clear(path, before)
    return _create(path, mine)


def _clear(path: Path, dead: Holder | None) -> None:
    """Removes the lease of a dead holder; if another one took its place meanwhile, that one is put back."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    moved = _read(aside)
    if moved is not None and moved != dead:
        with contextlib.suppress(OSError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def _create(path: Path, mine: Holder) -> bool:
    text = json.dumps(asdict(mine))
    temporary = path.with_name(f"{path.name}.{mine.token}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.link(temporary, path)
    except (FileExistsError, FileNotFoundError):  # somebody was faster, and has tidied up already
        if not path.parent.is_dir():
            raise
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _create_without_links(path, text)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_without_links(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _beat(path: Path, token: str, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        holder = _read(path)
        if holder is None or holder.token != token:
            continue  # it was lost, which is noticed when something is published
        with contextlib.suppress(OSError):
            os.utime(path)


def _read(path: Path) -> Holder | None:
    try:
        return holder_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lives(holder: Holder) -> bool:
    """Whether the holder, a process of this machine, is still that process."""
    try:
        zombie = psutil.Process(holder.pid).status() == psutil.STATUS_ZOMBIE
        return not zombie and _born(holder.pid) == holder.born
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _born(pid: int) -> float:
    """When a process began: in ticks since the start of the machine, which no change of its clock moves."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return float(text.rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return psutil.Process(pid).create_time()


def _expired(path: Path) -> bool:
    """Whether the heartbeat has stayed away; a time in the future is no heartbeat either."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        beat = path.stat().st_mtime
    except OSError:
        return True
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
    except OSError:  # a folder that can only be read
        now = time.time()
    return abs(now - beat) > SECONDS


def _me() -> Holder:
    return Holder(uuid.uuid4().hex[:12], socket.gethostname(), os.getpid(), _place(), _born(os.getpid()))


def _place() -> str:
    """Two processes of one place can see each other by their process ids."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)
