"""`plan --export`: what is missing of a suite becomes an array job; the run folder is made ready for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.agenda import Agenda
from bench.export import SCRIPT, Destination, export
from bench.plan import PlannedTrial
from bench.plan_file import with_earlier_methods, write_plan
from bench.preflight import refuse_impossible
from bench.split_folder import keep_splits
from bench.store import RunFolder
from bench.stored_run import StoredRun
from bench.suite import LoadedSuite
from datasets.errors import UserError


def export_trials(
    loaded: LoadedSuite,
    agenda: Agenda,
    todo: Sequence[PlannedTrial],
    run: RunFolder | StoredRun,
    to: Destination,
    folder: Path,
) -> None:
    """Writes the trials to do for an array job, and the plan into the run folder, and says what to type.

    Raises:
        UserError: nothing is to be done, or a folder cannot be used.
    """
    here = run.run if isinstance(run, StoredRun) else run
    if not todo:
        raise UserError(f"--export: no trial of suite '{loaded.suite.name}' is missing in {here.path}.")
    refuse_impossible(todo)
    files = export(todo, here.path.name, to, folder)
    with here.lock():
        if isinstance(run, StoredRun):
            run.pull_plan(merge=True)
        write_plan(with_earlier_methods(loaded, here), agenda, here, to.accepted)
        keep_splits((trial.spec for trial in agenda.trials), here.path)
        if isinstance(run, StoredRun):
            run.push_files()
    print(f"{len(files)} trials in {folder}; each is: python -m bench trial {files[0]} {to.options}")
    print(f"with Slurm: sbatch {folder / SCRIPT}")
