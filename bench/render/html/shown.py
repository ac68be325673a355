"""What the template of the page shows: plain values, ready to be escaped and laid out."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Cell:
    """Text, and what it is sorted by (empty: by its text; nothing to say sorts last)."""

    text: str
    sort: str


@dataclass(frozen=True)
class Column:
    """A column of the page.

    Attributes:
        key: names its explanation.
        header: what stands above it.
        number: whether it is sorted by numbers.
        kind: how it is set: "number" to the right, "name" on one line, "prose" with room for sentences, or
            "text".
    """

    key: str
    header: str
    number: bool
    kind: str


@dataclass(frozen=True)
class ShownTable:
    """A table of the page: its `columns`, and `rows` of (entry, bold, cells)."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, bool, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Confusion:
    """Answers of one entry: a matrix in percent, or, with many classes, the frequent confusions."""

    entry: str
    matrix: tuple[tuple[str, tuple[int, ...]], ...] = ()
    frequent: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShownBoard:
    """A board as the template wants it."""

    anchor: str
    title: str
    headline: str
    verdict: str
    ranking: ShownTable | None
    apart: tuple[tuple[str, ShownTable], ...]
    reservations: tuple[str, ...]
    measurement: ShownTable | None
    quality: ShownTable | None
    per_class: ShownTable | None
    classes: tuple[str, ...]
    confusions: tuple[Confusion, ...]
    charts: tuple[tuple[str, Markup], ...]
    legend: tuple[tuple[int, str, str, str], ...]


@dataclass(frozen=True)
class Image:
    """A picture inside the page."""

    source: str
    shows: str
    minor: bool


@dataclass(frozen=True, kw_only=True)
class ShownData:
    """The boards of one data set, their summary over label budgets, and their pictures."""

    boards: tuple[ShownBoard, ...]
    budgets: tuple[str, ShownTable] | None
    images: tuple[Image, ...]


@dataclass(frozen=True, kw_only=True)
class ShownSummary:
    """The claims over several data sets."""

    title: str
    table: ShownTable | None
    said: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ShownSection:
    """A section of the suite."""

    title: str
    data: tuple[ShownData, ...]
    summaries: tuple[ShownSummary, ...]
    images: tuple[Image, ...]
    small_print: tuple[tuple[str, str], ...]
