"""What a store holds of a suite's run, and the folder of this machine that mirrors it.

    <URI>/<run>/plan.json, env.json, splits/         as in the run folder
    <URI>/<run>/results/, trials/                    see `bench.stored_trial`
    <URI>/<run>/claims/, .lease.json                 the one `run` that works there

Everything that reads records (`plan`, `report`, the end of a `run`) reads the folder; `pull` brings it
up to date first, and asks only for results that are new there.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bench import store
from bench.claims import claimed
from bench.lease import HeldError
from bench.split_folder import SPLITS
from bench.storage import Entry, Storage
from bench.storage_uri import open_storage
from bench.store import ENVIRONMENT, PLAN, RunFolder
from bench.stored_trial import RESULTS, StoredTrial
from datasets.errors import UserError

RESULT = re.compile(r"[0-9a-f]{16}\.json")
AT_ONCE = 16
"""Requests to a store side by side: what takes time is the way there."""


@dataclass(frozen=True)
class StoredRun:
    """A run folder and its place in a store."""

    storage: Storage
    run: RunFolder

    @classmethod
    def at(cls, uri: str | None, run: RunFolder) -> StoredRun | None:
        """The place of a run folder in a store; None without a URI.

        Raises:
            StorageError, UserError: as `open_storage`.
        """
        return None if uri is None else cls(open_storage(uri), run)

    @property
    def name(self) -> str:
        """The run's folder in the store."""
        return self.run.path.name

    def trial(self, trial_id: str) -> StoredTrial:
        """A trial's place."""
        return StoredTrial(self.storage, self.name, self.run.trial(trial_id))

    @contextlib.contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Held by the one `run` that works in this place of the store, whatever its machine.

        Raises:
            UserError: naming the host and process that hold it.
            StorageError: the store cannot be used.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(claimed(self.storage, self.name, wait=wait))
            except HeldError as error:
                who = error.holder
                raise UserError(
                    f"{self.storage.name}: another run works on '{self.name}' there already (host "
                    f"{who.host}, pid {who.pid}); wait for it with --wait, or stop it."
                ) from None
            yield

    def pull(self) -> int:
        """Brings the results that are new in the store.

        Returns:
            How many were brought.

        Raises:
            StorageError, UserError: the store cannot be read, or the folder cannot be written.
        """
        listed = self._results()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            jobs = [threads.submit(self.trial(trial).fetch, entry) for trial, entry in listed.items()]
            return sum(job.result() for job in jobs)

    def pull_plan(self, *, merge: bool = False) -> bool:
        """Brings the plan, and with it the splits and what env.json says.

        Args:
            merge: keep the trials that only the plan in the folder has, for the next plan to judge.

        Returns:
            Whether the store has a plan.

        Raises:
            StorageError, UserError: as `pull`.
        """
        stored = _plan(self.storage.read(f"{self.name}/{PLAN}"))
        if stored is None:
            return False
        here = self._local_plan()
        if merge and here is not None:
            more = [trial for trial in here["trials"] if trial not in stored["trials"]]
            accepted = {*stored.get("accepted", ()), *here.get("accepted", ())}
            stored = {**stored, "trials": [*stored["trials"], *more]}
            if accepted:
                stored["accepted"] = sorted(accepted)
            if added := {*stored.get("added", ()), *here.get("added", ())}:
                stored["added"] = sorted(added)
        if stored != here:
            store.write_json(self.run.path / PLAN, stored)
        for entry in self.storage.listed(f"{self.name}/{SPLITS}"):
            self._pull_file(f"{SPLITS}/{PurePosixPath(entry.path).name}", replace=False)
        self._pull_file(ENVIRONMENT, replace=not merge)
        return True

    def push_files(self) -> None:
        """Copies plan, splits and env.json to the store.

        Raises:
            StorageError, UserError: the store cannot be written.
        """
        there = {PurePosixPath(entry.path).name for entry in self.storage.listed(f"{self.name}/{SPLITS}")}
        splits = [p for p in self.run.path.glob(f"{SPLITS}/*") if p.is_file() and p.name not in there]
        for path in (*splits, self.run.path / ENVIRONMENT, self.run.path / PLAN):
            if path.is_file():
                name = path.relative_to(self.run.path).as_posix()
                self.storage.write(f"{self.name}/{name}", path.read_bytes())

    def push_results(self, trials: Iterable[str]) -> int:
        """Copies finished trials to the store that it has not, from runs without it or when it was away.

        Returns:
            How many were copied.

        Raises:
            StorageError, UserError: the store cannot be written.
        """
        listed = self._results()
        return sum(self._push(self.trial(t), listed.get(t)) for t in trials)

    def _push(self, trial: StoredTrial, listed: Entry | None) -> bool:
        try:
            written = (trial.folder.path / store.DONE).stat().st_mtime_ns
        except OSError:
            return False
        if listed is not None and listed.written_ns // 1000 >= written // 1000:
            return False
        if trial.folder.done() is None or trial.is_here():
            return False
        with contextlib.suppress(HeldError), claimed(self.storage, trial.home) as held:
            trial.publish(held, "done")
            return True
        return False  # somebody runs it

    def _results(self) -> dict[str, Entry]:
        """The listed results, by trial id."""
        found = self.storage.listed(f"{self.name}/{RESULTS}")
        names = {PurePosixPath(entry.path).name: entry for entry in found}
        return {name[:-5]: entry for name, entry in names.items() if RESULT.fullmatch(name)}

    def _pull_file(self, name: str, *, replace: bool) -> None:
        path = self.run.path / name
        if path.is_file() and not replace:
            return
        content = self.storage.read(f"{self.name}/{name}")
        if content is not None and not (path.is_file() and path.read_bytes() == content):
            store.write_bytes(path, content)

    def _local_plan(self) -> dict[str, Any] | None:
        try:
            return _plan((self.run.path / PLAN).read_bytes())
        except OSError:
            return None


def _plan(content: bytes | None) -> dict[str, Any] | None:
    """A plan, or None where there is none or it is damaged."""
    try:
        value = json.loads(content or b"")
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("trials"), list) else None
