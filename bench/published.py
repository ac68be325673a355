"""Published numbers: data files of this package, each row with its source.

What the rows correspond to here, and what a reader must know of them, is in `published_notes.yaml`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.spec import Frozen
from bench.yaml_lines import load_checked
from datasets.errors import UserError

HERE = Path(__file__).parent
FIGURES, EXTRA, NOTES = HERE / "published.csv", HERE / "published_extra.csv", HERE / "published_notes.yaml"
COLUMNS = (
    "table", "method", "backbone", "input", "imagenet_init", "frames", "epochs", "dataset", "label_percent",
    "top1", "source",
)  # fmt: skip
EXTRA_COLUMNS = ("table", "row", "column", "value", "unit", "source")


@dataclass(frozen=True)
class Figure:
    """One published accuracy (a fraction), as its table states it; empty text where it states nothing."""

    table: str
    method: str
    backbone: str
    input: str
    imagenet_init: str
    frames: str
    epochs: str
    dataset: str
    label_percent: float | None
    top1: float
    source: str

    @property
    def protocol(self) -> tuple[str, ...]:
        """What must be equal for numbers to stand in one table."""
        return (self.backbone, self.input, self.imagenet_init, self.frames, self.epochs)


@dataclass(frozen=True)
class Extra:
    """A published number that is no accuracy: parameters, times, shares."""

    table: str
    row: str
    column: str
    value: float
    unit: str
    source: str


class Alias(Frozen):
    """Our method for a published name, and the settings in which that row departs from the defaults."""

    method: str
    config: dict[str, Any] = {}


class Caution(Frozen):
    """A footnote for the figures that all given selectors match."""

    text: str
    tables: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    imagenet_init: tuple[str, ...] = ()
    percents: tuple[float, ...] = ()

    def concerns(self, figure: Figure) -> bool:
        """Whether this footnote belongs to a figure."""
        pairs = (
            (self.tables, figure.table),
            (self.methods, figure.method),
            (self.datasets, figure.dataset),
            (self.backbones, figure.backbone),
            (self.imagenet_init, figure.imagenet_init),
            (self.percents, figure.label_percent),
        )
        return all(not wanted or value in wanted for wanted, value in pairs)


class Notes(Frozen):
    """`published_notes.yaml`."""

    methods: dict[str, Alias]
    backbones: dict[str, str]
    datasets: dict[str, str] = {}
    general: tuple[str, ...]
    cautions: tuple[Caution, ...]


def load_figures(path: Path = FIGURES) -> tuple[Figure, ...]:
    """The published accuracies.

    Raises:
        UserError: naming file, line and column of what cannot be.
    """
    found = []
    for line, row in _rows(path, COLUMNS):
        percent = row["label_percent"]
        values = {name: row[name] for name in COLUMNS if name not in ("label_percent", "top1")}
        found.append(
            Figure(
                **values,
                label_percent=_number(path, line, "label_percent", percent) if percent else None,
                top1=_number(path, line, "top1", row["top1"]) / 100,
            )
        )
    return tuple(found)


def load_extra(path: Path = EXTRA) -> tuple[Extra, ...]:
    """The other published numbers.

    Raises:
        UserError: as `load_figures`.
    """
    return tuple(
        Extra(
            **{name: row[name] for name in EXTRA_COLUMNS if name != "value"},
            value=_number(path, line, "value", row["value"], most=None),
        )
        for line, row in _rows(path, EXTRA_COLUMNS)
    )


def load_notes(path: Path = NOTES) -> Notes:
    """What published names correspond to, and the cautions."""
    return load_checked(path, Notes)


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            rows = [] if missing else [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); install sefar-bench again.") from None
    if missing:
        raise UserError(f"{path}:1: lacks the column '{missing[0]}'; install sefar-bench again.")
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{path}:{line}: has another number of columns than the header; mend the line.")
    return rows


def _number(path: Path, line: int, name: str, text: str, most: float | None = 100.0) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= (most if most is not None else value):
        raise UserError(f"{path}:{line}: column '{name}' must be a number from 0 on, not '{text}'.")
    return value
