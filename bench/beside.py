"""Measured beside published: compared within one protocol, never ranked across protocols."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench import plugins
from bench.board import Board, Row
from bench.families import MIN_SEEDS
from bench.published import Figure, Notes
from bench.records import Record
from bench.stats import MeanInterval
from bench.suite import Suite

PRINTED = 0.0005
"""Half of the last printed digit, as a fraction."""
SAME_LENGTH = 1.1
"""Trainings whose numbers of epochs differ by less than this factor count as equally long."""

PINNED = re.compile(r"(?P<data>.+)_published_(?P<percent>\d+(\.\d+)?)")
"""How an imported published list is named that is to stand beside published numbers: gym99_published_5."""

Verdict = Literal["agrees", "higher", "lower", "undecided", "too few seeds"]


@dataclass(frozen=True, eq=False)
class Line:
    """A published figure with what was measured under the same protocol, if anything was.

    Attributes:
        figure: the published one.
        entry: label of the measured row; None where nothing was measured.
        measured: its mean with the 95 % interval.
        verdict: None where nothing was measured.
        notes: numbers of the footnotes, from 1.
    """

    figure: Figure
    entry: str | None
    measured: MeanInterval | None
    verdict: Verdict | None
    notes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Apart:
    """A measured row of the same method on the same cell under another protocol: shown, never compared."""

    figure: Figure
    entry: str
    measured: MeanInterval
    differs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PublishedCell:
    """Everything published about one data set and label share, by protocol."""

    section: str
    cell: str
    protocols: Mapping[tuple[str, ...], tuple[Line, ...]]
    apart: tuple[Apart, ...]


@dataclass(frozen=True, eq=False)
class Beside:
    """All cells of a suite for which something is published.

    `without`: cells for which nothing is.  `footnotes`: numbered from 1.  `tolerance`: a fraction.
    """

    suite: Suite
    cells: tuple[PublishedCell, ...]
    without: tuple[str, ...]
    footnotes: tuple[str, ...]
    general: tuple[str, ...]
    tolerance: float


def default_config(method: str) -> Mapping[str, Any]:
    """The paper's settings of one of our methods."""
    return dataclasses.asdict(plugins.method_class(method).Config())


def beside(
    suite: Suite,
    boards: Sequence[Board],
    figures: Sequence[Figure],
    notes: Notes,
    *,
    tolerance: float = 0.02,
    data: str | None = None,
    defaults: Callable[[str], Mapping[str, Any]] = default_config,
) -> Beside:
    """Puts what was measured beside what is published for the same data set and label share.

    Args:
        suite: whose cells are looked up; those not run yet are shown with the published numbers alone.
        boards: what was measured (top-1).
        figures: the published numbers.
        notes: aliases and cautions.
        tolerance: half-width of the band of agreement, as a fraction.
        data: only this data set.
        defaults: gives the settings of a method's paper.
    """
    places = _places(suite, boards, data)
    used: dict[str, int] = {}
    cells, without = [], []
    for section, cell in places:
        mine = [figure for figure in figures if _published_on(cell, figure, notes)]
        if not mine:
            without.append(cell)
            continue
        board = next((b for b in boards if (b.section, b.cell) == (section, cell)), None)
        cells.append(_cell(section, cell, mine, board, notes, used, tolerance, defaults))
    return Beside(suite, tuple(cells), tuple(without), tuple(used), notes.general, tolerance)


def _places(suite: Suite, boards: Sequence[Board], data: str | None) -> list[tuple[str, str]]:
    """(section, cell) of the suite and, behind them, of what was run beside it."""
    planned = [
        (name, cell)
        for name, section in suite.sections.items()
        for task in section.tasks
        for cell in task.cells
    ]
    places = dict.fromkeys([*planned, *((board.section, board.cell) for board in boards)])
    return [place for place in places if data in (None, place[1].rpartition("@")[0])]


def _plain(name: str) -> str:
    """A data set's name without case and punctuation: one paper writes what another writes with a dash."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _published_on(cell: str, figure: Figure, notes: Notes) -> bool:
    data, _, labels = cell.rpartition("@")
    pinned = PINNED.fullmatch(data) if labels == "list" else None
    if pinned:
        data, labels = pinned["data"], pinned["percent"]
    if figure.label_percent is None or not (pinned or labels.endswith("%")):
        return False
    theirs = notes.datasets.get(figure.dataset, figure.dataset)
    return _plain(data) == _plain(theirs) and float(labels.rstrip("%")) == figure.label_percent


def _cell(
    section: str,
    cell: str,
    figures: Sequence[Figure],
    board: Board | None,
    notes: Notes,
    used: dict[str, int],
    tolerance: float,
    defaults: Callable[[str], Mapping[str, Any]],
) -> PublishedCell:
    protocols: dict[tuple[str, ...], list[Line]] = {}
    apart: list[Apart] = []
    for figure in figures:
        numbers = tuple(
            used.setdefault(caution.text, len(used) + 1)
            for caution in notes.cautions
            if caution.concerns(figure)
        )
        same: list[Row] = []
        for row in _rows_of(figure, board, notes):
            differs = differences(figure, row, notes, defaults)
            if not differs:
                same.append(row)
            elif row.mean is not None:
                apart.append(Apart(figure, row.entry.label, row.mean, differs))
        lines = protocols.setdefault(figure.protocol, [])
        if not same:
            lines.append(Line(figure, None, None, None, numbers))
        for row in same:
            verdict = verdict_of(row, figure, tolerance)
            lines.append(Line(figure, row.entry.label, row.mean, verdict, numbers))
    return PublishedCell(section, cell, {key: tuple(found) for key, found in protocols.items()}, tuple(apart))


def _rows_of(figure: Figure, board: Board | None, notes: Notes) -> list[Row]:
    """The measured rows of the method that a figure is about."""
    alias = notes.methods.get(figure.method)
    if board is None or alias is None:
        return []
    rows = (*board.ranked, *board.unranked)
    return [row for row in rows if row.entry.method == alias.method and row.mean is not None]


def differences(
    figure: Figure, row: Row, notes: Notes, defaults: Callable[[str], Mapping[str, Any]] = default_config
) -> tuple[str, ...]:
    """In which parts of the protocol a measured row departs from a published figure; empty for none.

    Numbers such as rates and decays are settings that everybody tunes, so they may differ unless the row's
    alias names them; choices and counts (a switch, the number of teacher passes, the frames per level) make
    another method, so these must be equal.
    """
    record = next((record for record in row.records if record.done), row.records[0])
    spec, alias = record.spec, notes.methods[figure.method]
    wanted = {**defaults(alias.method), **alias.config}
    config = [
        f"{name} is {spec.config[name]}, not {wanted[name]}"
        for name in sorted(spec.config.keys() & wanted.keys())
        if name != "frames" and _another_choice(spec.config[name], wanted[name], name in alias.config)
    ]
    parts = [
        ("backbone", spec.backbone.name, notes.backbones.get(figure.backbone, figure.backbone)),
        ("ImageNet weights", _started(spec.backbone.weights), figure.imagenet_init),
        ("frames", str(frames_of(record)), figure.frames),
    ]
    said = [f"{name}: {ours}, not {theirs}" for name, ours, theirs in parts if theirs and ours != theirs]
    epochs = epochs_of(record)
    if figure.epochs and epochs is not None and not _as_long(record, epochs, float(figure.epochs)):
        said.append(f"epochs of the labeled clips: {epochs:.0f}, not {figure.epochs}")
    return (*said, *config)


def _another_choice(ours: Any, theirs: Any, named: bool) -> bool:
    number = isinstance(ours, float) or isinstance(theirs, float)
    if number and not named:
        return False
    as_list = [list(value) if isinstance(value, tuple) else value for value in (ours, theirs)]
    return bool(as_list[0] != as_list[1])


def _started(weights: str) -> str:
    """As the column `imagenet_init`; a file is taken for an ImageNet net, as the suites' own weights are."""
    if weights == "random":
        return "no"
    return weights if "kinetics" in weights.lower() else "yes"


def _as_long(record: Record, epochs: float, theirs: float) -> bool:
    """Whether a training is as long as one of `theirs` epochs, counted in clips or in whole batches.

    SeFAR's release drops what an epoch leaves over of micro-batches and of steps: 101 labels in 8
    micro-batches of 8 are one step an epoch, though its 64 clips are no whole pass.
    """
    batch, steps = record.spec.protocol.batch, record.spec.protocol.steps
    whole = int(record.done["labeled"]) // batch.labeled // batch.accumulate
    return 1 / SAME_LENGTH <= epochs / theirs <= SAME_LENGTH or steps == theirs * whole


def frames_of(record: Record) -> int:
    """Frames of a clip that a trial decodes: of all levels, of its own setting, or of the protocol."""
    config = record.spec.config
    if config.get("levels"):
        return int(sum(config["levels"]))
    return int(config.get("frames") or record.spec.protocol.frames)


def epochs_of(record: Record) -> float | None:
    """Passes over the labeled clips; None where the record does not say how many there were."""
    labeled = record.done.get("labeled")
    if not labeled:
        return None
    batch, steps = record.spec.protocol.batch, record.spec.protocol.steps
    warm = int(record.done.get("warmup_steps", 0))
    clips = (warm * batch.warmup + (steps - warm) * batch.labeled) * batch.accumulate
    return clips / float(labeled)


def verdict_of(row: Row, figure: Figure, tolerance: float) -> Verdict:
    """Where the measured interval lies: inside published ± tolerance, outside, or across an edge."""
    mean = row.mean
    if mean is None or mean.low is None or mean.high is None or len(row.used) < MIN_SEEDS:
        return "too few seeds"
    low, high = figure.top1 - tolerance - PRINTED, figure.top1 + tolerance + PRINTED
    if low <= mean.low and mean.high <= high:
        return "agrees"
    if mean.low > high:
        return "higher"
    return "lower" if mean.high < low else "undecided"
