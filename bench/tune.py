"""Equal effort: as many configurations for every entry, on validation clips, on seeds of their own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench import exit_codes, plugins
from bench.agenda import extended, survey
from bench.entry_checks import check_entries
from bench.failure_table import failure_lines
from bench.leaks import refuse_leaks
from bench.mlflow_runs import MlflowRuns, closing
from bench.plan import PlannedTrial, limited, named_entries, trial_spec
from bench.plan_file import consent
from bench.runner import Options, execute, left_over, status_of, to_do
from bench.schedule import draw_configurations
from bench.store import PLAN, RunFolder, disk_errors, make_folder, write_json
from bench.suite import Entry, LoadedSuite, Section, Tuned, TunedEntry, Tuning, parse_seeds
from datasets.draws import derive
from datasets.errors import UserError, unknown_name
from methods.config import Choices, Span, build, tuning_ranges

OPTIMIZER = "optimizer."
"""What the names of optimizer settings start with, beside those of the method's config."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much to search, and where; None means every entry, the only section with `tune`."""

    configurations: int
    methods: Sequence[str] | None = None
    section: str | None = None
    limit_steps: int | None = None


@dataclass(frozen=True)
class Candidate:
    """One configuration of one entry and its trials, a seed of a cell each."""

    entry: Entry
    number: int
    settings: TunedEntry
    trials: tuple[PlannedTrial, ...]


def tune_suite(
    loaded: LoadedSuite,
    effort: Effort,
    *,
    options: Options | None = None,
) -> int:
    """Searches, and writes the choices as the suite's tuned file.

    Args:
        loaded: the suite.
        effort: how much, and where.
        options: as of a run; `to` is the file to write instead of the one that the suite names.

    Returns:
        The exit status: OK, or FINDINGS when trials failed.

    Raises:
        UserError: when the suite cannot be tuned, or no configuration of an entry finished.
    """
    loaded = extended(loaded, effort.methods or ())
    name, section, tuning = tunable(loaded, effort.section)
    entries = chosen_entries(section, effort.methods)
    options = options or Options()
    if effort.limit_steps and options.to is None:
        raise UserError(
            "--limit-steps searches with shorter trials, whose choices are not for boards; name another file "
            "than the suite's for them, with --to."
        )
    target = options.to or _named_file(loaded)
    before = _earlier_search(loaded, name, tuning, effort, target)
    run = RunFolder(options.out / f"{loaded.suite.name}-tune")
    told = None if options.mlflow is None else MlflowRuns(options.mlflow, run)
    with run.lock(wait=options.wait), closing(told):
        check_entries(section, name, loaded.path)
        candidates = [
            candidate
            for entry in entries
            for candidate in entry_candidates(name, section, tuning, entry, effort)
        ]
        trials = [trial for candidate in candidates for trial in candidate.trials]
        refuse_leaks((trial.spec.data for trial in trials), options.accepted)
        plan = {
            "suite": loaded.suite.name,
            "trials": [trial.model_dump(mode="json") for trial in trials],
            **consent((trial.spec.data for trial in trials), options.accepted),
        }
        write_json(run.path / PLAN, plan)
        todo = to_do(trials, survey(trials, run), options)
        outcome = execute(trials, todo, run, options.settings, told)
        if outcome.stopped is not None:
            for line in (*failure_lines(trials, run), *left_over(outcome, trials, run)):
                print(line)
            return status_of(outcome, failed=bool(outcome.failed))
        tuned, failed = conclude(loaded, name, tuning, candidates, effort, run)
    _write(target, _joined(before, tuned))
    for label, entry in tuned.entries.items():
        shown = {**entry.config, **{f"{OPTIMIZER}{k}": v for k, v in entry.optimizer.items()}}
        print(
            f"{label}: validation top1 {100 * (entry.validation_accuracy or 0):.1f} with {shown or 'its own'}"
        )
    print(f"tuned settings: {target}")
    return exit_codes.FINDINGS if failed else exit_codes.OK


def tunable(loaded: LoadedSuite, wanted: str | None) -> tuple[str, Section, Tuning]:
    """The section to tune.

    Raises:
        UserError: when there is none, or several and none was chosen.
    """
    found = {name: s for name, s in loaded.suite.sections.items() if s.tune is not None}
    if wanted is not None and wanted not in found:
        raise unknown_name("section with 'tune'", wanted, found, "--section")
    if not found:
        raise UserError(f"{loaded.path}: no section of suite '{loaded.suite.name}' has the field 'tune'.")
    if wanted is None and len(found) > 1:
        raise UserError(f"suite '{loaded.suite.name}': choose one with --section: {', '.join(found)}.")
    name = wanted or next(iter(found))
    section = found[name]
    assert section.tune is not None
    return name, section, section.tune


def chosen_entries(section: Section, methods: Sequence[str] | None) -> list[Entry]:
    """Entries that are tuned: all but bounds and references, which take over no search of their own.

    Raises:
        UserError: for a name that is no such entry or method.
    """
    entries = [entry for entry in section.entries if entry.role in ("competitor", "baseline")]
    if methods is None:
        return entries
    names = {entry.label for entry in entries} | {entry.method for entry in entries}
    for name in methods:
        if name not in names:
            raise unknown_name("tunable entry or method", name, names, "--methods")
    return named_entries(entries, methods)


def entry_candidates(
    name: str, section: Section, tuning: Tuning, entry: Entry, effort: Effort
) -> list[Candidate]:
    """The configurations of an entry: number 0 is its own setting, the others are drawn.

    Raises:
        UserError: when two are the same, since the effort would then not be the number that is printed.
    """
    drawn = drawn_settings(section, tuning, entry, effort.configurations - 1)
    candidates = [
        Candidate(entry, number, settings, _trials(name, section, tuning, entry, number, settings, effort))
        for number, settings in enumerate([TunedEntry(), *drawn])
    ]
    different = {candidate.trials[0].spec.id for candidate in candidates}
    if len(different) < len(candidates):
        raise UserError(
            f"entry '{entry.label}' has only {len(different)} different configurations among "
            f"{len(candidates)}: widen its ranges, for example with 'low' and 'high' in the suite's "
            "tune.optimizer.lr."
        )
    return candidates


def search_ranges(section: Section, tuning: Tuning, entry: Entry) -> dict[str, Choices | Span]:
    """Where an entry is searched: its method's ranges, and the suite's, which have the last word."""
    method = plugins.method_class(entry.method)
    settings = build(method.Config, {**section.shared, **entry.config}, f"entry '{entry.label}'")
    idle = method.unused(settings)
    fields = {field.name for field in dataclasses.fields(method.Config)} - idle
    suite = {field: given.declared() for field, given in tuning.config.items() if field in fields}
    optimizer = {f"{OPTIMIZER}{field}": given.declared() for field, given in tuning.optimizer.items()}
    own = {field: given for field, given in tuning_ranges(method.Config).items() if field not in idle}
    return {**own, **suite, **optimizer}


def drawn_settings(section: Section, tuning: Tuning, entry: Entry, count: int) -> list[TunedEntry]:
    """Drawn configurations; they depend on the entry's label and the field's name alone."""
    ranges = search_ranges(section, tuning, entry)
    if not ranges or not count:
        return [TunedEntry()] * count
    seeds = {field: derive(0, f"tune/{entry.label}/{field}") for field in ranges}
    return [_settings(values) for values in draw_configurations(ranges, count, seeds)]


def _settings(values: Mapping[str, Any]) -> TunedEntry:
    optimizer = {k.removeprefix(OPTIMIZER): v for k, v in values.items() if k.startswith(OPTIMIZER)}
    config = {k: v for k, v in values.items() if not k.startswith(OPTIMIZER)}
    return TunedEntry.model_validate({"config": config, "optimizer": optimizer})


def _trials(
    name: str,
    section: Section,
    tuning: Tuning,
    entry: Entry,
    number: int,
    settings: TunedEntry,
    effort: Effort,
) -> tuple[PlannedTrial, ...]:
    planned = []
    for cell in tuning.cells:
        data, labels = cell.split("@")
        for seed in parse_seeds(tuning.seeds):
            spec = trial_spec(section, entry, settings, data, labels, seed, scored_on="validation")
            if effort.limit_steps:
                spec = limited(spec, effort.limit_steps)
            planned.append(
                PlannedTrial(
                    section=name,
                    entry=f"{entry.label} #{number}",
                    role=entry.role,
                    cell=cell,
                    seed=seed,
                    spec=spec,
                )
            )
    return tuple(planned)


def conclude(
    loaded: LoadedSuite,
    section: str,
    tuning: Tuning,
    candidates: Sequence[Candidate],
    effort: Effort,
    run: RunFolder,
) -> tuple[Tuned, int]:
    """Chooses per entry the configuration with the best mean validation accuracy; the earliest of equals.

    A configuration with a failed trial is out.

    Returns:
        What is to be written, and the number of failed trials.

    Raises:
        UserError: when no configuration of an entry finished.
    """
    accuracy: dict[str, float] = {}
    digests: dict[str, str] = {}
    clips: dict[str, int] = {}
    failed = 0
    cells = {trial.spec.id: trial.cell for candidate in candidates for trial in candidate.trials}
    for spec_id, cell in cells.items():
        done = run.trial(spec_id).done()
        if done is None:
            failed += 1
            continue
        accuracy[spec_id], digests[spec_id] = done["metrics"]["top1"], done["predictions_sha256"]
        clips[cell] = max(int(done["metrics"]["listed"]), clips.get(cell, 0))
    entries: dict[str, TunedEntry] = {}
    for label in dict.fromkeys(candidate.entry.label for candidate in candidates):
        own = [candidate for candidate in candidates if candidate.entry.label == label]
        found = [[accuracy.get(t.spec.id) for t in candidate.trials] for candidate in own]
        best = choose(found)
        if best is None:
            raise UserError(
                f"no configuration of '{label}' finished on all seeds; see {run.path / 'trials'}, then run "
                "the same command with --retry-failed."
            )
        whole = {i: [v for v in row if v is not None] for i, row in enumerate(found) if None not in row}
        means = {i: round(float(np.mean(row)), 6) for i, row in whole.items()}
        scores = {"validation_accuracy": means[best], "validation_accuracies": tuple(means.values())}
        entries[label] = own[best].settings.model_copy(update=scores)
    tuned = Tuned(
        suite=loaded.suite.name,
        section=section,
        configurations=effort.configurations,
        seeds=tuning.seeds,
        cells=tuning.cells,
        validation_clips={cell: clips[cell] for cell in tuning.cells if cell in clips},
        run_hash=run_hash(digests),
        entries=entries,
    )
    return tuned, failed


def choose(accuracies: Sequence[Sequence[float | None]]) -> int | None:
    """The position of the best mean; the first of equals; None where every one lacks a result."""
    best, highest = None, -1.0
    for position, values in enumerate(accuracies):
        known = [value for value in values if value is not None]
        if len(known) == len(values) and known and float(np.mean(known)) > highest:
            best, highest = position, float(np.mean(known))
    return best


def run_hash(digests: Mapping[str, str]) -> str:
    """A hash over the trials of a search and their predictions: 16 hexadecimal digits."""
    text = json.dumps(dict(digests), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _named_file(loaded: LoadedSuite) -> Path:
    if loaded.suite.tuned is None:
        raise UserError(
            f"{loaded.path}: the suite has no field 'tuned' that names a file for the result; add it, or "
            "give a file with --to."
        )
    return loaded.path.parent / loaded.suite.tuned


def _earlier_search(
    loaded: LoadedSuite, section: str, tuning: Tuning, effort: Effort, target: Path
) -> Tuned | None:
    """With --methods: the search that the file holds, whose other entries stay as they are.

    Raises:
        UserError: when that search was of another size, so that effort would not be equal, or of another
            section, whose choices would be lost.
    """
    before = loaded.tuned
    if before is None or target != _named_file(loaded):
        return None
    if before.section not in (None, section):
        raise UserError(
            f"{target}: holds the search of section '{before.section}', and this is one of '{section}'; give "
            "another file with --to."
        )
    if effort.methods is None:
        return None
    size = (effort.configurations, tuning.seeds, tuning.cells)
    if (before.configurations, before.seeds, before.cells) != size:
        raise UserError(
            f"{target}: was tuned with {before.configurations} configurations on seeds {before.seeds} of "
            f"{', '.join(before.cells)}; search alike, or tune all entries, so that effort stays equal."
        )
    return before


def _joined(before: Tuned | None, now: Tuned) -> Tuned:
    """The new choices, beside those of an earlier search for other entries."""
    if before is None:
        return now
    both = run_hash({"before": before.run_hash, "now": now.run_hash})
    return now.model_copy(update={"entries": {**before.entries, **now.entries}, "run_hash": both})


def _write(path: Path, tuned: Tuned) -> None:
    text = yaml.safe_dump(tuned.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    note = "# Written by `bench tune`; its trials are the evidence.  Do not edit by hand.\n"
    make_folder(path.parent, "--to")
    with disk_errors(path, "--to"):
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(note + text, encoding="utf-8")
        temporary.replace(path)
