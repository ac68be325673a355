"""Why a row of the suite `classic` stands where it does: its trials again with one setting changed.

Takes the specifications of finished trials, changes one field of the method's config, trains and scores them
on the test clips, and adds a line per trial to a CSV file, which docs/methods.md shows.  These trials leave
no record and stand on no board: they explain rows.

Example: python benchmarks/classic_controls.py runs/classic mixmatch unlabeled_weight=3.0 --seeds 0-4
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import yaml

from bench import evaluate
from bench.experiment import Experiment, set_determinism
from bench.spec import TrialSpec
from bench.suite import parse_seeds
from bench.trial import prepare_scene

COLUMNS = ("entry", "field", "value", "seed", "top1")


def specs_of(run: Path, method: str) -> dict[int, dict[str, Any]]:
    """The specifications of a method's trials by seed, bounds (all labels) left out."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in (run / "trials").glob("*/spec.json"))
    return {spec["seed"]: spec for spec in found if spec["method"] == method and spec["labels"] != "all"}


def score(spec: TrialSpec) -> float:
    """Trains and gives the top-1 accuracy on the clips that the trial is scored on."""
    set_determinism(spec)
    scene, _ = prepare_scene(spec)
    experiment = Experiment(spec, scene)
    experiment.train(lambda values: None, lambda: None)
    return evaluate.metrics(experiment.predictions(), scene.task.classes)["top1"]


def main() -> None:
    """Trains the changed trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="the suite's folder in a folder of runs")
    parser.add_argument("method")
    parser.add_argument("change", help="FIELD=VALUE of the method's config")
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--to", type=Path, default=Path("docs/classic_controls.csv"))
    given = parser.parse_args()
    field, text = given.change.split("=", 1)
    specs = specs_of(given.run, given.method)
    for seed in parse_seeds(given.seeds):
        values = specs[seed]
        values["config"][field] = yaml.safe_load(text)
        top1 = score(TrialSpec.model_validate(values))
        new = not given.to.exists()
        with given.to.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow((given.method, field, text, seed, f"{top1:.6f}"))
        print(f"{given.method} {given.change} seed {seed}: {100 * top1:.1f}")


if __name__ == "__main__":
    main()
