"""A run with everything that a page can show: two label budgets, class names, logs of the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_runs import reseal, suite, write_run

from bench.store import RunFolder, read_json
from bench.suite import LoadedSuite

ENTRIES = {
    "supervised": "baseline",
    "fixmatch": "competitor",
    "softmatch": "competitor",
    "full": "bound",
    "weak": "reference",
}
MEANS = {"supervised": 0.66, "fixmatch": 0.82, "softmatch": 0.7, "full": 0.97, "weak": 0.5}
CLASSES = [
    f"{d} {s}{t}"
    for d in ("forward", "backward")
    for s in ("tucked", "piked", "straight")
    for t in ("", "+twist")
]


def make_run(
    folder: Path, loaded: LoadedSuite | None = None, *, logs: bool = True, classes: list[str] | None = None,
    number: int = 12, banner: str = "", absent: dict[str, str] | None = None,
) -> tuple[LoadedSuite, RunFolder]:  # fmt: skip
    """The suite and its run folder; `number` is how many classes the records claim."""
    if loaded is None:
        loaded = suite(ENTRIES, labels=("2", "4"), notes={"fixmatch": "EMA teacher, aligned"})
    names = CLASSES if classes is None else classes
    plan: dict[str, Any] = {"classes": {"gymlike": names}, "absent": absent or {}}
    means = dict(
        zip(
            [entry.label for entry in loaded.suite.sections["embedded"].entries], MEANS.values(), strict=False
        )
    )
    run = write_run(loaded, folder, lambda e, labels, s: means[e], clips=240, banner=banner, plan=plan)
    if number != 12:
        for path in run.path.glob("trials/*/done.json"):
            reseal(path.parent, classes=number)
    if logs:
        with_logs(run)
    return loaded, run


def with_logs(run: RunFolder) -> None:
    """Writes the metrics log of every finished trial; only FixMatch and SoftMatch make pseudo-labels."""
    for done in sorted(run.path.glob("trials/*/done.json")):
        spec = read_json(done.with_name("spec.json"))
        rng = np.random.default_rng(spec["seed"])
        lines = []
        for step in range(0, 600, 10):
            line = {
                "step": step,
                "loss/supervised": 2.5 * float(np.exp(-step / 120)) + 0.1 * float(rng.random()),
            }
            if spec["method"] in ("fixmatch", "softmatch") and step >= 150:
                used = min(1.0, 0.2 + step / 1000 + 0.1 * float(rng.random()))
                line |= {"loss/unsupervised": 0.5, "pseudo/used": used, "pseudo/weight": used}
                line["pseudo/precision"] = 0.7 + 0.2 * float(rng.random())
            lines.append(json.dumps(line))
        done.with_name("metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
