"""Files the figures of a finished run of the suite `classic` as docs/classic.json, for docs/methods.md.

Example: python -m bench run --suite classic
         python docs/make_classic.py runs/classic && python docs/make_methods.py

Scores and intervals are those of the run's report (results.csv, stats.json); what became of the pseudo-labels
is the mean over seeds of the training logs.  No number is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

DATA = Path(__file__).parent / "classic.json"
BASELINE = "supervised"
SHARE = 5
"""The first and the last fifth of the logged steps stand for the start and the end."""


def quality(logs: Iterable[Sequence[Mapping[str, float]]]) -> dict[str, Any] | None:
    """What became of the pseudo-labels, averaged over the steps of several seeds.

    Args:
        logs: per seed the logged steps, as in metrics.jsonl.

    Returns:
        `accuracy` and `used` as [start, end], `precision` at the end; None where no step had pseudo-labels.
    """
    found: dict[str, list[float]] = {}
    for log in logs:
        steps = [step for step in log if "pseudo/accuracy" in step]
        if not steps:
            return None
        part = max(1, len(steps) // SHARE)
        for when, these in (("start", steps[:part]), ("end", steps[-part:])):
            for name in ("accuracy", "used", "precision"):
                values = [step[f"pseudo/{name}"] for step in these if f"pseudo/{name}" in step]
                found.setdefault(f"{name} {when}", []).extend(values)
    mean = {name: round(statistics.fmean(values), 3) for name, values in found.items() if values}
    return {
        **{name: [mean[f"{name} start"], mean[f"{name} end"]] for name in ("accuracy", "used")},
        "precision": mean.get("precision end"),
    }


def rows_of(run: Path) -> list[dict[str, Any]]:
    """One row per entry, the highest mean first."""
    scores = pd.read_csv(run / "report/results.csv", dtype={"trial": str})
    stats = json.loads((run / "report/stats.json").read_text(encoding="utf-8"))
    board = stats["boards"][0]
    tests = {test["a"]: test for test in board["tests"] if test["family"] == "B"}
    rows = []
    for row in sorted(board["rows"], key=lambda each: -each["mean"]):
        mine = scores[scores["entry"] == row["entry"]].sort_values("seed")
        folders = [run / "trials" / trial for trial in mine["trial"]]
        logs = [_log(folder / "metrics.jsonl") for folder in folders]
        spec = json.loads((folders[0] / "spec.json").read_text(encoding="utf-8"))
        test = tests.get(row["entry"], {})
        rows.append(
            {
                "entry": row["entry"],
                "role": row["role"],
                "scores": {str(seed): top1 for seed, top1 in zip(mine["seed"], mine["top1"], strict=True)},
                **{name: row[name] for name in ("mean", "low", "high")},
                "against_baseline": {
                    name: test.get(name) for name in ("estimate", "low", "high", "adjusted_p")
                },
                "pseudo_labels": quality(logs),
                "config": spec["config"],
            }
        )
    return rows


def _log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="the suite's folder in a folder of runs, as runs/classic")
    run: Path = parser.parse_args(arguments).run
    results = run / "report/results.csv"
    rows = rows_of(run)
    made = {
        "made_by": "python docs/make_classic.py RUNS/classic",
        "date": datetime.fromtimestamp(results.stat().st_mtime, UTC).strftime("%Y-%m-%d"),
        "cell": "synthgym@2",
        "baseline": BASELINE,
        "cpu_minutes": round(float(pd.read_csv(results)["train_cpu_seconds"].sum()) / 60, 1),
        "trials": sum(len(row["scores"]) for row in rows),
        "rows": rows,
    }
    DATA.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {DATA}")


if __name__ == "__main__":
    main()
