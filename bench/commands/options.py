"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datasets.errors import UserError

if TYPE_CHECKING:
    from bench.plan import Choice
    from bench.store import RunFolder


SHOWN = 20
"""Most lines of one kind that a command prints, where the rest is in a file."""


class Stale(StrEnum):
    """What to do with trials that were done by code that has changed since."""

    redo = "redo"
    keep = "keep"


Suite = Annotated[str, typer.Option("--suite", help="A suite by name, or a YAML file.", metavar="NAME|FILE")]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        help="Entries, or methods for all of their entries but a bound; the baseline is always run.",
        metavar="A,B",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Data sets. One that the suite does not name runs the embedded section's recipe.",
        metavar="A,B",
    ),
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="As 0-4 or 0,2,5-7.", metavar="SEEDS")]
Full = Annotated[bool, typer.Option("--full", help="Everything, where a plain run does a quick part.")]
Embedded = Annotated[
    bool, typer.Option("--embedded", help="The rendered form alone, whatever data are on this machine.")
]
LimitSteps = Annotated[
    int | None,
    typer.Option(
        "--limit-steps", min=1, help="Train for N steps at most; bars the trials from leaderboards."
    ),
]
Limited = Annotated[
    bool, typer.Option("--limited", help="The run with --limit-steps, which is kept in SUITE-limited.")
]
AllowEmptyClasses = Annotated[
    bool,
    typer.Option(
        "--allow-empty-classes", help="Classes with too few clips for a label budget keep what they have."
    ),
]
Decoder = Annotated[
    str | None,
    typer.Option(
        "--decoder",
        help="Who is asked first for the frames of clips: decord (default), pyav or torchcodec.",
        metavar="NAME",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder of all runs; the suite's is inside.")]
To = Annotated[Path | None, typer.Option("--to", help="Folder of the report.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="A Python file with methods, data sets or backbones; repeatable."),
]
MaxConcurrent = Annotated[
    int | None,
    typer.Option("--max-concurrent", min=1, help="Trials at once; default: as many as fit the machine."),
]
CpusPerTrial = Annotated[
    float | None,
    typer.Option("--cpus-per-trial", min=0.01, help="Default: the threads that the suite gives a trial."),
]
GpusPerTrial = Annotated[
    float | None,
    typer.Option("--gpus-per-trial", min=0.0, help="A share of a GPU lets trials share one; default: 1."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", help="A running Ray cluster, HOST:PORT or 'auto'; needs --storage or a shared --out."
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Keep results and checkpoints there too: a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, ...",
        metavar="URI",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Folder of the clip cache, on every machine its own; default: 'cache' in the data home.",
        metavar="DIR",
    ),
]
CacheGib = Annotated[
    float | None,
    typer.Option(
        "--cache-gib",
        min=0.001,
        help="Most GiB of the clip cache; what is longest unused is removed. Default: no limit.",
    ),
]
MaxRetries = Annotated[
    int,
    typer.Option(
        "--max-retries",
        min=0,
        help="Further attempts when the machine fails (worker, storage, GPU), not the method.",
    ),
]
TrialTimeout = Annotated[
    float | None,
    typer.Option("--trial-timeout", min=1, help="Seconds that one attempt of a trial may take.", metavar="S"),
]
MaxHours = Annotated[
    float | None,
    typer.Option(
        "--max-hours",
        min=0.0,
        help="Hours from now on, after which trials that run write a checkpoint and stop (status 4).",
        metavar="H",
    ),
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Stop at the first failed trial; the others keep checkpoints.")
]
CheckpointSeconds = Annotated[
    float | None,
    typer.Option(
        "--checkpoint-seconds",
        min=0.0,
        help="Time between checkpoints of a running trial; default: 300. Less for machines that may vanish.",
        metavar="S",
    ),
]
Mlflow = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        help="Also send finished trials to MLflow: the URI of its server, or file:DIR.",
        metavar="URI",
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for another process that works here already.")]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        help="What nets start from instead of the suite's weights: 'random', a file or a name; where they "
        "differ, BACKBONE=FILE,BACKBONE=FILE.",
    ),
]
KeepWeights = Annotated[
    bool, typer.Option("--keep-weights", help="Keep each evaluated model, for `bench features`.")
]
AcceptLeak = Annotated[
    list[str] | None,
    typer.Option("--accept-leak", help="Use this data set though its test is in training; repeatable."),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try the trials again that failed in an earlier run.")
]
StaleTrials = Annotated[
    Stale | None,
    typer.Option("--stale", help="Run trials of changed code again, or keep their results."),
]


def names(text: str | None, option: str) -> list[str] | None:
    """The names in a comma-separated list.

    Raises:
        UserError: for an empty name.
    """
    if text is None:
        return None
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise UserError(
            f"{option}: names are separated by single commas, as in '{option} a,b', not '{text}'."
        )
    return list(dict.fromkeys(found))


def run_folder(out: Path, suite: str, limited: bool) -> RunFolder:
    """The folder of what has run of a suite, with all steps or (`limited`) with fewer."""
    from bench.store import RunFolder

    whole = RunFolder(out / suite)
    return whole.limited() if limited else whole


def check_ran(out: Path, suite: str, limited: bool) -> None:
    """That not only the other kind of run is there, with all steps or with fewer.

    Raises:
        UserError: it is; says how to look at it.
    """
    from bench.store import PLAN

    run, other = (run_folder(out, suite, each) for each in (limited, not limited))
    if (run.path / PLAN).is_file() or not (other.path / PLAN).is_file():
        return
    kind = "all steps" if limited else "fewer steps (--limit-steps)"
    how = "leave out --limited" if limited else "add --limited"
    raise UserError(
        f"{run.path}: nothing of suite '{suite}' has run here; a run with {kind} is in {other.path}: {how} "
        "to look at that one."
    )


def choice(
    methods: str | None,
    data: str | None,
    seeds: str | None,
    full: bool,
    limit_steps: int | None,
    allow_empty_classes: bool = False,
    embedded: bool = False,
    decoder: str | None = None,
) -> Choice:
    """What of a suite was asked for.

    Raises:
        UserError: for lists or seeds that cannot be read.
    """
    from bench.plan import Choice
    from bench.suite import parse_seeds

    try:
        numbers = None if seeds is None else parse_seeds(seeds)
    except ValueError as error:
        raise UserError(f"--seeds: {error}.") from None
    return Choice(
        methods=names(methods, "--methods"),
        data=names(data, "--data"),
        seeds=numbers,
        full=full,
        limit_steps=limit_steps,
        allow_empty_classes=allow_empty_classes,
        embedded=embedded,
        decoder=decoder,
    )


def use_cache(folder: Path | None, gib: float | None) -> None:
    """Makes a clip cache and its limit known to this process and its workers.

    `~` and `$VARIABLES` are left for every machine to fill in.
    """
    from datasets.cache_folder import HOME, LIMIT

    if folder is not None:
        os.environ[HOME] = str(folder) if str(folder).startswith(("~", "$")) else str(folder.absolute())
    if gib is not None:
        os.environ[LIMIT] = repr(gib)


def deadline(hours: float | None) -> float | None:
    """When `--max-hours` are over, by `time.monotonic()`."""
    return None if hours is None else time.monotonic() + hours * 3600


def load_plugins(files: list[str] | None) -> None:
    """Makes plugin files known to this process and its workers; says which plugins cannot be used.

    A plugin that clashes with another one or breaks on import costs a line, and stops nothing that does not
    need it.
    """
    from bench import plugins

    for file in files or ():
        plugins.add_plugin_file(file)
    for problem in plugins.problems():
        print(f"warning: {' '.join(problem.split())}", file=sys.stderr)
