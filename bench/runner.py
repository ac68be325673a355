"""One `run`: plan, look what is done, prepare data, run the rest, render the report."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from bench import exit_codes, index, plugins, presence, run_places, unreadable
from bench.agenda import Agenda, State, extended, make_agenda, survey
from bench.environment import run_environment
from bench.failure_table import failure_lines
from bench.forecast import longest_first, past_trials
from bench.mlflow_runs import MlflowRuns, closing
from bench.plan import Choice, PlannedTrial
from bench.plan_file import beside, last_plan, refuse_other_schema, with_earlier_methods, write_plan
from bench.preflight import refuse_impossible, short_clips, unflipped
from bench.render import stamp
from bench.render.stamp import FILES
from bench.schedule import Outcome, Settings, available_cpus, places, run_trials
from bench.split_folder import keep_splits
from bench.store import CHECKPOINTS, ENVIRONMENT, SPEC, WEIGHTS, RunFolder, TrialFolder, write_json
from bench.stored_run import StoredRun
from bench.suite import LoadedSuite
from bench.ticker import Ticker
from bench.trial import open_cache
from bench.watch import Watch
from datasets.errors import UserError

DEFAULT_OUT = Path("runs")
COMMITTED = ("fine_grained", Path("reports"))
"""The suite whose report from the default folder goes to the committed pages."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked of a run."""

    choice: Choice = field(default_factory=Choice)
    out: Path = DEFAULT_OUT
    to: Path | None = None
    settings: Settings = field(default_factory=Settings)
    yes: bool = False
    stale: Literal["redo", "keep"] | None = None
    retry_failed: bool = False
    wait: bool = False
    mlflow: str | None = None
    accepted: tuple[str, ...] = ()
    """Data sets whose leaks the user accepts."""


def run_suite(loaded: LoadedSuite, options: Options) -> int:
    """Runs what is missing of a suite and renders its report.

    Returns:
        The exit status: OK, or FINDINGS when a trial of the plan has failed.

    Raises:
        UserError: for every mistake of the user; finished trials are kept.
    """
    run = run_folder(loaded, options.out, options.choice)
    stored = StoredRun.at(options.settings.storage, run)
    told = None if options.mlflow is None else MlflowRuns(options.mlflow, run)
    with contextlib.ExitStack() as held:
        held.enter_context(run.lock(wait=options.wait))
        if stored is not None:
            held.enter_context(stored.lock(wait=options.wait))
            stored.pull_plan(merge=True)
            stored.pull()
        held.enter_context(closing(told))
        loaded = extended(loaded, options.choice.methods or ())
        refuse_other_schema(run)
        agenda = make_agenda(loaded, options.choice, yes=options.yes)
        loaded = with_earlier_methods(loaded, run)
        announce(agenda)
        if not agenda.trials:
            raise UserError(nothing_to_run(loaded, agenda))
        states = survey(agenda.trials, run)
        todo = to_do(agenda.trials, states, options)
        write_plan(loaded, agenda, run, options.accepted)
        keep_splits((trial.spec for trial in agenda.trials), run.path)
        if stored is not None:
            stored.push_files()
            stored.push_results({trial.spec.id for trial in agenda.trials})
        outcome = execute(agenda.trials, todo, run, options.settings, told)
        if stored is not None:
            stored.push_files()
            stored.push_results({trial.spec.id for trial in agenda.trials})  # if it was away at the time
        failed = failure_lines(agenda.trials, run)
        for line in failed:
            print(line)
        for line in left_over(outcome, agenda.trials, run):
            print(line)
        folder = report_folder(loaded, options.out, options.to, run)
        if todo or not stamp.up_to_date(folder, FILES.values(), stamp.digest(loaded, run)):
            report(loaded, run, folder)
        else:
            print(f"report: {folder / FILES['md']}")
    return status_of(outcome, bool(failed))


def status_of(outcome: Outcome, failed: bool) -> int:
    """The exit status of a run; with `failed`, trials of its plan have failed, now or before."""
    if outcome.stopped == "time":
        return exit_codes.UNFINISHED
    return exit_codes.FINDINGS if outcome.failed or failed else exit_codes.OK


def left_over(outcome: Outcome, trials: Sequence[PlannedTrial], run: RunFolder) -> list[str]:
    """What a run that was stopped leaves to the next one, in a sentence."""
    if outcome.stopped is None:
        return []
    folders = [run.trial(trial_id) for trial_id in {trial.spec.id for trial in trials}]
    rest = [each for each in folders if each.done() is None and each.failed() is None]
    begun = sum(any(each.path.glob(CHECKPOINTS)) for each in rest)
    why = "the time of --max-hours is over" if outcome.stopped == "time" else "--fail-fast: a trial failed"
    return [
        f"{why}: {len(rest)} of {len(folders)} trials remain, {begun} of them with a checkpoint; the same "
        "command goes on"
    ]


def run_folder(loaded: LoadedSuite, out: Path, choice: Choice) -> RunFolder:
    """Where the trials of a choice are kept: those with fewer steps apart from those that count."""
    run = RunFolder(out / loaded.suite.name)
    return run.limited() if choice.limit_steps else run


def announce(agenda: Agenda) -> None:
    """Prints which data sets are here and which are missing, the sections that wait, and the banner."""
    for name in agenda.present:
        print(presence.here(name))
    for name, command in agenda.absent.items():
        print(f"data set '{name}' is not on this machine; add it with: {command}")
    for label, cells in agenda.unmet.items():
        print(f"'{label}' is not run on {', '.join(cells)}, for which the suite names other rows")
    for name in agenda.unbound:
        print(
            f"data set '{name}' runs without the bound: the labels of its unlabeled clips are not all known"
        )
    for held in agenda.held:
        print(f"section '{held.name}' ({held.title}) is not run: it needs a GPU and this machine has none.")
        days = "an unknown number of days" if held.days is None else f"about {held.days:,.0f} days"
        print(f"  {len(held.trials)} trials would take {days} here; to run them all the same, add --yes:")
        for line in _by_row(held.trials):
            print(f"  {line}")
    for line in agenda.banner:
        print(line)


def _by_row(trials: Sequence[PlannedTrial]) -> list[str]:
    rows: dict[tuple[str, str], list[int]] = {}
    for trial in trials:
        rows.setdefault((trial.cell, trial.entry), []).append(trial.seed)
    return [f"{cell} {entry} seeds {', '.join(map(str, s))}" for (cell, entry), s in rows.items()]


def nothing_to_run(loaded: LoadedSuite, agenda: Agenda) -> str:
    """Why an agenda is empty, and the cure."""
    name = loaded.suite.name
    if agenda.held:
        return f"nothing of suite '{name}' runs without a GPU on these data; add --yes to run it on the CPU."
    if agenda.absent:
        first, command = next(iter(agenda.absent.items()))
        return (
            f"no data set of suite '{name}' is on this machine; add '{first}', for example, with: {command}"
        )
    return f"nothing of suite '{name}' matches --methods, --data and --seeds."


def to_do(
    trials: Sequence[PlannedTrial], states: Mapping[str, State], options: Options
) -> list[PlannedTrial]:
    """The trials to run, each once.

    Raises:
        UserError: when trials are stale and the user has not said what to do with them.
    """
    stale = sum(state == "stale" for state in states.values())
    if stale and options.stale is None:
        raise UserError(
            f"{stale} of {len(states)} trials were done with code that has changed since; add --stale redo "
            "to run them again, or --stale keep to use their results as they are."
        )
    wanted = wanted_states(options.stale == "redo", options.retry_failed)
    once = {trial.spec.id: trial for trial in reversed(trials)}
    return [t for t in trials if once[t.spec.id] is t and states[t.spec.id] in wanted]


def wanted_states(redo_stale: bool, retry_failed: bool) -> set[State]:
    """What is run: the missing trials, and those of other states that were asked for."""
    asked: dict[State, bool] = {"missing": True, "stale": redo_stale, "failed": retry_failed}
    return {state for state, wanted in asked.items() if wanted}


def execute(
    trials: Sequence[PlannedTrial],
    todo: Sequence[PlannedTrial],
    run: RunFolder,
    settings: Settings,
    told: MlflowRuns | None = None,
) -> Outcome:
    """Prepares the data of trials and runs them, with progress; `told` hears of each that has ended."""
    sweep(run)
    if told is not None:
        again = {trial.spec.id for trial in todo}
        told.catch_up([trial for trial in trials if trial.spec.id not in again])
    total = len({trial.spec.id for trial in trials})
    if settings.keep_weights:
        for line in _without_weights(trials, todo, run):
            print(line)
    if not todo:
        print(f"all {total} trials are done")
        return Outcome()
    refuse_impossible(todo)
    unread = prepare_data(todo)
    run_places.remember(run.path.parent)
    write_json(run.path / ENVIRONMENT, run_environment(trials, sys.argv[1:]))
    for sentence in (*unread, *short_clips(todo), *unflipped(todo)):
        print(sentence)
    print(f"{len(todo)} of {total} trials to run", flush=True)
    todo = longest_first(todo, past_trials(run.path.parent))
    at_once = places((trial.spec for trial in todo), settings)
    watch = Watch(trials, run, at_once, anew=[trial.spec.id for trial in todo])
    ticker = Ticker(total - len(todo), total, watch)

    def ended(planned: PlannedTrial, record: Mapping[str, Any]) -> None:
        ticker.finished(planned, record)
        if told is not None:
            told.finished(planned, record)

    with ticker.shown():
        return run_trials(todo, run, settings, ended)


def _without_weights(
    trials: Sequence[PlannedTrial], todo: Sequence[PlannedTrial], run: RunFolder
) -> list[str]:
    """What `--keep-weights` comes too late for, and the cure."""
    again = {trial.spec.id for trial in todo}
    done = index.finished(run, (trial.spec.id for trial in trials if trial.spec.id not in again))
    lost = [trial_id for trial_id in done if not (run.trial(trial_id).path / WEIGHTS).is_file()]
    if not lost:
        return []
    spec = run.trial(lost[0]).path / SPEC
    return [
        f"{len(lost)} trials were done without --keep-weights and stay as they are; each is trained once "
        f"more, and keeps them, with: python -m bench trial {spec} --out weights --keep-weights"
    ]


def sweep(run: RunFolder) -> None:
    """Removes what killed runs and attempts left; for who holds the run folder, and where nobody works."""
    for leftover in run.path.glob(".*.json.*"):  # of a write that was cut off
        leftover.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for folder in sorted((run.path / "trials").iterdir()):
            names = [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []
            if any(name.startswith(".") or fnmatch(name, CHECKPOINTS) for name in names):
                TrialFolder(folder).tidy()


def prepare_data(trials: Sequence[PlannedTrial]) -> list[str]:
    """Makes files and clip caches once, before any worker asks for them.

    Returns:
        A sentence for each data set with clips that cannot be read.
    """
    needed = {
        (trial.spec.data, protocol.short_side, protocol.store, protocol.decoder): trial.spec
        for trial in trials
        for protocol in [trial.spec.protocol]
    }
    said: dict[str, None] = {}
    for spec in needed.values():
        data = plugins.dataset(spec.data)
        table = data.table()
        cache = open_cache(spec, table, data, workers=available_cpus())
        if sentence := unreadable.sentence(spec.data, table, cache.errors):
            said[sentence] = None
    return list(said)


def report_folder(loaded: LoadedSuite, out: Path, to: Path | None, run: RunFolder) -> Path:
    """Where a report goes, so that no small run overwrites the committed one.

    The committed pages take the report of every cell and entry that a plain run has, on data that the suite
    names and with all steps.
    """
    if to is not None:
        return to
    suite, committed = COMMITTED
    if loaded.suite.name == suite and (run.path, out) == (out / suite, DEFAULT_OUT) and _whole(loaded, run):
        return committed
    return run.path / "report"


def _whole(loaded: LoadedSuite, run: RunFolder) -> bool:
    trials = last_plan(run)
    if beside(loaded, trials) or any(_other_decoder(loaded, trial) for trial in trials):
        return False
    plain = make_agenda(loaded, Choice()).trials
    return {(t.section, t.cell, t.entry) for t in plain} <= {(t.section, t.cell, t.entry) for t in trials}


def _other_decoder(loaded: LoadedSuite, trial: PlannedTrial) -> bool:
    section = loaded.suite.sections.get(trial.section)
    return section is not None and section.protocol.decoder != trial.spec.protocol.decoder


def report(
    loaded: LoadedSuite, run: RunFolder, to: Path, formats: Sequence[str] = tuple(FILES)
) -> Path | None:
    """Renders the report and prints its path; without a finished trial it says so."""
    from bench.render.report import write_report

    if not index.finished(run, (trial.spec.id for trial in last_plan(run))):
        print("no trial is done yet, so there is no report")
        return None
    path: Any = write_report(loaded, run, to, formats)
    print(f"report: {path}")
    return Path(path)
