"""What a run does of a suite on this machine, and why not the rest."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bench import index, plugins, readers
from bench.failures import DIVERGED, INFRASTRUCTURE
from bench.plan import Choice, PlannedTrial, default_device, plan_section, presence, unmet, without_bound
from bench.store import RunFolder, TrialFolder
from bench.suite import Entry, LoadedSuite, Section
from bench.trial_code import trial_code_hash
from datasets.errors import UserError, unknown_name

State = Literal["done", "stale", "failed", "diverged", "missing"]
"""`stale`: done, by other code than today's.  `failed`: not to be tried again without being asked.
`diverged`: an outcome, scored at chance, that is not tried again while its code is the same."""


@dataclass(frozen=True)
class Held:
    """A section that waits for `--yes`: its trials, and the days they are estimated to take, if known."""

    name: str
    title: str
    trials: tuple[PlannedTrial, ...]
    days: float | None


@dataclass(frozen=True)
class Agenda:
    """Trials to run, what to tell about them, sections that wait, and data sets that are missing.

    `present` are the real data sets that are here, or those that were asked for; `absent` maps one that is
    not here to the command that adds it.  `unbound` are data sets whose bound is left out, since not all of
    their labels are known.  `unmet` maps a chosen entry to the cells for which the suite names other rows.
    """

    trials: tuple[PlannedTrial, ...]
    banner: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()
    absent: Mapping[str, str] = dataclasses.field(default_factory=dict)
    present: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()
    unmet: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def make_agenda(
    loaded: LoadedSuite, choice: Choice, *, device: str | None = None, yes: bool = False
) -> Agenda:
    """Applies the choice and the machine to a suite.

    A section of real data sets runs where they are present; one that needs a GPU waits on a machine
    without for `yes`.  An embedded section runs where nothing else can (no real set, or no GPU), with
    `--full`, and when its data or it alone (`--embedded`) are asked for.

    Raises:
        UserError: for unknown names, or data that were asked for and are absent.
    """
    device = device or default_device()
    sections = loaded.suite.sections
    _check_methods(loaded, choice)
    _check_data(loaded, choice)
    real = {name for name, section in sections.items() if not section.embedded}
    here = any(any(presence(sections[name]).values()) for name in real)
    asked = choice.full or choice.embedded or choice.data is not None
    everywhere = not here or device != "cuda" or asked
    trials: list[PlannedTrial] = []
    held: list[Held] = []
    unbound: dict[str, None] = {}
    missed: dict[str, tuple[str, ...]] = {}
    embedded = False
    for name, section in sections.items():
        if not everywhere if section.embedded else choice.embedded:
            continue
        if not _wanted(section, choice):
            continue
        within = _within(section, choice)
        planned = plan_section(loaded, name, within, device)
        unbound |= dict.fromkeys(without_bound(loaded, name, within))
        for label, cells in unmet(loaded, name, within).items():
            missed[label] = (*missed.get(label, ()), *cells)
        if planned and section.needs_gpu and device != "cuda" and not yes:
            held.append(_held(name, section, planned))
            continue
        embedded = embedded or (section.embedded and bool(planned) and choice.data is None)
        trials += planned
    banner = _banner(here, device) if embedded and real and not choice.embedded else ()
    silent = choice.data or choice.embedded
    return Agenda(
        tuple(trials),
        banner,
        tuple(held),
        {} if silent else _absent(loaded),
        _asked(loaded, (*trials, *(t for each in held for t in each.trials))) if silent else _present(loaded),
        tuple(unbound),
        missed,
    )


def extended(loaded: LoadedSuite, methods: Iterable[str]) -> LoadedSuite:
    """The suite with an entry, in every section, for each registered method that it does not list.

    So `--methods NAME` runs anybody's method under the suite's protocol, with its own defaults.
    """
    entries = [entry for section in loaded.suite.sections.values() for entry in section.entries]
    known = {entry.label for entry in entries} | {entry.method for entry in entries}
    new = [name for name in methods if name not in known and name in plugins.methods().names()]
    if not new:
        return loaded
    own = tuple(Entry(label=name, method=name) for name in new)
    sections = {
        name: section.model_copy(update={"entries": (*section.entries, *own)})
        for name, section in loaded.suite.sections.items()
    }
    suite = loaded.suite.model_copy(update={"sections": sections})
    return loaded.model_copy(update={"suite": suite, "added": (*loaded.added, *new)})


def survey(trials: Sequence[PlannedTrial], run: RunFolder) -> dict[str, State]:
    """The state of every trial, by trial id."""
    code: dict[tuple[str, str, int], str] = {}
    states: dict[str, State] = {}
    done = index.finished(run, (trial.spec.id for trial in trials))
    for trial in trials:
        spec = trial.spec
        looks = spec.protocol.evaluation.views * spec.protocol.evaluation.crops
        parts = (spec.method, spec.backbone.name, looks)
        if parts not in code:
            code[parts] = trial_code_hash(spec)
        states[spec.id] = _state(run.trial(spec.id), done.get(spec.id), code[parts])
    return states


def _state(folder: TrialFolder, done: Mapping[str, Any] | None, code: str) -> State:
    if done is not None:
        return "done" if done.get("code_hash") == code else "stale"
    failed = folder.failed()
    if failed is None or failed.get("kind") in INFRASTRUCTURE or failed.get("code_hash") != code:
        return "missing"
    return "diverged" if failed.get("kind") == DIVERGED else "failed"


def counts(states: Iterable[State]) -> list[str]:
    """How many trials are in each state; of diverged ones only where there are any."""
    found = Counter(states)
    return [f"{found[name]} {name}" for name in get_args(State) if name != "diverged" or found[name]]


def _check_methods(loaded: LoadedSuite, choice: Choice) -> None:
    entries = [entry for section in loaded.suite.sections.values() for entry in section.entries]
    known = {entry.label for entry in entries} | {entry.method for entry in entries}
    for name in choice.methods or ():
        if name not in known:
            raise unknown_name("entry or method", name, {*known, *plugins.methods().names()}, "--methods")


def _check_data(loaded: LoadedSuite, choice: Choice) -> None:
    embedded = any(section.embedded for section in loaded.suite.sections.values())
    named = {task.data for section in loaded.suite.sections.values() for task in section.tasks}
    for name in choice.data or ():
        if name not in plugins.dataset_names():
            if name in named:
                raise UserError(f"--data: '{name}' is not on this machine; add it with: {how_to_add(name)}")
            raise unknown_name("data set", name, {*plugins.dataset_names(), *named}, "--data")
        if not plugins.dataset(name).present():
            raise UserError(f"--data: '{name}' is not on this machine; add it with: {how_to_add(name)}")
        if name not in named and not embedded:
            raise UserError(
                f"--data: suite '{loaded.suite.name}' does not name '{name}' and has no embedded section "
                "whose recipe could be run on it."
            )


def _wanted(section: Section, choice: Choice) -> bool:
    """Whether the section has any of the chosen methods."""
    return choice.methods is None or bool(_known_methods(section, choice.methods))


def _within(section: Section, choice: Choice) -> Choice:
    """The choice without the methods that only other sections have."""
    if choice.methods is None:
        return choice
    return dataclasses.replace(choice, methods=_known_methods(section, choice.methods))


def _known_methods(section: Section, methods: Sequence[str]) -> list[str]:
    names = {entry.label for entry in section.entries} | {entry.method for entry in section.entries}
    return [name for name in methods if name in names]


def _held(name: str, section: Section, planned: Sequence[PlannedTrial]) -> Held:
    steps = {trial.spec.id: trial.spec.protocol.steps for trial in planned}
    unknown = section.hours_per_trial is None or any(trial.spec.limited for trial in planned)
    # The hours are those of a trial of the section's own number of steps; its tasks may have others.
    days = (section.hours_per_trial or 0) * sum(steps.values()) / section.protocol.steps / 24
    return Held(name, section.title, tuple(planned), None if unknown else days)


def _banner(here: bool, device: str) -> tuple[str, ...]:
    reason = "no real data set is on this machine" if not here else "this machine has no GPU"
    return (
        f"The embedded section runs because {reason}: its videos are rendered, so its numbers compare "
        "methods on a small task and say nothing about real videos.",
    )


def _absent(loaded: LoadedSuite) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in loaded.suite.sections.values():
        needed = {task.data for task in section.tasks if not task.optional}
        here = presence(section)
        found.update({name: how_to_add(name) for name in here if name in needed and not here[name]})
    return found


def _present(loaded: LoadedSuite) -> tuple[str, ...]:
    real = [section for section in loaded.suite.sections.values() if not section.embedded]
    return tuple(dict.fromkeys(name for each in real for name, here in presence(each).items() if here))


def _asked(loaded: LoadedSuite, trials: Iterable[PlannedTrial]) -> tuple[str, ...]:
    """The data sets of trials without the rendered ones, which embedded sections name."""
    sections = loaded.suite.sections.values()
    rendered = {task.data for section in sections if section.embedded for task in section.tasks}
    return tuple(dict.fromkeys(t.spec.data for t in trials if t.spec.data not in rendered))


def how_to_add(name: str) -> str:
    """The command that brings a data set to this machine."""
    if name in plugins.dataset_names():
        return plugins.dataset(name).how_to_add()
    if name in readers.formats():
        return f"python -m bench data add {name} --videos DIR --annotations DIR"
    return f"python -m bench data add {name} --train LIST --test LIST --root DIR"
