"""`bench status`: a run as anybody sees it who can read its folder."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands import options
from datasets.errors import UserError, unknown_name

if TYPE_CHECKING:
    from bench.store import RunFolder
    from bench.watch import Snapshot, Watch

LOOK_SECONDS = 2.0
LINE_SECONDS = 60.0


def status(
    suite: options.Suite = "fine_grained",
    out: options.Out = Path("runs"),
    limited: options.Limited = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and show how it goes on, until nobody works there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> int:
    """Show where a run is, from another shell or another machine: its folder is all that is needed.

    Works while the run works, after it crashed, and when it is done. A search by `bench tune` is SUITE-tune;
    a run with fewer steps needs --limited.

    Example: python -m bench status --suite fine_grained --watch
    """
    from bench.watch import Watch, planned_trials

    if watch and as_json:
        raise UserError("--json prints one object and ends; give it without --watch.")
    run = _folder(suite, out, limited)
    watcher = Watch(planned_trials(run), run)
    if as_json:
        from bench.live import as_json as plain

        found = {"suite": run.path.name, "folder": str(run.path), **plain(watcher.look())}
        print(json.dumps(found, indent=1))
        return 0
    if watch:
        _stay(watcher, run.path.name)
        return 0
    _show(watcher.look(), run.path.name)
    if sentence := _changed(suite, run):
        print(sentence)
    return 0


def _folder(suite: str, out: Path, limited: bool) -> RunFolder:
    """The run folder of a suite by its name, its file, or its own name.

    Raises:
        UserError: when nothing of that name has run.
    """
    from bench.store import PLAN, RunFolder
    from bench.suite import load_suite

    if (out / suite / PLAN).is_file() and not limited:
        return RunFolder(out / suite)
    here = sorted(path.parent.name for path in out.glob(f"*/{PLAN}"))
    try:
        name = load_suite(suite).suite.name
    except UserError:
        if Path(suite).suffix or not here:
            raise
        raise unknown_name("run", suite, here, f"--suite (of the runs in {out})") from None
    options.check_ran(out, name, limited)
    run = options.run_folder(out, name, limited)
    if not (run.path / PLAN).is_file():
        raise UserError(
            f"{run.path}: nothing of suite '{name}' has run here; start it with: python -m bench run "
            f"--suite {suite}, or name the folder of its runs with --out."
        )
    return run


def _changed(suite: str, run: RunFolder) -> str:
    """Whether the suite is no longer the one whose trials these are; nothing where there is no file of it."""
    from bench.plan_file import changed, with_earlier_methods
    from bench.suite import load_suite

    try:
        loaded = load_suite(suite)
    except UserError:
        return ""
    return changed(with_earlier_methods(loaded, run), run)


def _show(seen: Snapshot, name: str) -> None:
    from rich.console import Console

    from bench import live

    if sys.stdout.isatty():
        console = Console()
        console.print(live.screen(seen, console, name))
    else:
        print("\n".join(live.lines(seen)))
    print(_what_next(seen))


def _what_next(seen: Snapshot) -> str:
    """Whether somebody works there, and what to do if nobody does."""
    if seen.driver is not None:
        return f"a run works here: {seen.driver}"
    if seen.running:
        return "no run works here, but single trials do"
    if seen.waiting:
        return "nobody works here now; the same 'bench run' command goes on"
    return "nothing is left to do" if not seen.failed else "nothing is left to do but --retry-failed"


def _stay(watcher: Watch, name: str) -> None:
    """Follows a run until nobody works there any more."""
    from rich.console import Console
    from rich.live import Live

    from bench import live

    def over(seen: Snapshot) -> bool:
        return seen.driver is None and not seen.running

    seen = watcher.look()
    if sys.stdout.isatty():
        console = Console()
        with Live(live.screen(seen, console, name), console=console, transient=True) as shown:
            while not over(seen):
                time.sleep(LOOK_SECONDS)
                seen = watcher.look()
                shown.update(live.screen(seen, console, name))
    else:
        said, at = "", 0.0
        while not over(seen):
            line = live.head(seen)
            if line != said and time.monotonic() >= at:
                print(line, flush=True)
                said, at = line, time.monotonic() + LINE_SECONDS
            time.sleep(LOOK_SECONDS)
            seen = watcher.look()
    _show(seen, name)
