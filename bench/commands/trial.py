"""`bench trial`: one trial in this process, without Ray."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands import options
from datasets.errors import UserError

if TYPE_CHECKING:
    from bench.spec import TrialSpec


def trial(
    spec: Annotated[Path, typer.Argument(help="A specification, as in RUNS/SUITE/trials/ID/spec.json.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of runs; the trial's is OUT/single/trials/ID.")
    ] = Path("runs"),
    cache: options.Cache = None,
    cache_gib: options.CacheGib = None,
    keep_weights: options.KeepWeights = False,
    plugin: options.Plugins = None,
    max_retries: options.MaxRetries = 2,
    trial_timeout: options.TrialTimeout = None,
    wait: options.Wait = False,
) -> int:
    """Run one trial here: no Ray, and no video decoder when the clips are cached.

    Stopped by Ctrl-C, SIGTERM or SIGUSR1, the same command goes on from the last checkpoint, which the two
    signals write first. A trial that is done is not run again.

    Example: python -m bench trial runs/smoke/trials/0123456789abcdef/spec.json --out again
    """
    options.use_cache(cache, cache_gib)
    options.load_plugins(plugin)
    found = _read(spec)
    from bench import exit_codes
    from bench.failures import INFRASTRUCTURE
    from bench.plan import PlannedTrial
    from bench.preemption import Preempted
    from bench.preflight import refuse
    from bench.progress import result_line
    from bench.split_folder import check_split
    from bench.store import RunFolder
    from bench.trial import Manner, finished, run_trial

    refuse(found, str(spec))
    check_split(found, spec)
    folder = RunFolder(out / "single").trial(found.id)
    manner = Manner(wait=wait, timeout=trial_timeout, keep_weights=keep_weights)
    try:
        record = finished(found, folder) or run_trial(found, folder, manner)
        for _ in range(max_retries):
            if record.get("kind") in INFRASTRUCTURE:
                record = run_trial(found, folder, manner)
    except Preempted as told:
        print(f"{told}; the same command goes on from the checkpoint in {folder.path}", file=sys.stderr)
        return exit_codes.INTERRUPTED
    planned = PlannedTrial(
        section="single", entry=found.method, role="competitor", cell=found.cell, seed=found.seed, spec=found
    )
    print(result_line(planned, record, 1, 1))
    print(f"record: {folder.path / str(record['status'])}.json")
    return exit_codes.OK if record["status"] == "done" else exit_codes.FINDINGS


def _read(path: Path) -> TrialSpec:
    from bench.schema import stored_spec

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from None
    except ValueError as error:
        raise UserError(f"{path}: is no JSON ({error}); give a specification.") from None
    return stored_spec(values, path)
