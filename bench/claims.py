"""Leases in a store that has neither locks nor renames: everybody writes a claim of its own and looks around.

    <folder>/claims/<token>.json        the holder, whether it has entered, and whose claims it has taken over

A claim is written, then all claims are listed, and only who sees no other living claim enters; the others
take theirs back and try again.  Of two that come at once the later writer sees the earlier one, because a
store lists at once what was written (S3, Google and Azure do), so never do both enter.  A claim is kept alive
by writing it again; one whose process died on this machine is dead at once, one of another machine after
`lease.SECONDS` without a beat, by the clock of the store.  Who takes over from a dead claim says so in its
own, so that a holder that was only asleep knows, when it looks before it publishes, that it has lost.

A shared folder has leases that are made by one atomic call (`bench.lease`), and they are used there.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Protocol

from bench import lease
from bench.lease import HeldError, Holder
from bench.storage import Entry, Storage, StorageError
from bench.store import disk_errors

FOLDER = "claims"
TURNS = 10
"""How often a claim is made anew, where nobody has entered yet, before the other is said to be at work."""
WAIT_SECONDS = 5.0
"""Between two looks at a lease that somebody holds."""
NOBODY = Holder("", "", 0, "", 0.0)


class Held(Protocol):
    """A lease while it is held."""

    token: str

    def holds(self) -> bool:
        """Whether it is still held by who made it."""
        ...


@contextlib.contextmanager
def claimed(storage: Storage, folder: str, *, wait: bool = False) -> Iterator[Held]:
    """The lease of a folder of a store.

    Args:
        storage: the store.
        folder: what is leased.
        wait: for its holder to finish or die, for as long as it takes.

    Raises:
        HeldError: when somebody living holds it, and `wait` is not given.
        StorageError, UserError: the store cannot be used.
    """
    shared = storage.folder
    if shared is not None:
        with disk_errors(shared / folder):
            (shared / folder).mkdir(parents=True, exist_ok=True)
            made = lease.Lease(shared / folder, wait=wait)
        with made:
            yield made
        return
    claim = _Claim(storage, f"{folder}/{FOLDER}")
    claim.enter(wait)
    try:
        yield claim
    finally:
        claim.leave()


class _Claim:
    """One process's claim on a folder."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage, self._folder = storage, folder
        self._mine = lease.myself()
        self.token = self._mine.token
        self._taken_over: list[str] = []
        self._entered, self._lost = False, False
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def enter(self, wait: bool) -> None:
        """Becomes the holder.

        Raises:
            HeldError: somebody living is, and `wait` is not given.
            StorageError: the store cannot be used.
        """
        turns = 0
        try:
            while (other := self._obstacle()) is not None:
                turns += not other.entered
                if not wait and (other.entered or turns >= TURNS):
                    raise HeldError(other.holder)
                time.sleep(WAIT_SECONDS if other.entered else lease.POLL_SECONDS * (1 + 3 * random.random()))
            self._entered = True
            self._write()
        except BaseException:
            self._withdraw()
            raise
        self._heart.start()

    def leave(self) -> None:
        """Gives the lease back; a store that cannot be reached now will see it expire."""
        self._stop.set()
        self._heart.join()
        self._withdraw()

    def holds(self) -> bool:
        """Whether no other process has taken this claim over.

        Raises:
            StorageError: the store cannot be read.
        """
        if not self._lost:
            found = self._claims()
            gone = all(claim.token != self.token for claim in found)
            self._lost = gone or any(self.token in claim.taken_over for claim in found)
        return not self._lost

    def _obstacle(self) -> _Seen | None:
        """Enters, unless somebody living is in the way, who is returned."""
        self._write()
        found = self._claims()
        now = max((claim.written_ns for claim in found if claim.token == self.token), default=0)
        others = [c for c in found if c.token != self.token and c.token not in self._taken_over]
        living = [claim for claim in others if claim.lives(now)]
        if living:
            self._withdraw()
            return max(living, key=lambda claim: claim.entered)
        self._taken_over += [claim.token for claim in others]
        if others:
            self._write()
        for claim in others:
            self._storage.delete(self._path(claim.token))
        return None

    def _withdraw(self) -> None:
        with contextlib.suppress(StorageError):
            self._storage.delete(self._path(self.token))

    def _beat(self) -> None:
        while not self._stop.wait(lease.BEAT_SECONDS):
            with contextlib.suppress(StorageError):
                if self.holds():
                    self._write()

    def _write(self) -> None:
        claim = {"holder": asdict(self._mine), "entered": self._entered, "taken_over": self._taken_over}
        self._storage.write(self._path(self.token), json.dumps(claim).encode())

    def _claims(self) -> list[_Seen]:
        found = []
        for entry in self._storage.listed(self._folder):
            content = self._storage.read(entry.path)
            if content is not None:  # otherwise it was taken back since the listing
                found.append(_seen(entry, content))
        return found

    def _path(self, token: str) -> str:
        return f"{self._folder}/{token}.json"


@dataclass(frozen=True)
class _Seen:
    """A claim as others see it; one that cannot be read has no holder and is dead."""

    token: str
    written_ns: int
    holder: Holder = NOBODY
    entered: bool = False
    taken_over: tuple[str, ...] = ()

    def lives(self, now_ns: int) -> bool:
        if self.holder is NOBODY:
            return False
        here = lease.lives(self.holder)
        return here if here is not None else abs(now_ns - self.written_ns) <= lease.SECONDS * 1e9


def _seen(entry: Entry, content: bytes) -> _Seen:
    token = PurePosixPath(entry.path).stem
    try:
        value = json.loads(content)
        holder = lease.holder_from(value["holder"])
        taken = tuple(str(each) for each in value["taken_over"])
        return _Seen(token, entry.written_ns, holder, bool(value["entered"]), taken)
    except (ValueError, KeyError, TypeError):
        return _Seen(token, entry.written_ns)
