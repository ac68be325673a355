"""What is known of the finished trials of a run folder, in one file, so that a scan need not read them all.

    RUNS/<suite>/.index.json      trial id -> marks of its done.json and predictions, and facts of its record

`done.json` stays the truth and the index is derived from it: whoever deletes it loses nothing but a second
look.  A trial is taken from the index while the marks (size and times) of both files are those of when they
were read in full and fitted their checksums; anything else, a copied folder included, is read again.  A file
that changed just before it was read is not noted, since another change within one tick of the file system's
clock would leave the same marks.  Who uses predictions (a report, `reproduce`) checks their bytes.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.store import DONE, PREDICTIONS, RunFolder, TrialFolder, write_bytes
from datasets.errors import UserError

NAME = ".index.json"
FORMAT = 2
"""Rises whenever the facts are others."""
SETTLED_SECONDS = 2.0
"""Coarsest step of the times of common file systems."""
WHOLE: Mapping[str, Any] = {}
FACTS: Mapping[str, Any] = {
    **dict.fromkeys(("code_hash", "status", "train_seconds", "prepare_seconds", "evaluate_seconds"), WHOLE),
    "environment": {"processor": WHOLE},
    "spec": {
        **dict.fromkeys(("method", "data", "device"), WHOLE),
        "backbone": {"name": WHOLE},
        "protocol": {"steps": WHOLE},
    },
}
"""The parts of a record that a plan and a forecast ask for."""

Marks = tuple[int, ...]


class Index:
    """The finished trials of a run folder.

    Args:
        run: the folder; it need not exist.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._entries = _read(run)
        self._changed = False

    def known(self, trial_id: str) -> Mapping[str, Any] | None:
        """What is noted of a finished trial (`facts`), None where nothing is; reads nothing of its files."""
        return self._noted(trial_id, _marks(self._run.trial(trial_id)))

    def done(self, trial_id: str) -> Mapping[str, Any] | None:
        """What is noted of a trial (`facts`), if it is finished and whole; otherwise None."""
        folder = self._run.trial(trial_id)
        marks = _marks(folder)
        noted = self._noted(trial_id, marks)
        if noted is not None:
            return noted
        known = self._entries.get(trial_id)
        record = folder.done() if marks is not None else None
        if known is not None:
            del self._entries[trial_id]
            self._changed = True
        if record is None or marks is None:
            return None
        found = {**facts(record), "bytes": held_bytes(folder.path)}
        if marks == _marks(folder) and _settled(marks):
            self._entries[trial_id] = {"marks": list(marks), "facts": found}
            self._changed = True
        return found

    def _noted(self, trial_id: str, marks: Marks | None) -> Mapping[str, Any] | None:
        known = self._entries.get(trial_id)
        if known is None or marks is None or known["marks"] != list(marks):
            return None
        noted: Mapping[str, Any] = known["facts"]
        return noted

    def save(self) -> None:
        """Keeps what was found, where the folder can be written; without it the next look takes longer."""
        if self._changed and self._run.path.is_dir():
            content = json.dumps({"format": FORMAT, "trials": self._entries}, separators=(",", ":"))
            with contextlib.suppress(OSError, UserError):
                write_bytes(self._run.path / NAME, content.encode())
                self._changed = False


def finished(run: RunFolder, trials: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The facts of those of these trials that are finished, by id; the index is kept."""
    index = Index(run)
    found = {trial_id: index.done(trial_id) for trial_id in dict.fromkeys(trials)}
    index.save()
    return {trial_id: known for trial_id, known in found.items() if known is not None}


def distrust(folder: TrialFolder) -> None:
    """Deletes the index of the run of a trial that turned out damaged under the same marks."""
    with contextlib.suppress(OSError):
        (folder.path.parent.parent / NAME).unlink(missing_ok=True)


def facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan and a forecast ask of a record, as far as it says so."""
    return _cut(record, FACTS)


def _cut(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _cut(record[name], parts) if parts and isinstance(record[name], Mapping) else record[name]
        for name, parts in wanted.items()
        if name in record
    }


def held_bytes(folder: Path) -> int:
    """Size of the files of a trial."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _read(run: RunFolder) -> dict[str, Any]:
    try:
        found = json.loads((run.path / NAME).read_text(encoding="utf-8"))
        trials = found["trials"] if found["format"] == FORMAT else {}
        return {
            str(name): each
            for name, each in trials.items()
            if isinstance(each["marks"], list) and isinstance(each["facts"], dict)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _marks(folder: TrialFolder) -> Marks | None:
    """Size and times of the record and the predictions; None where one is missing."""
    try:
        found = [(folder.path / name).stat() for name in (DONE, PREDICTIONS)]
    except OSError:
        return None
    return tuple(value for each in found for value in (each.st_size, each.st_mtime_ns, each.st_ctime_ns))


def _settled(marks: Marks) -> bool:
    latest = max(marks[1], marks[2], marks[4], marks[5])
    return latest < time.time_ns() - SETTLED_SECONDS * 1e9
