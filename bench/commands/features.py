"""`bench features` and `bench probe`."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options


class Fit(StrEnum):
    """The clips that a probe is fitted on."""

    labeled = "labeled"
    train = "train"


FeatureFile = Annotated[Path, typer.Argument(help="Features that `bench features` wrote.")]
Named = Annotated[
    str, typer.Option("--features", help="fused, levels (side by side), or one: level_0, level_1, ...")
]
FitOn = Annotated[
    Fit, typer.Option("--fit", help="The clips whose label the trial knew, or the whole training list.")
]


def features(
    trial: Annotated[Path, typer.Argument(help="The folder of a trial: RUNS/SUITE/trials/ID.")],
    data: Annotated[
        str | None, typer.Option("--data", help="A data set; default: the one of the trial.", metavar="NAME")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="The tensors; their index lies beside them as .parquet.")
    ] = Path("features.safetensors"),
    plugin: options.Plugins = None,
) -> int:
    """Write what a trained net says of every clip: level by level, and fused, with the clips' keys.

    Needs a trial that kept its weights: bench run --keep-weights, or bench trial --keep-weights. The files
    load with safetensors and any reader of Parquet.

    Example: python -m bench features runs/smoke/trials/0123456789abcdef --out features.safetensors
    """
    options.load_plugins(plugin)
    from bench import feature_files
    from bench.features import of_trial
    from bench.store import TrialFolder

    feature_files.refuse_out(out)
    found = of_trial(TrialFolder(trial), data)
    feature_files.write(found, out)
    for clip, reason in found.about["excluded"].items():
        print(f"left out, since it cannot be decoded: {clip} ({reason})")
    shapes = ", ".join(f"{name} {value.shape[1]}" for name, value in found.tensors.items())
    print(f"{len(found.index)} clips, widths: {shapes}")
    print(f"features: {out}")
    print(f"index: {feature_files.index_path(out)}")
    return 0


def probe(
    file: FeatureFile,
    named: Named = "fused",
    fit: FitOn = Fit.labeled,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Fit a linear probe and k nearest neighbors on features, and score them on the test clips.

    Example: python -m bench probe features.safetensors --fit labeled
    """
    from bench import feature_files, probes

    found = feature_files.read(file)
    scores = [probes.evaluate(found, named, each, fit.value) for each in probes.PROBES]
    if as_json:
        print(json.dumps([dataclasses.asdict(score) for score in scores], indent=1))
        return 0
    for score in scores:
        print(
            f"{score.probe:7} top1 {100 * score.top1:.1f}  mean per class {100 * score.mean_class:.1f}  "
            f"({score.fitted} clips fitted, {score.scored} scored)"
        )
    return 0
