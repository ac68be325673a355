"""The plan of a run folder: what a run writes of it, and what it takes from the one before."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench import index, leaks, plugins
from bench.agenda import Agenda, extended
from bench.failures import INFRASTRUCTURE
from bench.plan import PlannedTrial, limited, trial_spec
from bench.schema import check_schema
from bench.spec import TrialSpec
from bench.store import PLAN, RunFolder, read_json, write_json
from bench.suite import LoadedSuite
from datasets.errors import UserError


def refuse_other_schema(run: RunFolder) -> None:
    """Nothing where there is no plan yet.

    Raises:
        UserError: for a run folder of another schema, with the command that goes on elsewhere.
    """
    with contextlib.suppress(OSError, ValueError):
        check_schema(read_json(run.path / PLAN), run.path / PLAN)


def with_earlier_methods(loaded: LoadedSuite, run: RunFolder) -> LoadedSuite:
    """The suite with the methods, beside its own, that `--methods` once asked for in this folder.

    For who looks at what is there; what is to be done of them is for `--methods` to say again.
    """
    last = _last(run)
    if last.added is not None:
        return extended(loaded, last.added)
    # A plan from before this was kept: entries of a suite are seldom called as their method, but may be.
    return extended(loaded, dict.fromkeys(t.spec.method for t in last.trials if t.entry == t.spec.method))


def write_plan(loaded: LoadedSuite, agenda: Agenda, run: RunFolder, accepted: Collection[str] = ()) -> None:
    """Writes plan.json: this plan, and what earlier runs of the same suite have done beside it.

    `accepted` are the data sets whose leaks the user accepts; what was accepted before stays so.  Says
    how many finished trials leave the board because the suite plans them no more.
    """
    trials = [*agenda.trials, *earlier(loaded, agenda.trials, run)]
    if left := _left(loaded, agenda.trials, run, {trial.spec.id for trial in trials}):
        print(
            f"suite '{loaded.suite.name}' has changed since its last run here: {left} finished trials are "
            f"no longer of it and leave the board; their records stay in {run.path / 'trials'}"
        )
    plan = {
        "suite": loaded.suite.name,
        "banner": list(agenda.banner),
        "added": sorted(set(loaded.added) & {trial.entry for trial in trials}),
        "absent": dict(agenda.absent),
        "classes": class_names(trials),
        "trials": [trial.model_dump(mode="json") for trial in trials],
        **consent((trial.spec.data for trial in trials), {*accepted, *_last(run).accepted}),
    }
    if found := audits(trials):
        plan["audit"] = found
    with contextlib.suppress(OSError, ValueError):
        if read_json(run.path / PLAN) == plan:  # its time tells whether the report is up to date
            return
    write_json(run.path / PLAN, plan)


def changed(loaded: LoadedSuite, run: RunFolder) -> str:
    """A sentence where the plan here has finished trials that the suite plans otherwise by now; else empty.

    Silent on what the suite's file does not decide: data that are not here, `--init`, `--decoder`, searches.
    """
    trials = [trial for trial in last_plan(run) if _replanned(loaded, trial)]
    if not (left := len(index.finished(run, (trial.spec.id for trial in trials)))):
        return ""
    return (
        f"suite '{loaded.suite.name}' has changed since its last run here: {left} finished trials shown are "
        "no longer of it; they leave the board with its next run"
    )


def _replanned(loaded: LoadedSuite, trial: PlannedTrial) -> bool:
    spec = trial.spec
    if spec.limited or spec.scored_on != "test" or spec.data not in plugins.dataset_names():
        return False
    try:
        again = _again(loaded, trial)
    except (UserError, OSError):  # its lists are not here
        return False
    if again is None:
        return True
    net = again.backbone.model_copy(update={"weights": spec.backbone.weights})
    protocol = again.protocol.model_copy(update={"decoder": spec.protocol.decoder})
    ours = {"backbone": net, "protocol": protocol, "split_hash": spec.split_hash}
    planned = again.model_copy(update=ours)
    return planned.model_dump(mode="json") != spec.model_dump(mode="json")  # a file has lists for tuples


def _left(loaded: LoadedSuite, planned: Sequence[PlannedTrial], run: RunFolder, kept: Collection[str]) -> int:
    """How many finished trials of the plan here, beside those kept, the suite plans no more."""
    others = [trial for trial in last_plan(run) if trial.spec.id not in kept]
    return len(_with_outcome(run, [trial for trial in others if not _still(loaded, trial, planned)]))


def consent(data: Iterable[str], accepted: Collection[str]) -> dict[str, list[str]]:
    """The field of a plan with those of its data sets whose leaks somebody has accepted, if any."""
    names = sorted(set(data) & set(accepted))
    return {"accepted": names} if names else {}


def class_names(trials: Sequence[PlannedTrial]) -> dict[str, list[str]]:
    """The names of the classes of all data sets, so that a report needs no data."""
    return {
        name: list(plugins.dataset(name).table().classes) for name in sorted({t.spec.data for t in trials})
    }


def audits(trials: Sequence[PlannedTrial]) -> dict[str, list[dict[str, Any]]]:
    """What is wrong with the data sets of these trials, for the footnotes of their boards."""
    names = sorted({trial.spec.data for trial in trials})
    found = {name: [asdict(each) for each in leaks.footnotes(name)] for name in names}
    return {name: findings for name, findings in found.items() if findings}


def earlier(loaded: LoadedSuite, planned: Sequence[PlannedTrial], run: RunFolder) -> list[PlannedTrial]:
    """Trials with an outcome of the last plan that this one leaves out and the suite would still plan alike.

    So `--seeds 0-4` and then `--seeds 5-9` make a board of ten seeds.  Data that the suite does not name stay
    on the page only while a run asks for such data, so that the suite's own report is again its own.
    """
    last = last_plan(run)
    dropped = set() if beside(loaded, planned) else beside(loaded, last)
    places = {(trial.section, trial.cell, trial.entry, trial.seed) for trial in planned}
    rest = [
        trial
        for trial in last
        if trial.spec.data not in dropped
        and (trial.section, trial.cell, trial.entry, trial.seed) not in places
    ]
    return [trial for trial in _with_outcome(run, rest) if _still(loaded, trial, planned)]


def _with_outcome(run: RunFolder, trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    """The trials that are done or failed by themselves; a board without these would praise their method."""
    done = index.finished(run, (trial.spec.id for trial in trials))
    return [trial for trial in trials if trial.spec.id in done or _failed_itself(run, trial)]


def _failed_itself(run: RunFolder, trial: PlannedTrial) -> bool:
    failed = run.trial(trial.spec.id).failed()
    return failed is not None and failed.get("kind") not in INFRASTRUCTURE


def last_plan(run: RunFolder) -> tuple[PlannedTrial, ...]:
    """The trials of the plan that is there; none where there is no readable one."""
    return _last(run).trials


@dataclass(frozen=True)
class _Last:
    """What the plan that is there says; `added` is None in a plan from before it was kept."""

    trials: tuple[PlannedTrial, ...] = ()
    accepted: tuple[str, ...] = ()
    added: tuple[str, ...] | None = None


def _last(run: RunFolder) -> _Last:
    path = run.path / PLAN
    try:
        found = path.stat()
        return _plan_of(path, (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    except (OSError, ValueError, KeyError, TypeError):
        return _Last()


@lru_cache(maxsize=1)
def _plan_of(path: Path, marks: tuple[int, ...]) -> _Last:
    """The plan in a file; one run asks for it several times, and a large one takes seconds."""
    content = read_json(path)
    trials = tuple(PlannedTrial.model_validate(item) for item in content["trials"])
    added = content.get("added")
    return _Last(
        trials,
        tuple(str(name) for name in content.get("accepted", ())),
        None if added is None else tuple(str(name) for name in added),
    )


def _still(loaded: LoadedSuite, trial: PlannedTrial, planned: Sequence[PlannedTrial]) -> bool:
    """Whether the suite, under the options that `planned` was planned with, would plan this trial alike."""
    if trial.spec.data not in plugins.dataset_names():
        return False
    try:
        again = _again(loaded, trial)
    except (UserError, OSError):  # its lists have vanished, or the method no longer takes these settings
        return False
    like = next((each.spec for each in planned if each.section == trial.section), None)
    if again is not None and like is not None:
        protocol = again.protocol.model_copy(update={"decoder": like.protocol.decoder})
        again = again.model_copy(update={"protocol": protocol})
        again = limited(again, like.protocol.steps) if like.limited else again
    return again == trial.spec


def _again(loaded: LoadedSuite, trial: PlannedTrial) -> TrialSpec | None:
    """The specification that the suite gives this trial now; None where it has no such entry."""
    section = loaded.suite.sections.get(trial.section)
    entry = next((e for e in section.entries if e.label == trial.entry), None) if section else None
    if section is None or entry is None:
        return None
    data, labels = trial.cell.split("@")
    return trial_spec(
        section,
        entry,
        loaded.tuned_entry(trial.section, entry.label),
        data,
        labels,
        trial.seed,
        trial.spec.device,
        allow_empty_classes=trial.spec.allow_empty_classes,
    )


def beside(loaded: LoadedSuite, trials: Sequence[PlannedTrial]) -> set[str]:
    """The data sets of trials that the suite does not name."""
    named = {task.data for section in loaded.suite.sections.values() for task in section.tasks}
    return {trial.spec.data for trial in trials} - named
