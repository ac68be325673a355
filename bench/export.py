"""The trials of a plan as files for a batch system: one job of an array does one trial.

DIR/00001.json ...       `bench trial DIR/00001.json --out RUNS`; each says in which run folder it belongs
DIR/index.json           number, file, id and line of every trial
DIR/splits/              who is labeled and who is tested, which `bench trial` checks
DIR/array.sbatch         a Slurm script; other batch systems need the same one line
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, ValidationError

from bench.plan import PlannedTrial
from bench.schema import stored_spec, wrong_field
from bench.spec import Frozen, TrialSpec
from bench.split_folder import keep_splits
from bench.store import read_json, write_bytes, write_json
from datasets.errors import UserError, reason

INDEX, SCRIPT = "index.json", "array.sbatch"
SINGLE = "single"
"""Run folder of a trial whose specification does not say where it belongs."""
NOTICE_SECONDS = 120
"""A job is told so long before its time is up; a checkpoint takes seconds."""


class Order(Frozen):
    """A trial and the run folder that its result belongs to."""

    run: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    trial: PlannedTrial


@dataclass(frozen=True)
class Destination:
    """Where the results of exported trials go, the plugins they need, the sets whose leaks are accepted."""

    out: Path
    storage: str | None = None
    plugins: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()

    @property
    def options(self) -> str:
        """For a command line."""
        words = ["--out", str(self.out.absolute())]
        words += ["--storage", self.storage] if self.storage else []
        for file in self.plugins:
            words += ["--plugin", str(Path(file).absolute())]
        for name in self.accepted:
            words += ["--accept-leak", name]
        return shlex.join(words)


def export(trials: Sequence[PlannedTrial], run: str, to: Destination, folder: Path) -> list[Path]:
    """Writes trials as files for an array job.

    Args:
        trials: what to do; equal specifications once.
        run: name of the run folder that the results belong to.
        to: where that is.
        folder: where the files go; it must be empty, since a waiting job may read what is in it.

    Returns:
        The files of the trials, in order.

    Raises:
        UserError: the folder is not empty or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"--export {folder}: it is not an empty folder, and jobs may still read what is in it; give a "
            "new one."
        )
    once = list({trial.spec.id: trial for trial in reversed(trials)}.values())[::-1]
    files, index = [], []
    for number, trial in enumerate(once, start=1):
        path = folder / f"{number:05d}.json"
        write_json(path, Order(run=run, trial=trial).model_dump(mode="json"), "--export")
        files.append(path)
        index.append({"number": number, "file": path.name, "id": trial.spec.id, "line": trial.line})
    keep_splits((trial.spec for trial in once), folder, "--export")
    write_json(folder / INDEX, {"run": run, "trials": index}, "--export")
    text = script([trial.spec for trial in once], run, to, folder)
    write_bytes(folder / SCRIPT, text.encode(), "--export")
    return files


def script(specs: Sequence[TrialSpec], run: str, to: Destination, folder: Path) -> str:
    """A Slurm array script for exported trials, with this Python."""
    threads = max(spec.protocol.threads for spec in specs)
    gpu = any(spec.device == "cuda" for spec in specs)
    lines = [
        "#!/bin/bash",
        f"# {len(specs)} trials of '{run}', one per job.  Look at time, memory, partition and account, then:",
        f"#     sbatch {shlex.quote(str(folder.absolute() / SCRIPT))}",
        "# More than the cluster's MaxArraySize: sbatch --array=1-1000 ..., then OFFSET=1000 sbatch ...",
        f"#SBATCH --job-name={run}",
        f"#SBATCH --array=1-{len(specs)}",
        f"#SBATCH --cpus-per-task={threads}",
        *(["#SBATCH --gres=gpu:1"] if gpu else []),
        "#SBATCH --mem=8G",
        "#SBATCH --time=12:00:00",
        f"#SBATCH --signal=USR1@{NOTICE_SECONDS}",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        f"#SBATCH --output={run}-%A-%a.log",
        "",
        f"cd {shlex.quote(str(Path.cwd()))} || exit 1",
        f"DIR={shlex.quote(str(folder.absolute()))}",
        "SPEC=$(printf '%s/%05d.json' \"$DIR\" $((SLURM_ARRAY_TASK_ID + ${OFFSET:-0})))",
        f'srun {shlex.quote(sys.executable)} -m bench trial "$SPEC" {to.options}',
        "STATUS=$?",
        "# 130: it was told to leave and has written a checkpoint, from which the same job goes on.",
        'if [ "$STATUS" -eq 130 ]; then scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"; fi',
        'exit "$STATUS"',
    ]
    return "\n".join(lines) + "\n"


def read_order(path: Path) -> Order:
    """An exported trial, or a bare specification as trial folders have it, which belongs to `single`.

    Raises:
        UserError: it cannot be read, a field is wrong, or it is of another version.
    """
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({reason(error)}); give the specification of a trial, as "
            "RUNS/SUITE/trials/ID/spec.json."
        ) from None
    if not isinstance(value, dict) or "trial" not in value:
        return _single(stored_spec(value, path))
    trial = value["trial"]
    stored_spec(trial.get("spec") if isinstance(trial, dict) else trial, path)  # has the better messages
    try:
        return Order.model_validate(value)
    except ValidationError as error:
        raise wrong_field(error, path) from None


def _single(spec: TrialSpec) -> Order:
    trial = PlannedTrial(
        section=SINGLE, entry=spec.method, role="competitor", cell=spec.cell, seed=spec.seed, spec=spec
    )
    return Order(run=SINGLE, trial=trial)
