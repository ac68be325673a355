"""`bench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options
from datasets.errors import UserError

FORMATS = ("md", "html", "latex", "csv", "json")
EXTRA = ("answers",)


def report(
    suite: options.Suite = "fine_grained",
    out: options.Out = Path("runs"),
    limited: options.Limited = False,
    storage: options.Storage = None,
    to: options.To = None,
    formats: Annotated[
        str, typer.Option("--format", help=f"Any of {', '.join(FORMATS + EXTRA)}.", metavar="A,B")
    ] = ",".join(FORMATS),
    results: Annotated[
        Path | None,
        typer.Option("--results", help="A results.csv that names the trials, where there is no plan."),
    ] = None,
    plugin: options.Plugins = None,
) -> int:
    """Render the leaderboard of what is done.

    Goes to RUNS/SUITE/report; for the suite fine_grained in the default folder to reports/, if the run has
    all cells and entries of a plain one and no data beside them; with --limited to RUNS/SUITE-limited/report.
    The format `answers` is a table of what every trial answered on every clip, for statistics of your own.
    With --storage, what is new there is brought into the folder of runs first.

    Example: python -m bench report --suite fine_grained --format md,csv
    """
    chosen = options.names(formats, "--format") or []
    for name in chosen:
        if name not in FORMATS + EXTRA:
            raise UserError(f"--format: there is no format '{name}'; known: {', '.join(FORMATS + EXTRA)}.")
    options.load_plugins(plugin)
    from bench import runner
    from bench.plan_file import changed, with_earlier_methods
    from bench.render.report import write_report
    from bench.stored_run import StoredRun
    from bench.suite import load_suite

    loaded = load_suite(suite)
    run = options.run_folder(out, loaded.suite.name, limited)
    stored = StoredRun.at(storage, run)
    if stored is not None:
        stored.pull_plan()
        stored.pull()
    if results is None:
        options.check_ran(out, loaded.suite.name, limited)
    loaded = with_earlier_methods(loaded, run)
    if results is None and (sentence := changed(loaded, run)):
        print(sentence)
    folder = runner.report_folder(loaded, out, to, run)
    print(f"report: {write_report(loaded, run, folder, chosen, results)}")
    return 0
