"""`bench trial`: one trial in this process, without Ray."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options


def trial(
    spec: Annotated[
        Path,
        typer.Argument(
            help="A trial of `plan --export`, or a specification as in RUNS/SUITE/trials/ID/spec.json."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder of runs: an exported trial's is OUT/SUITE, any other's OUT/single.",
        ),
    ] = Path("runs"),
    storage: options.Storage = None,
    cache: options.Cache = None,
    cache_gib: options.CacheGib = None,
    init: options.Init = None,
    keep_weights: options.KeepWeights = False,
    plugin: options.Plugins = None,
    max_retries: options.MaxRetries = 2,
    trial_timeout: options.TrialTimeout = None,
    checkpoint_seconds: options.CheckpointSeconds = None,
    wait: options.Wait = False,
    accept_leak: options.AcceptLeak = None,
) -> int:
    """Run one trial here: no Ray, and no video decoder when the clips are cached.

    Stopped by Ctrl-C, SIGTERM or SIGUSR1, the same command goes on from the last checkpoint, which the two
    signals write first. A trial that is done is not run again. What a net starts from belongs to the
    specification, so with --init it is another trial, with an ID of its own.

    Example: python -m bench trial runs/smoke/trials/0123456789abcdef/spec.json --out again
    """
    options.use_cache(cache, cache_gib)
    options.load_plugins(plugin)
    from bench import exit_codes
    from bench.export import SINGLE, read_order
    from bench.failures import INFRASTRUCTURE
    from bench.initial_weights import net_from, parse_init
    from bench.leaks import refuse_leaks
    from bench.preemption import Preempted
    from bench.preflight import refuse
    from bench.progress import result_line
    from bench.run_stored import run_kept
    from bench.split_folder import check_split
    from bench.storage_uri import open_storage
    from bench.store import RunFolder
    from bench.trial import Manner

    order = read_order(spec)
    planned = order.trial.spec
    found = planned.model_copy(
        update={"backbone": net_from(planned.backbone, parse_init(init) if init else {})}
    )
    run = order.run if found == planned else SINGLE  # with other weights it is no trial of that run
    refuse(found, str(spec))
    refuse_leaks([found.data], accept_leak or ())
    check_split(found, spec)
    folder = RunFolder(out / run).trial(found.id)
    manner = Manner(
        wait=wait,
        timeout=trial_timeout,
        checkpoint_seconds=checkpoint_seconds,
        keep_weights=keep_weights,
    )
    store = None if storage is None else open_storage(storage)
    try:
        record = run_kept(found, folder, store, manner)
        for _ in range(max_retries):
            if record.get("kind") in INFRASTRUCTURE:
                record = run_kept(found, folder, store, manner)
    except Preempted as told:
        print(f"{told}; the same command goes on from the checkpoint in {folder.path}", file=sys.stderr)
        return exit_codes.INTERRUPTED
    print(result_line(order.trial, record, 1, 1))
    print(f"record: {folder.path / str(record['status'])}.json")
    return exit_codes.OK if record["status"] == "done" else exit_codes.FINDINGS
