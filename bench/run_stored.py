"""One specification -> one record, with result and checkpoints kept in a store."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.claims import Held, claimed
from bench.lease import HeldError
from bench.spec import TrialSpec
from bench.storage import Storage
from bench.store import TrialFolder
from bench.stored_trial import StoredTrial
from bench.trial import Manner, finished, run_trial
from bench.trial_code import trial_code_hash
from datasets.errors import UserError


def run_kept(spec: TrialSpec, folder: TrialFolder, storage: Storage | None, manner: Manner) -> dict[str, Any]:
    """A finished record of the trial as it is, or `run_trial`, in a store too where there is one.

    Raises:
        UserError, Preempted, StorageError: as `run_stored`.
    """
    if storage is None:
        return finished(spec, folder) or run_trial(spec, folder, manner)
    return run_stored(spec, folder, storage, manner)


def run_stored(
    spec: TrialSpec, folder: TrialFolder, storage: Storage, manner: Manner | None = None
) -> dict[str, Any]:
    """`run_trial`, under a lease of the store, from the store's checkpoint, with its result kept there.

    A trial that today's code has finished, here or there, is not run again.

    Args:
        spec: the trial.
        folder: its folder on this machine, in the run folder whose name it also has in the store.
        storage: the store.
        manner: how.

    Returns:
        The record.

    Raises:
        UserError, Preempted: as `run_trial`.
        StorageError: the store cannot be used, or another process has taken the trial over; what was computed
            stays in the folder.
    """
    manner = manner or Manner()
    stored = StoredTrial(storage, folder.path.parent.parent.name, folder)
    with _leased(stored, wait=manner.wait) as held:
        stored.fetch_done(lambda: finished(spec, folder) is not None)
        record = finished(spec, folder)
        if record is not None and stored.is_here():
            return record
        if record is None:
            code = trial_code_hash(spec)
            stored.fetch_checkpoint(code)
            with _Pusher(stored, held, code) as pusher:
                record = run_trial(spec, folder, replace(manner, saved=pusher.saved))
        stored.publish(held, str(record["status"]))
        return record


@contextlib.contextmanager
def _leased(stored: StoredTrial, *, wait: bool) -> Iterator[Held]:
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(claimed(stored.storage, stored.home, wait=wait))
        except HeldError as error:
            who = error.holder
            raise UserError(
                f"{stored.storage.name}: trial {stored.id} is being run already (host {who.host}, pid "
                f"{who.pid}); wait for it with --wait, or stop it."
            ) from None
        yield held


class _Pusher:
    """Copies checkpoints to the store while training goes on; of several that wait, the newest.

    A checkpoint that does not arrive costs a warning: the next one may, and the result is what counts.
    """

    def __init__(self, stored: StoredTrial, held: Held, code: str) -> None:
        self._stored, self._held, self._code = stored, held, code
        self._newest: Path | None = None
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> _Pusher:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True)

    def saved(self, path: Path) -> None:
        """Hears of a new checkpoint."""
        self._newest = path
        self._thread.submit(self._push)

    def _push(self) -> None:
        path, self._newest = self._newest, None
        if path is not None:
            try:
                self._stored.push_checkpoint(self._held, path, self._code)
            except Exception as error:  # whatever it is, training goes on
                print(f"warning: {path.name} was not stored: {error}", file=sys.stderr)
