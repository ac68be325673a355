"""From a suite to trial specifications."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from bench import plugins
from bench.entry_checks import check_entries
from bench.printable import printable
from bench.spec import Frozen, Labels, Protocol, TrialSpec
from bench.suite import Entry, LoadedSuite, Role, Section, TunedEntry, parse_seeds
from datasets.decoders import DECODERS
from datasets.errors import UserError, unknown_name
from datasets.splits import make_split, nameless, small_classes
from datasets.types import ClipTable
from methods.config import build

OWN_LABELS = 4
"""Labels per class of a data set that no suite names."""


class PlannedTrial(Frozen):
    """A trial and the place of its result on the board."""

    section: str
    entry: str
    role: Role
    cell: str
    seed: int
    spec: TrialSpec

    @property
    def line(self) -> str:
        """Short name for people, as `synthgym@4 sefar seed=1`."""
        return printable(f"{self.cell} {self.entry} seed={self.seed}")


@dataclass(frozen=True)
class Choice:
    """What of a suite to run; None means all (or, without `full`, the section's quick part).

    `methods`: labels of entries, each of which selects that entry, or names of methods, which select all
    their entries but a bound; the baseline comes along.
    `data`: data sets; a registered set that the suite does not name runs the embedded section's recipe.
    `limit_steps` cuts every budget and bars the trials from leaderboards.
    `allow_empty_classes`: where classes have fewer clips than labels asked for, they are taken as they are.
    `embedded`: rendered data alone, whatever else is on this machine.
    `decoder`: who is asked first for the frames of clips, whatever the suite says.
    """

    methods: Sequence[str] | None = None
    data: Sequence[str] | None = None
    seeds: tuple[int, ...] | None = None
    full: bool = False
    limit_steps: int | None = None
    allow_empty_classes: bool = False
    embedded: bool = False
    decoder: str | None = None


@cache
def split_hash(data: str, labels: Labels, seed: int, allow_empty_classes: bool = False) -> str:
    """Hash of the split of a cell and seed."""
    return make_split(_table(data), labels, seed, allow_empty_classes).hash


@cache
def _table(data: str) -> ClipTable:
    """The clips of a data set, read once for all trials of a plan."""
    return plugins.dataset(data).table()


def read_anew() -> None:
    """Reads data sets and draws splits anew from here on, as in the next process."""
    split_hash.cache_clear()
    _table.cache_clear()


def presence(section: Section) -> dict[str, bool]:
    """For each data set of a section, whether it is on this machine."""
    known = plugins.dataset_names()
    names = dict.fromkeys(task.data for task in section.tasks)
    return {name: name in known and plugins.dataset(name).present() for name in names}


def plan_section(
    loaded: LoadedSuite, name: str, choice: Choice, device: str | None = None
) -> list[PlannedTrial]:
    """All trials of a section for the data sets that are present, in the order of the file.

    A bound needs all labels, so it is left out of the data sets that `without_bound` names.

    Raises:
        UserError: for an entry, method or data set that does not exist, or a config out of range.
    """
    section = loaded.suite.sections[name]
    check_entries(section, name, loaded.path)
    quick = section.quick if not choice.full else None
    seeds = choice.seeds or parse_seeds(quick.seeds if quick else section.seeds)
    trials: list[PlannedTrial] = []
    for data, labels, entries in _meetings(loaded, name, choice):
        for entry in entries:
            if entry.role == "bound" and not labels_known(data):
                continue
            specs = trial_specs(
                section,
                entry,
                loaded.tuned_entry(name, entry.label),
                data,
                labels,
                seeds,
                device,
                allow_empty_classes=choice.allow_empty_classes,
            )
            if choice.decoder:
                specs = [decoded_by(spec, choice.decoder) for spec in specs]
            if choice.limit_steps:
                specs = [limited(spec, choice.limit_steps) for spec in specs]
            place = {"section": name, "entry": entry.label, "role": entry.role, "cell": f"{data}@{labels}"}
            trials += [PlannedTrial(**place, seed=spec.seed, spec=spec) for spec in specs]
    return trials


def without_bound(loaded: LoadedSuite, name: str, choice: Choice) -> tuple[str, ...]:
    """The chosen data sets of a section that have a bound but unlabeled clips whose labels nobody knows."""
    met = _meetings(loaded, name, choice)
    wanted = dict.fromkeys(data for data, _, entries in met if any(each.role == "bound" for each in entries))
    return tuple(data for data in wanted if not labels_known(data))


def labels_known(data: str) -> bool:
    """Whether the label of every clip of a data set is known, those of its unlabeled list included."""
    return not nameless(_table(data))


def trial_spec(
    section: Section,
    entry: Entry,
    tuned: TunedEntry,
    data: str,
    labels: str,
    seed: int,
    device: str | None = None,
    scored_on: str = "test",
    allow_empty_classes: bool = False,
) -> TrialSpec:
    """The specification of one entry on one cell with one seed.

    Raises:
        UserError: as `trial_specs`.
    """
    (made,) = trial_specs(
        section,
        entry,
        tuned,
        data,
        labels,
        (seed,),
        device,
        scored_on,
        allow_empty_classes=allow_empty_classes,
    )
    return made


def trial_specs(
    section: Section,
    entry: Entry,
    tuned: TunedEntry,
    data: str,
    labels: str,
    seeds: Iterable[int],
    device: str | None = None,
    scored_on: str = "test",
    allow_empty_classes: bool = False,
) -> list[TrialSpec]:
    """The specifications of one entry on one cell, one per seed; they share their parts.

    Settings come from, each overriding the one before: the method's defaults, the section's `shared`, the
    entry, the tuned file.  `allow_empty_classes` becomes part of a trial only where it makes a difference.

    Raises:
        UserError: for settings that the method does not have, or a split that cannot be drawn.
    """
    cls = plugins.method_class(entry.method)
    values = {**section.shared, **entry.config, **tuned.config}
    config = build(cls.Config, values, f"entry '{entry.label}' (method '{entry.method}')")
    budget = "all" if entry.role == "bound" else labels
    allowed = allow_empty_classes and bool(small_classes(_table(data), budget))
    shared: dict[str, Any] = {
        "method": entry.method,
        "config": dataclasses.asdict(config),
        "data": data,
        "labels": budget,
        "backbone": entry.backbone or section.backbone,
        "protocol": _protocol(section.protocol, entry, tuned, section.steps(data, labels)),
        "device": "cuda" if (device or default_device()) == "cuda" else "cpu",
        "scored_on": "validation" if scored_on == "validation" else "test",
        "allow_empty_classes": allowed,
    }
    return [
        TrialSpec(**shared, split_hash=split_hash(data, budget, seed, allowed), seed=seed) for seed in seeds
    ]


def default_device() -> str:
    """The GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _protocol(protocol: Protocol, entry: Entry, tuned: TunedEntry, steps: int) -> Protocol:
    changes: dict[str, object] = {"steps": steps}
    if entry.labeled_batch:
        sizes = {"labeled": entry.labeled_batch, "warmup": entry.labeled_batch}
        changes["batch"] = protocol.batch.model_copy(update=sizes)
    if entry.labeled_augmentation:
        policies = dict(protocol.augmentations)
        policies["labeled"] = policies[entry.labeled_augmentation]
        changes["augmentations"] = policies
    if tuned.optimizer:
        changes["optimizer"] = protocol.optimizer.model_copy(
            update={str(name): value for name, value in tuned.optimizer.items()}
        )
    return protocol.model_copy(update=changes)


def decoded_by(spec: TrialSpec, decoder: str) -> TrialSpec:
    """The trial with another decoder asked first.

    Raises:
        UserError: there is none of this name, or it does not work on this machine.
    """
    if decoder not in DECODERS:
        raise unknown_name("decoder", decoder, DECODERS, "--decoder")
    if lack := DECODERS[decoder].missing():
        raise UserError(f"--decoder {decoder}: {lack}.")
    return spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"decoder": decoder})})


def limited(spec: TrialSpec, steps: int) -> TrialSpec:
    """The trial with a smaller budget, which bars it from leaderboards."""
    protocol = spec.protocol.model_copy(update={"steps": min(steps, spec.protocol.steps)})
    return spec.model_copy(update={"protocol": protocol, "limited": True})


def _meetings(loaded: LoadedSuite, name: str, choice: Choice) -> list[tuple[str, str, list[Entry]]]:
    """The chosen cells (data, labels) of a section with the chosen entries that meet there."""
    section = loaded.suite.sections[name]
    quick = section.quick if not choice.full else None
    entries = _chosen_entries(section, choice, quick.entries if quick else ())
    cells = _chosen_cells(section, choice, quick.cells if quick and not choice.data else ())
    cells += [(data, own_labels(data)) for data in _own_data(loaded, name, choice)]
    met = [(data, labels, [e for e in entries if section.meets(e, data, labels)]) for data, labels in cells]
    if choice.methods is None:
        return met
    # A baseline that came along is not what was asked for.
    asked = named_entries(section.entries, choice.methods)
    return [(data, labels, found) for data, labels, found in met if any(e in asked for e in found)]


def unmet(loaded: LoadedSuite, name: str, choice: Choice) -> dict[str, list[str]]:
    """Entries that `--methods` asks for, with the chosen cells for which the section names other rows."""
    section = loaded.suite.sections[name]
    if choice.methods is None:
        return {}
    quick = section.quick if not choice.full else None
    cells = _chosen_cells(section, choice, quick.cells if quick and not choice.data else ())
    found = {
        entry.label: [f"{data}@{labels}" for data, labels in cells if not section.meets(entry, data, labels)]
        for entry in named_entries(section.entries, choice.methods)
    }
    return {label: left for label, left in found.items() if left}


def named_entries(entries: Sequence[Entry], names: Sequence[str]) -> list[Entry]:
    """The entries that are labeled so; for a name that is no label, all of that method but bounds."""
    labels = {entry.label for entry in entries}
    methods = set(names) - labels
    return [e for e in entries if e.label in names or (e.method in methods and e.role != "bound")]


def _chosen_entries(section: Section, choice: Choice, quick: Iterable[str]) -> list[Entry]:
    if choice.methods is None:
        wanted = set(quick) or {entry.label for entry in section.entries}
        return [entry for entry in section.entries if entry.label in wanted]
    labels = {entry.label for entry in section.entries}
    names = labels | {entry.method for entry in section.entries}
    for name in choice.methods:
        if name not in names:
            raise unknown_name("entry or method", name, names, "--methods")
    asked = named_entries(section.entries, choice.methods)
    return [entry for entry in section.entries if entry in asked or entry.role == "baseline"]


def _chosen_cells(section: Section, choice: Choice, quick: Iterable[str]) -> list[tuple[str, str]]:
    cells = [(task.data, labels) for task in section.tasks for labels in task.labels]
    if choice.data is not None:
        return [cell for cell in cells if cell[0] in choice.data]
    here = presence(section)
    chosen = set(quick) or {f"{data}@{labels}" for data, labels in cells}
    return [(data, labels) for data, labels in cells if here[data] and f"{data}@{labels}" in chosen]


def _own_data(loaded: LoadedSuite, name: str, choice: Choice) -> list[str]:
    """Chosen data sets that the suite does not name; they run in its first embedded section."""
    sections = loaded.suite.sections
    if name != next((own for own, section in sections.items() if section.embedded), None):
        return []
    named = {task.data for section in sections.values() for task in section.tasks}
    return [data for data in choice.data or () if data not in named]


def own_labels(data: str) -> str:
    """The label budget of a set that no suite names: its pinned list, or 4 clips per class (if it has 4).

    Raises:
        UserError: when the data set is unknown or absent.
    """
    found = plugins.dataset(data, "--data")
    if not found.present():
        raise UserError(f"data set '{data}' is not on this machine; add it with: {found.how_to_add()}")
    table = found.table()
    if table.pinned:
        return "list"
    return str(min(OWN_LABELS, *Counter(clip.label for clip in table.train).values()))
