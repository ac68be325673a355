"""`bench tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options


def tune(
    suite: options.Suite = "fine_grained",
    configs: Annotated[
        int, typer.Option("--configs", min=1, help="Configurations of every entry, its own included.")
    ] = 8,
    methods: options.Methods = None,
    out: options.Out = Path("runs"),
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write instead of the one that the suite names.")
    ] = None,
    section: Annotated[
        str | None, typer.Option("--section", help="Which section, where several can be tuned.")
    ] = None,
    limit_steps: options.LimitSteps = None,
    max_concurrent: options.MaxConcurrent = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    address: options.Address = None,
    max_retries: options.MaxRetries = 2,
    trial_timeout: options.TrialTimeout = None,
    max_hours: options.MaxHours = None,
    fail_fast: options.FailFast = False,
    mlflow: options.Mlflow = None,
    wait: options.Wait = False,
    plugin: options.Plugins = None,
    stale: options.StaleTrials = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed trials again.")] = False,
    accept_leak: options.AcceptLeak = None,
) -> int:
    """Search settings with the same effort for every entry, on validation clips and seeds of their own.

    Draws the same number of configurations for each, from the ranges that methods and suite declare, and
    writes the best by mean validation accuracy to the file that the suite names. Resumable like a run.

    Example: python -m bench tune --suite fine_grained --configs 8
    """
    from bench.suite import load_suite

    loaded = load_suite(suite)
    options.load_plugins(plugin)
    from bench import tune as search
    from bench.runner import Options
    from bench.schedule import Settings

    return search.tune_suite(
        loaded,
        search.Effort(
            configurations=configs,
            methods=options.names(methods, "--methods"),
            section=section,
            limit_steps=limit_steps,
        ),
        options=Options(
            out=out,
            to=to,
            settings=Settings(
                max_concurrent=max_concurrent,
                cpus_per_trial=cpus_per_trial,
                gpus_per_trial=gpus_per_trial,
                address=address,
                max_retries=max_retries,
                trial_timeout=trial_timeout,
                deadline=options.deadline(max_hours),
                fail_fast=fail_fast,
            ),
            stale=None if stale is None else stale.value,
            retry_failed=retry_failed,
            wait=wait,
            mlflow=mlflow,
            accepted=tuple(accept_leak or ()),
        ),
    )
