"""Suites: which entries meet on which tasks under which protocol; checked before anything runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from annotated_types import Ge, Interval, MinLen
from pydantic import AfterValidator, model_validator

from bench.inherit import completed
from bench.spec import Frozen, Labels, Net, Protocol
from bench.yaml_lines import load_checked
from datasets.errors import UserError, unknown_name
from methods.config import Choices, Span

SUITES = Path(__file__).parent / "suites"
Role = Literal["competitor", "baseline", "bound", "reference"]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from "0-4", "3" or "0,2,5-7".

    Raises:
        ValueError: saying what is wrong.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"seeds are numbers and ranges such as '0-4' or '0,2,5-7', not '{text}'")
        low, high = int(first), int(last or first)
        if high < low:
            raise ValueError(f"the range '{part.strip()}' runs backwards")
        seeds += range(low, high + 1)
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"a seed is named twice in '{text}'")
    return tuple(seeds)


def _check_seeds(text: str) -> str:
    parse_seeds(text)
    return text


Seeds = Annotated[str, AfterValidator(_check_seeds)]


def _check_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name is one line without control characters, since it is shown on terminals")
    return text


def _check_label(text: str) -> str:
    _check_line(text)
    if not text.strip() or "," in text:
        raise ValueError("a label is not empty and has no comma, since --methods separates labels by commas")
    return text


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _check_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(
            f"the name '{text}' must start with a letter or digit and hold nothing but letters, digits and "
            "any of '_.-', since it names a folder"
        )
    return text


def _check_suite_name(text: str) -> str:
    for part in text.split("/"):
        _check_name(part)
    return text


def _check_file_name(text: str) -> str:
    if not text or text in (".", "..") or "/" in text or "\\" in text:
        raise ValueError(f"'{text}' must be the name of a file beside the suite, without folders")
    return text


Name = Annotated[str, AfterValidator(_check_name)]
SuiteName = Annotated[str, AfterValidator(_check_suite_name)]
"""As `Name`, or several joined by '/' for a suite in a subfolder."""


class Task(Frozen):
    """A data set and the label budgets it is run at.

    `steps`: its own budget, where it has one.  `entries`: the labels of the entries that meet on it; none
    named means all.  `optional`: run where the data set is on this machine, not asked for where it is not.
    """

    data: str
    labels: tuple[Labels, ...]
    steps: Annotated[int, Ge(1)] | None = None
    entries: tuple[str, ...] = ()
    optional: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """`data@labels` for every budget."""
        return tuple(f"{self.data}@{labels}" for labels in self.labels)


class Entry(Frozen):
    """One row of a leaderboard: a method with settings.  Two forms of one method are two entries.

    `role`: `baseline` is what family B compares with; a `bound` is shown apart, with all labels; a
    `reference` is shown outside both families and alone may change the labeled augmentation.
    """

    label: Annotated[str, AfterValidator(_check_label)]
    method: str
    role: Role = "competitor"
    config: dict[str, Any] = {}
    backbone: Net | None = None
    labeled_batch: Annotated[int, Ge(1)] | None = None
    labeled_augmentation: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _same_labeled_augmentation(self) -> Self:
        if self.labeled_augmentation is not None and self.role != "reference":
            raise ValueError(
                f"entry '{self.label}' changes the labeled augmentation; only role 'reference' may, since "
                "a board that gives it to some methods alone would be unfair"
            )
        return self


class Range(Frozen):
    """A tuning range: `choices`, or `low` to `high`."""

    choices: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if bool(self.choices) == (self.low is not None and self.high is not None):
            raise ValueError("a range needs either 'choices' or both 'low' and 'high'")
        return self

    def declared(self) -> Choices | Span:
        """In the form that method configs use."""
        return Choices(self.choices) if self.choices else Span(self.low or 0.0, self.high or 0.0, self.log)


class Tuning(Frozen):
    """Where `bench tune` searches for every entry alike, beside each method's own ranges."""

    cells: tuple[str, ...]
    seeds: Seeds = "100-101"
    optimizer: dict[Literal["lr", "weight_decay"], Range] = {}
    config: dict[str, Range] = {}


class Quick(Frozen):
    """What a plain `run` does of a section; `--full` does all of it."""

    cells: tuple[str, ...]
    seeds: Seeds
    entries: tuple[str, ...] = ()


class Section(Frozen):
    """Tasks, entries and protocol that belong together.

    `independent_parts`: the parts of an accumulated batch are meant as batches of their own, as on several
    GPUs; only then may a method that is not `separable` meet `protocol.batch.accumulate`.
    """

    title: str
    embedded: bool = False
    needs_gpu: bool = False
    independent_parts: bool = False
    hours_per_trial: float | None = None
    seeds: Seeds = "0-4"
    backbone: Net
    protocol: Protocol
    shared: dict[str, Any] = {}
    tasks: tuple[Task, ...]
    entries: tuple[Entry, ...]
    quick: Quick | None = None
    tune: Tuning | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [entry.label for entry in self.entries]
        twice = [label for label, count in Counter(labels).items() if count > 1]
        if twice:
            raise ValueError(f"two entries are labeled '{twice[0]}'")
        if sum(entry.role == "baseline" for entry in self.entries) != 1:
            raise ValueError("exactly one entry must have the role 'baseline'")
        missing = {"labeled", "weak", "strong", "test"} - self.protocol.augmentations.keys()
        if missing:
            raise ValueError(f"protocol.augmentations lacks '{min(missing)}'")
        for entry in self.entries:
            if entry.labeled_augmentation not in (None, *self.protocol.augmentations):
                raise ValueError(f"entry '{entry.label}' names no augmentation of this protocol")
        self._known_cells()
        own = set(parse_seeds(self.seeds)) | set(parse_seeds(self.quick.seeds) if self.quick else ())
        if self.tune and (shared := own & set(parse_seeds(self.tune.seeds))):
            raise ValueError(
                f"'tune' searches on seed {min(shared)}, which rows are measured on; take others"
            )
        return self

    def _known_cells(self) -> None:
        listed = Counter(cell for task in self.tasks for cell in task.cells)
        cells = set(listed)
        if not cells:
            raise ValueError("'tasks' is empty; name at least one data set with its labels")
        if twice := [cell for cell, count in listed.items() if count > 1]:
            raise ValueError(
                f"'{twice[0]}' is listed in two tasks; each cell has one budget and one set of rows"
            )
        named = (*(self.quick.cells if self.quick else ()), *(self.tune.cells if self.tune else ()))
        for cell in named:
            if cell not in cells:
                raise ValueError(f"'{cell}' is no task of this section ({', '.join(sorted(cells))})")
        labels = {entry.label for entry in self.entries}
        lists = [("quick", self.quick.entries if self.quick else ())]
        for place, entries in [*lists, *((f"task '{task.data}'", task.entries) for task in self.tasks)]:
            for label in entries:
                if label not in labels:
                    raise ValueError(f"{place} names the entry '{label}', which does not exist")
            if entries and self.baseline.label not in entries:
                raise ValueError(f"{place} leaves out the baseline '{self.baseline.label}'")

    def meets(self, entry: Entry, data: str, labels: str) -> bool:
        """Whether an entry is run on a cell."""
        named = [t.entries for t in self.tasks if t.data == data and labels in t.labels and t.entries]
        return not named or entry.label in named[0]

    def steps(self, data: str, labels: str) -> int:
        """The budget of a cell in optimizer steps."""
        own = [t.steps for t in self.tasks if t.data == data and labels in t.labels and t.steps]
        return own[0] if own else self.protocol.steps

    @property
    def baseline(self) -> Entry:
        """What family B compares with."""
        return next(entry for entry in self.entries if entry.role == "baseline")


class TunedEntry(Frozen):
    """The settings that tuning chose for an entry.

    `validation_accuracies`: mean of every configuration that finished, in the order in which they were drawn;
    empty in files of searches from before it was kept.
    """

    config: dict[str, Any] = {}
    optimizer: dict[Literal["lr", "weight_decay"], float] = {}
    validation_accuracy: float | None = None
    validation_accuracies: tuple[float, ...] = ()


class Tuned(Frozen):
    """What `bench tune` wrote: the choices and how much effort they took, equal for all entries.

    `section`: the section that was searched, the only one that takes the choices; None in files from before
    it was kept, whose cells tell.  `validation_clips`: by cell, how many clips chose; empty in files from
    before it was kept.
    """

    suite: str
    section: str | None = None
    configurations: int
    seeds: Seeds
    cells: tuple[str, ...]
    validation_clips: dict[str, int] = {}
    run_hash: str
    entries: dict[str, TunedEntry]


class Suite(Frozen):
    """A named set of sections.  `extends`: the suite that it begins as, see `bench.inherit`."""

    name: SuiteName
    title: str
    extends: str | None = None
    tuned: Annotated[str, AfterValidator(_check_file_name)] | None = None
    alpha: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    equivalence_points: Annotated[float, Interval(ge=0, le=100)] = 1.0
    sections: Annotated[dict[Name, Section], MinLen(1)]


class LoadedSuite(Frozen):
    """A suite with the file it came from and the tuned settings it names.

    `added`: labels of entries that are not of the file but of `--methods`.
    """

    suite: Suite
    path: Path
    tuned: Tuned | None
    added: tuple[str, ...] = ()

    def tuned_in(self, section: str) -> Tuned | None:
        """The search whose choices a section takes: its own; others may have entries of the same labels.

        Rates and decays that were found with one optimizer on one size of clips say nothing of another.
        """
        if self.tuned is None or section not in self.suite.sections:
            return None
        cells = {cell for task in self.suite.sections[section].tasks for cell in task.cells}
        named = self.tuned.section
        own = named == section if named is not None else cells.issuperset(self.tuned.cells)
        return self.tuned if own else None

    def tuned_entry(self, section: str, label: str) -> TunedEntry:
        """The tuned settings of an entry of a section; empty where there are none."""
        tuned = self.tuned_in(section)
        return tuned.entries.get(label, TunedEntry()) if tuned else TunedEntry()


def suite_names() -> list[str]:
    """Suites that come with the package."""
    found = SUITES.rglob("*.yaml")
    return sorted(
        str(path.relative_to(SUITES).with_suffix(""))
        for path in found
        if not path.name.endswith(".tuned.yaml")
    )


def load_suite(name: str) -> LoadedSuite:
    """A suite by name, or from a YAML file.

    Raises:
        UserError: for an unknown name, or for a malformed file (file, line and field).
    """
    named_file = name.endswith((".yaml", ".yml"))
    path = Path(name) if named_file else SUITES / f"{name}.yaml"
    if not path.is_file():
        if not named_file:
            raise unknown_name("suite", name, suite_names())
        raise UserError(f"--suite {name}: there is no such file.")
    suite = load_checked(path, Suite, lambda value: completed(value, path, suite_names, _raw))
    tuned = None
    if suite.tuned is not None and (path.parent / suite.tuned).is_file():
        tuned = load_checked(path.parent / suite.tuned, Tuned)
    return LoadedSuite(suite=suite, path=path, tuned=tuned)


def _raw(name: str) -> Mapping[str, Any]:
    """The content of a suite that comes with the package; its own loading checks it."""
    content: Mapping[str, Any] = yaml.safe_load((SUITES / f"{name}.yaml").read_text(encoding="utf-8"))
    return content
