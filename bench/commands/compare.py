"""`bench compare`: two entries head to head, or measured beside published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands import options
from datasets.errors import UserError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from bench.board import Board, Measure
    from bench.records import Run
    from bench.suite import LoadedSuite

MEASURES = ("top1", "mean_class")
LEAST_WIDTH = 100
"""Columns of the output where it goes to a file or a narrow terminal."""


def compare(
    a: Annotated[str | None, typer.Argument(metavar="A", help="An entry, by its label.")] = None,
    b: Annotated[str | None, typer.Argument(metavar="B", help="Another one.")] = None,
    suite: options.Suite = "fine_grained",
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this data set.")] = None,
    fraction: Annotated[
        str | None, typer.Option("--fraction", help="Only this label budget, as 2 (per class) or 5%.")
    ] = None,
    section: Annotated[str | None, typer.Option("--section", help="Only this section of the suite.")] = None,
    metric: Annotated[str, typer.Option("--metric", help=f"One of {', '.join(MEASURES)}.")] = "top1",
    published: Annotated[
        bool, typer.Option("--published", help="Measured beside published numbers, instead of A and B.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Points within which measured and published agree.")
    ] = 2.0,
    out: options.Out = Path("runs"),
    plugin: options.Plugins = None,
) -> int:
    """Compare two entries on what is done, or put measured beside published numbers.

    A head-to-head tests the pair alone, so it does not depend on who else is on the board.

    Example: python -m bench compare fixmatch-ema supervised --suite fine_grained
    """
    _check(a, b, published, metric)
    options.load_plugins(plugin)
    from rich.console import Console

    from bench.plan_file import with_earlier_methods
    from bench.records import load_run
    from bench.store import RunFolder
    from bench.suite import load_suite

    loaded = load_suite(suite)
    folder = RunFolder(out / loaded.suite.name)
    loaded = with_earlier_methods(loaded, folder)
    console = Console(width=None if Console().width >= LEAST_WIDTH else LEAST_WIDTH, highlight=False)
    if published:
        console.print(_published(loaded, folder.path, tolerance, dataset))
        return 0
    run = load_run(folder, loaded.suite.name)
    console.print(_pair(loaded, run, str(a), str(b), (dataset, fraction, section), metric))
    return 0


def _check(a: str | None, b: str | None, published: bool, metric: str) -> None:
    """Refuses combinations that mean nothing, before anything is read."""
    from bench.metrics import MEANING

    if metric not in MEASURES and metric not in MEANING:
        raise unknown_name("tested metric", metric, MEASURES, "--metric")
    if metric not in MEASURES:
        raise UserError(
            f"--metric: differences are tested for {' and '.join(MEASURES)}, not for '{metric}' (that one is "
            "in results.csv)."
        )
    if published and (a or b):
        raise UserError("--published compares with the literature; leave out the names of entries.")
    if not published and not (a and b):
        raise UserError(
            "name two entries, as in: python -m bench compare fixmatch-ema supervised; or give --published."
        )


def _pair(
    loaded: LoadedSuite,
    run: Run,
    a: str,
    b: str,
    where: tuple[str | None, str | None, str | None],
    metric: str,
) -> RenderableType:
    from bench.compare import head_to_head, over_data_sets, shared_cells
    from bench.render import screen

    data, labels, section = where
    cells = shared_cells(run.records, a, b, data=data, labels=labels, section=section)
    measure: Measure = "mean_class" if metric == "mean_class" else "top1"
    if len(cells) > 1:
        return screen.overview(over_data_sets(cells, loaded.suite, measure))
    ((mine, theirs),) = cells.values()
    found = head_to_head(mine, theirs, loaded.suite, measure)
    classes = max(record.classes for record in (*mine, *theirs))
    return screen.head_to_head(found, run.class_names(found.cell.rpartition("@")[0], classes))


def _published(loaded: LoadedSuite, folder: Path, tolerance: float, data: str | None) -> RenderableType:
    from bench.beside import beside
    from bench.board import build_boards
    from bench.published import load_figures, load_notes
    from bench.records import load_run
    from bench.render.published_screen import published_screen
    from bench.store import PLAN, RunFolder

    boards: Sequence[Board] = ()
    if (folder / PLAN).is_file():  # without a run the published numbers stand alone
        boards = build_boards(load_run(RunFolder(folder), loaded.suite.name).records, loaded.suite)
    found = beside(loaded.suite, boards, load_figures(), load_notes(), tolerance=tolerance / 100, data=data)
    return published_screen(found)
