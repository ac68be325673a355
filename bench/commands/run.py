"""`bench run` and `bench plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options


def run(
    suite: options.Suite = "fine_grained",
    methods: options.Methods = None,
    data: options.Data = None,
    seeds: options.Seeds = None,
    full: options.Full = False,
    embedded: options.Embedded = False,
    out: options.Out = Path("runs"),
    to: options.To = None,
    limit_steps: options.LimitSteps = None,
    allow_empty_classes: options.AllowEmptyClasses = False,
    decoder: options.Decoder = None,
    max_concurrent: options.MaxConcurrent = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    address: options.Address = None,
    storage: options.Storage = None,
    cache: options.Cache = None,
    cache_gib: options.CacheGib = None,
    max_retries: options.MaxRetries = 2,
    trial_timeout: options.TrialTimeout = None,
    max_hours: options.MaxHours = None,
    fail_fast: options.FailFast = False,
    checkpoint_seconds: options.CheckpointSeconds = None,
    mlflow: options.Mlflow = None,
    wait: options.Wait = False,
    init: options.Init = None,
    keep_weights: options.KeepWeights = False,
    plugin: options.Plugins = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also run what needs a GPU on a machine without one.")
    ] = False,
    stale: options.StaleTrials = None,
    retry_failed: options.RetryFailed = False,
    accept_leak: options.AcceptLeak = None,
) -> int:
    """Run what is not done yet of a suite, and render its leaderboard.

    The same command again goes on where it was stopped, and does nothing when all is done. Trials that
    failed stay as they are without --retry-failed, except where their worker was lost or code has changed.

    Example: python -m bench run --suite fine_grained --seeds 0-9
    """
    from bench.suite import load_suite

    loaded = load_suite(suite)
    options.use_cache(cache, cache_gib)
    options.load_plugins(plugin)
    from bench import runner
    from bench.initial_weights import starting_from
    from bench.leaks import refuse_leaks
    from bench.schedule import Settings

    named = [task.data for section in loaded.suite.sections.values() for task in section.tasks]
    refuse_leaks(options.names(data, "--data") or named, accept_leak or ())
    return runner.run_suite(
        starting_from(loaded, init),
        runner.Options(
            choice=options.choice(
                methods, data, seeds, full, limit_steps, allow_empty_classes, embedded, decoder
            ),
            out=out,
            to=to,
            settings=Settings(
                max_concurrent=max_concurrent,
                cpus_per_trial=cpus_per_trial,
                gpus_per_trial=gpus_per_trial,
                address=address,
                max_retries=max_retries,
                trial_timeout=trial_timeout,
                checkpoint_seconds=checkpoint_seconds,
                keep_weights=keep_weights,
                deadline=options.deadline(max_hours),
                fail_fast=fail_fast,
                storage=storage,
            ),
            yes=yes,
            stale=None if stale is None else stale.value,
            retry_failed=retry_failed,
            wait=wait,
            mlflow=mlflow,
            accepted=tuple(accept_leak or ()),
        ),
    )


def plan(
    suite: options.Suite = "fine_grained",
    methods: options.Methods = None,
    data: options.Data = None,
    seeds: options.Seeds = None,
    full: options.Full = False,
    embedded: options.Embedded = False,
    out: options.Out = Path("runs"),
    storage: options.Storage = None,
    limit_steps: options.LimitSteps = None,
    allow_empty_classes: options.AllowEmptyClasses = False,
    init: options.Init = None,
    decoder: options.Decoder = None,
    plugin: options.Plugins = None,
    specs: Annotated[
        Path | None,
        typer.Option("--specs", help="Write every trial's specification as DIR/ID.json, and their splits."),
    ] = None,
    stale: options.StaleTrials = None,
    retry_failed: options.RetryFailed = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help="Write the trials to do, numbered, and a Slurm array script into this new folder.",
            metavar="DIR",
        ),
    ] = None,
    accept_leak: options.AcceptLeak = None,
) -> int:
    """Show what a run would do: every trial, whether it is done, stale, failed or missing, and what it costs.

    Time and disk are learned from trials that this machine has done; the basis is named. A trial that could
    not start is refused as by `run`, but for the weights of its net. With --export the run folder gets the
    plan, so that `report` finds what the jobs finish.

    Example: python -m bench plan --suite fine_grained --seeds 0-9 --export jobs
    """
    from bench.suite import load_suite

    loaded = load_suite(suite)
    options.load_plugins(plugin)
    import torch

    from bench import runner
    from bench.agenda import counts, extended, make_agenda, survey
    from bench.forecast import forecast, forecast_lines, past_of_machine
    from bench.initial_weights import starting_from
    from bench.plan_file import refuse_other_schema
    from bench.preflight import refuse_impossible, unflipped
    from bench.schedule import available_cpus
    from bench.split_folder import keep_splits
    from bench.store import write_json
    from bench.stored_run import StoredRun

    chosen = options.choice(methods, data, seeds, full, limit_steps, allow_empty_classes, embedded, decoder)
    loaded = extended(starting_from(loaded, init), chosen.methods or ())
    folder = runner.run_folder(loaded, out, chosen)
    refuse_other_schema(folder)
    stored = StoredRun.at(storage, folder)
    if stored is not None:
        stored.pull()
    agenda = make_agenda(loaded, chosen)
    runner.announce(agenda)
    states = survey(agenda.trials, folder)
    for trial in agenda.trials:
        print(f"{trial.spec.id} {states[trial.spec.id]:7} {trial.line}")
        if specs is not None:
            write_json(specs / f"{trial.spec.id}.json", trial.spec.model_dump(mode="json"), "--specs")
    if specs is not None:
        keep_splits((trial.spec for trial in agenda.trials), specs, "--specs")
    print(f"{len(states)} trials: {', '.join(counts(states.values()))}")
    wanted = runner.wanted_states(stale == options.Stale.redo, retry_failed)
    todo = [trial for trial in agenda.trials if states[trial.spec.id] in wanted]
    if todo:
        if export is None:  # that looks closer
            refuse_impossible(todo, weights=False)
        past = past_of_machine(out)
        for line in forecast_lines(forecast(todo, past, available_cpus(), torch.cuda.device_count())):
            print(line)
        for sentence in unflipped(todo):
            print(sentence)
    if export is not None:
        from bench.array_job import export_trials
        from bench.export import Destination
        from bench.leaks import refuse_leaks

        accepted = tuple(accept_leak or ())
        refuse_leaks((trial.spec.data for trial in agenda.trials), accepted)
        uri = None if stored is None else stored.storage.uri
        to = Destination(out, uri, tuple(plugin or ()), accepted)
        export_trials(loaded, agenda, todo, stored or folder, to, export)
    return 0
