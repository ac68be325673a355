"""Where a run is, read from its folder alone: plan, records, leases, pulses and logs.

So anybody sees the same from anywhere, while the run works, after it crashed, and when it is done.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import lease, pulse
from bench.forecast import Paces, Past, past_of
from bench.plan import PlannedTrial
from bench.store import ATTEMPT, CHECKPOINTS, DONE, FAILED, METRICS, PLAN, RunFolder, read_json
from datasets.errors import UserError

TAIL_BYTES = 8192
"""The end of a metrics log that surely holds its last line."""


@dataclass(frozen=True)
class Running:
    """A trial that somebody works on.

    Attributes:
        planned: the trial.
        where: host and process, as `node7:1234`.
        step: steps done; None before training.
        steps: its budget.
        seconds: of this attempt, None before training.
        per_step: seconds per step of this attempt, None before its first.
        loss: sum of the loss terms at the last logged step.
        accuracy: share of right pseudo-labels at the last logged step that tells one, in [0, 1].
        wait: share of training spent waiting for batches, in [0, 1].
    """

    planned: PlannedTrial
    where: str
    step: int | None
    steps: int
    seconds: float | None
    per_step: float | None
    loss: float | None
    accuracy: float | None
    wait: float | None


@dataclass(frozen=True)
class Row:
    """An entry on a cell: trials in all, finished, failed, and the mean top-1 of the finished ones."""

    cell: str
    entry: str
    total: int
    done: int
    failed: int
    top1: float | None


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment.

    Attributes:
        total: trials of the plan; `done`, `failed`, `interrupted` (begun and left with a checkpoint) of them.
        running: those somebody works on.
        rows: entries by cell, in the order of the plan.
        left: seconds to the end, as far as finished trials tell; None where they tell nothing.
        driver: host and process of the run that works here, None where none does.
    """

    total: int
    done: int
    failed: int
    interrupted: int
    running: tuple[Running, ...]
    rows: tuple[Row, ...]
    left: float | None
    driver: str | None

    @property
    def waiting(self) -> int:
        """Trials that nobody works on and that have no record."""
        return self.total - self.done - self.failed - len(self.running)


class Watch:
    """Looks at a run again and again; what has ended is read once.

    Args:
        trials: the plan.
        run: its folder.
        at_once: trials at a time, where the watcher knows; otherwise those that run tell.
        anew: trials that are to run again; what they have from before does not count.
    """

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        run: RunFolder,
        at_once: int | None = None,
        anew: Iterable[str] = (),
    ) -> None:
        self._planned = {trial.spec.id: trial for trial in trials}
        self._places = [(trial.cell, trial.entry, trial.spec.id) for trial in trials]
        self._run, self._at_once = run, at_once
        self._ended: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._past: dict[str, Past] = {}
        self._paces = Paces(())
        self._old = {each: _changed(run.trial(each).path) for each in anew}

    def look(self) -> Snapshot:
        """The run as it is now."""
        running: list[Running] = []
        interrupted = 0
        for trial_id, planned in self._planned.items():
            state = self._state(trial_id, planned)
            if isinstance(state, Running):
                running.append(state)
            interrupted += state == "interrupted"
        records = {trial_id: record for trial_id, (_, record) in self._ended.items()}
        done = {t for t, record in records.items() if record["status"] == "done"}
        self._learn(records, done)
        driver = lease.holder_of(self._run.path) if self._run.path.is_dir() else None
        return Snapshot(
            total=len(self._planned),
            done=len(done),
            failed=len(records) - len(done),
            interrupted=interrupted,
            running=tuple(running),
            rows=self._rows(records),
            left=self._left(running, records),
            driver=None if driver is None else f"{driver.host}:{driver.pid}",
        )

    def _state(self, trial_id: str, planned: PlannedTrial) -> Running | str:
        """What a trial is doing; keeps its record when it has ended."""
        folder = self._run.trial(trial_id).path
        changed = _changed(folder)
        if changed is not None and self._ended.get(trial_id, (None,))[0] == changed:
            return "ended"
        self._ended.pop(trial_id, None)
        if changed is None or self._old.get(trial_id) == changed:
            return "missing"
        try:
            names = {path.name for path in folder.iterdir()}
        except OSError:
            return "missing"
        attempts = sorted(name for name in names if name.startswith(ATTEMPT))
        holder = lease.holder_of(folder) if attempts else None
        if holder is not None:
            return _running(planned, folder / attempts[-1], f"{holder.host}:{holder.pid}")
        for name in (DONE, FAILED):
            if name in names and (record := _record(folder / name)) is not None:
                self._ended[trial_id] = changed, record
                return "ended"
        return "interrupted" if any(folder.glob(CHECKPOINTS)) else "missing"

    def _learn(self, records: Mapping[str, Mapping[str, Any]], done: Iterable[str]) -> None:
        new = set(done) - set(self._past)
        for trial_id in new:
            with contextlib.suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
                self._past[trial_id] = past_of(records[trial_id])
        if new:
            self._paces = Paces(self._past.values())

    def _rows(self, records: Mapping[str, Mapping[str, Any]]) -> tuple[Row, ...]:
        members: dict[tuple[str, str], list[str]] = {}
        for cell, entry, trial_id in self._places:
            members.setdefault((cell, entry), []).append(trial_id)
        rows = []
        for (cell, entry), ids in members.items():
            found = [records[trial_id] for trial_id in ids if trial_id in records]
            scores = [float(each["metrics"]["top1"]) for each in found if each["status"] == "done"]
            mean = sum(scores) / len(scores) if scores else None
            rows.append(Row(cell, entry, len(ids), len(scores), len(found) - len(scores), mean))
        return tuple(rows)

    def _left(self, running: Sequence[Running], records: Mapping[str, Mapping[str, Any]]) -> float | None:
        """Seconds to the end: what finished trials say of those that run and wait, shared by the places."""
        open_ids = [trial_id for trial_id in self._planned if trial_id not in records]
        if not open_ids:
            return 0.0
        whole = {t: self._paces.seconds(self._planned[t].spec) for t in open_ids}
        for each in running:
            if whole[each.planned.spec.id] is None and each.per_step is not None:
                whole[each.planned.spec.id] = each.per_step * each.steps
        known = [seconds for seconds in whole.values() if seconds is not None]
        if not known:
            return None
        usual = sum(known) / len(known)
        rest = {t: usual if seconds is None else seconds for t, seconds in whole.items()}
        for each in running:
            rest[each.planned.spec.id] *= 1 - (each.step or 0) / each.steps
        places = max(1, min(len(open_ids), self._at_once or len(running)))
        return max(sum(rest.values()) / places, *rest.values())


def _changed(folder: Path) -> int | None:
    """When something was added to or removed from a folder; None where there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def _running(planned: PlannedTrial, attempt: Path, where: str) -> Running:
    beat = pulse.read_beat(attempt)
    last = last_line(attempt / METRICS)
    losses = [value for name, value in last.items() if name.startswith("loss/")]
    made = 0 if beat is None else beat.step - beat.first
    return Running(
        planned=planned,
        where=where,
        step=None if beat is None else beat.step,
        steps=planned.spec.protocol.steps,
        seconds=None if beat is None else beat.seconds,
        per_step=beat.seconds / made if beat is not None and made else None,
        loss=sum(losses) if losses else None,
        accuracy=last.get("pseudo/accuracy"),
        wait=None if beat is None else beat.wait_share,
    )


def last_line(log: Path) -> dict[str, float]:
    """The numbers of the last whole line of a metrics log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
        found = json.loads(lines[-1])
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, IndexError, TypeError, AttributeError):
        return {}


def _record(path: Path) -> dict[str, Any] | None:
    try:
        record = read_json(path)
        if record["status"] == "done":
            float(record["metrics"]["top1"])
        return record
    except (OSError, ValueError, KeyError, TypeError):
        return None


def planned_trials(run: RunFolder) -> list[PlannedTrial]:
    """The plan of a run folder.

    Raises:
        UserError: when there is none, or it is damaged.
    """
    path = run.path / PLAN
    try:
        return [PlannedTrial.model_validate(each) for each in read_json(path)["trials"]]
    except OSError:
        raise UserError(f"{path}: there is no plan here yet; start one with: python -m bench run") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is no plan; write it anew with the same 'bench run' command.") from None
