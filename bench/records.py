"""What a run folder holds of its plan: one record per planned trial, joined to its predictions by key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bench import index
from bench.metrics import all_metrics
from bench.plan import PlannedTrial
from bench.predictions import CURE, Predictions, Texts, read_predictions
from bench.schema import check_schema
from bench.spec import TrialSpec
from bench.store import DONE, METRICS, PLAN, PREDICTIONS, RunFolder, TrialFolder
from bench.training_log import TrainingLog, read_log
from datasets.audit import AuditFinding
from datasets.errors import UserError

DAMAGED = "its record or predictions are damaged; the same command runs it again"
AGREEMENT = 1e-9
"""Largest gap between the accuracies of `done.json` and of the predictions; both come from one table."""

Status = Literal["done", "diverged", "failed", "missing"]


@dataclass(frozen=True, eq=False)
class ClipList:
    """The scored clips in the order of their keys: `labels` (clips,), `groups` their source videos."""

    clips: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    digest: str

    @property
    def clusters(self) -> tuple[str, ...] | None:
        """The source videos, where any of them has more than one clip; otherwise None."""
        return self.groups if len(set(self.groups)) < len(self.groups) else None


@dataclass(frozen=True, eq=False)
class Record:
    """A planned trial and what became of it.

    Attributes:
        planned: the trial and its place on the board.
        status: "done", "diverged" (an outcome), "failed" (by anything else) or "missing" (not run yet).
        cause: why there is no prediction; empty for a finished trial.
        scored: the clips of its predictions; None without predictions.
        correct: (clips,) in the order of `scored`.
        evaluated: how many of the listed clips could be decoded.
        done: the rest of `done.json`.
        predicted: (clips,) answered class in the order of `scored`, -1 where a clip was not decoded.
        metrics: every metric of `bench.metrics`, from the predictions.
        folder: where the trial keeps its files, the metrics log among them.
    """

    planned: PlannedTrial
    status: Status
    cause: str = ""
    scored: ClipList | None = None
    correct: NDArray[np.bool_] | None = None
    evaluated: int = 0
    done: Mapping[str, Any] = field(default_factory=dict)
    predicted: NDArray[np.int32] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    folder: TrialFolder | None = None

    @cached_property
    def settings(self) -> str:
        """SHA-256 of all that an entry fixes: everything but data set, label budget, split and seed."""
        fixed = self.spec.model_dump(mode="json", exclude={"data", "labels", "split_hash", "seed"})
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()

    @cached_property
    def log(self) -> TrainingLog | None:
        """Its metrics log; None where it is not finished or kept none.

        Raises:
            UserError: for a damaged log.
        """
        path = self.folder.path / METRICS if self.done and self.folder else None
        return read_log(path) if path is not None and path.is_file() else None

    @property
    def classes(self) -> int:
        """Number of classes of the task, as the trial recorded it, or as its predictions show."""
        known = int(self.done.get("classes", 0))
        if known or self.scored is None or self.predicted is None:
            return known
        return int(max(self.scored.labels.max(), self.predicted.max())) + 1

    @property
    def spec(self) -> TrialSpec:
        """Its specification."""
        return self.planned.spec

    @property
    def view_frames(self) -> int | None:
        """Frames of a clip, over all levels, that a view shows; None where the record does not say."""
        cost = self.done.get("step_cost") or {}
        clips, frames = cost.get("clips_forward"), cost.get("frames_forward")
        return round(frames / clips) if clips and frames else None

    @property
    def barred(self) -> str | None:
        """Why this trial may not be on a board, or None."""
        if self.spec.limited:
            return "ran with fewer steps than the suite asks for (--limit-steps)"
        if self.spec.scored_on != "test":
            return "was scored on validation clips"
        return None


@dataclass(frozen=True)
class Run:
    """A run folder as a page sees it.

    `banner`: what the run said of itself.  `absent`: data sets that were not on the machine, with the
    command that adds each.  `classes`: names of the classes of its data sets, as far as the plan has them.
    `audit`: by data set, what boards on it must say of leaks and flaws.  `accepted`: the data sets
    whose leaks somebody has accepted.
    """

    records: tuple[Record, ...]
    banner: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audit: Mapping[str, tuple[AuditFinding, ...]] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()

    def class_names(self, data: str, number: int) -> tuple[str, ...]:
        """`number` names of classes, made up where the plan does not know them."""
        known = self.classes.get(data, ())
        return known if len(known) == number else tuple(f"class {i}" for i in range(number))


def load_run(run: RunFolder, suite: str | None = None) -> Run:
    """Reads the plan of a run folder and everything that its trials left.

    Args:
        run: the folder.
        suite: the name of the suite that the records must be of; None takes any.

    Raises:
        UserError: without a readable plan, or with that of another suite, for a trial that is planned twice
            for one place, or for predictions that are damaged or contradict their record.
    """
    path = run.path / PLAN
    plan = read_plan(path)
    if suite is not None and plan.get("suite", suite) != suite:
        raise UserError(
            f"{path}: is the plan of suite '{plan['suite']}', not of '{suite}'; records of different suites "
            "are never mixed: name that suite with --suite, or another folder with --out."
        )
    check_schema(plan, path)
    trials: list[PlannedTrial] = []
    places: set[tuple[str, str, str, int]] = set()
    for position, item in enumerate(plan["trials"]):
        planned = _planned(item, path, position)
        place = (planned.section, planned.cell, planned.entry, planned.seed)
        if place in places:
            raise UserError(f"{path}: trials.{position} plans '{planned.line}' a second time; plan again.")
        places.add(place)
        trials.append(planned)
    return run_of(read_records(trials, run), plan, str(path))


def run_of(records: tuple[Record, ...], plan: Mapping[str, Any], where: str = PLAN) -> Run:
    """The records with what a plan says beside its trials."""
    banner = plan.get("banner") or ()
    lines = (banner,) if isinstance(banner, str) else tuple(str(line) for line in banner)
    absent, classes, accepted = plan.get("absent"), plan.get("classes"), plan.get("accepted")
    return Run(
        records,
        lines,
        dict(sorted(absent.items())) if isinstance(absent, dict) else {},
        {name: tuple(map(str, c)) for name, c in classes.items()} if isinstance(classes, dict) else {},
        _audit(plan.get("audit"), where),
        frozenset(map(str, accepted)) if isinstance(accepted, list) else frozenset(),
    )


def _audit(stored: Any, where: str) -> dict[str, tuple[AuditFinding, ...]]:
    try:
        return {
            name: tuple(AuditFinding(**{**each, "examples": tuple(each["examples"])}) for each in findings)
            for name, findings in (stored or {}).items()
        }
    except (TypeError, KeyError, AttributeError):
        raise UserError(f"{where}: 'audit' is not understood; {_anew(where)}.") from None


def read_records(trials: Sequence[PlannedTrial], run: RunFolder) -> tuple[Record, ...]:
    """What became of planned trials; a trial with two places on the board is read once.

    Raises:
        UserError: for predictions that are damaged or contradict their record.
    """
    lists = _Lists()
    read: dict[str, Record] = {}
    records = []
    for planned in trials:
        trial = planned.spec.id
        if trial not in read:
            read[trial] = _record(planned, trial, run.trial(trial), lists)
        records.append(replace(read[trial], planned=planned))
    return tuple(records)


def read_plan(path: Path) -> dict[str, Any]:
    """The plan of a run folder.

    Raises:
        UserError: where there is none, or it is not readable.
    """
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no plan, so nothing was run here; start with: python -m bench run, or name "
            "the folder of a run with --out."
        ) from None
    except ValueError as error:
        raise UserError(f"{path}: not readable as JSON ({error}); {_anew(path)}.") from error
    if not isinstance(plan, dict) or not isinstance(plan.get("trials"), list):
        raise UserError(f"{path}: has no list 'trials'; {_anew(path)}.")
    return plan


def _planned(item: Any, where: Path, position: int) -> PlannedTrial:
    try:
        return PlannedTrial.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: trials.{position}.{name}: {first['msg']}; {_anew(where)}.") from error


def _anew(plan: str | Path) -> str:
    """How a plan is written once more; its folder has the name of the suite."""
    return f"write it anew with: python -m bench run --suite {Path(plan).parent.name} (or the suite's file)"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _record(planned: PlannedTrial, trial: str, folder: TrialFolder, lists: _Lists) -> Record:
    answers = _content(folder.path / PREDICTIONS)
    done = folder.done(answers) if answers is not None else None
    if done is None:
        failed = folder.failed()
        if failed is None and (folder.path / DONE).is_file():
            index.distrust(folder)
            return Record(planned, "missing", DAMAGED, folder=folder)
        if failed is None:
            return Record(planned, "missing", "not run yet", folder=folder)
        kind = str(failed.get("kind", "failed"))
        message = " ".join(str(failed.get("message", "")).split())
        cause = f"{kind}: {message}" if message else kind
        return Record(planned, "diverged" if kind == "diverged" else "failed", cause, folder=folder)
    if done.get("id", trial) != trial:
        raise UserError(
            f"{folder.path / DONE}: is the record of trial {done['id']}, but lies in the folder of "
            f"{trial}; records of different trials are never mixed: delete the folder and run the "
            "same command again."
        )
    found = read_predictions(folder.path / PREDICTIONS, lists.texts, answers)
    scored, order = lists.of(found)
    correct = found.correct[order]
    stated = done.get("metrics", {}).get("top1")
    if stated is None or abs(stated - correct.mean()) > AGREEMENT:
        raise UserError(
            f"{folder.path / DONE}: says top1 {stated}, its predictions say {correct.mean():.6f}; "
            "delete the trial's folder and run the same command again."
        )
    highest = int(max(found.label.max(), found.predicted.max()))
    if highest >= int(done.get("classes", highest + 1)):
        raise UserError(
            f"{folder.path / PREDICTIONS}: class {highest} occurs, but {DONE} says that the task has "
            f"{done['classes']} classes; {CURE}."
        )
    record = Record(
        planned,
        "done",
        scored=scored,
        correct=correct,
        evaluated=int(found.decoded.sum()),
        done=done,
        predicted=found.predicted[order].astype(np.int32),
        folder=folder,
    )
    return replace(record, metrics=all_metrics(found, record.classes))


@dataclass
class _Lists:
    """The clip lists of the trials read so far; equal lists are one object."""

    texts: Texts = field(default_factory=Texts)
    _by_file: dict[_Rows, tuple[ClipList, NDArray[np.intp]]] = field(default_factory=dict)
    _by_digest: dict[str, ClipList] = field(default_factory=dict)

    def of(self, found: Predictions) -> tuple[ClipList, NDArray[np.intp]]:
        """The clip list of a table and the order that sorts its rows by key."""
        rows = (found.clips, found.groups, found.label.tobytes())
        if rows not in self._by_file:
            order = np.array(sorted(range(len(found.clips)), key=found.clips.__getitem__), dtype=np.intp)
            keys, videos = (tuple(texts[i] for i in order) for texts in (found.clips, found.groups))
            digest = _digest(keys, videos, found.label[order])
            made = ClipList(keys, found.label[order], videos, digest)
            self._by_file[rows] = (self._by_digest.setdefault(digest, made), order)
        return self._by_file[rows]


_Rows = tuple[tuple[str, ...], tuple[str, ...], bytes]
"""Clips, source videos and labels in the order of a file."""


def _digest(clips: Sequence[str], groups: Sequence[str], labels: NDArray[np.int64]) -> str:
    parts = ("\0".join(clips), "\0".join(groups))
    found = hashlib.sha256("\1".join(parts).encode())
    found.update(labels.tobytes())
    return found.hexdigest()
