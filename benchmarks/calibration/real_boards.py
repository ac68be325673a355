"""How much differences vary over the seeds of real boards."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Measured:
    """How much differences to the baseline vary on a real board: `sd` in points, over all its entries."""

    cell: str
    seeds: int
    sd: float
    low: float
    high: float


def measured(results: Path) -> list[Measured]:
    """The boards of a results table: root mean square, least and largest sd of a paired difference."""
    scores: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    baseline = {}
    with results.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["status"] == "done" and row["role"] in ("competitor", "baseline"):
                cell = f"{row['data']}, {row['labels']} labels per class"
                scores[cell][row["entry"]][row["seed"]] = float(row["top1"])
                if row["role"] == "baseline":
                    baseline[cell] = row["entry"]
    found = []
    for cell, name in baseline.items():
        base = scores[cell].pop(name)
        gaps = [
            [mine[s] - base[s] for s in sorted(mine.keys() & base.keys())] for mine in scores[cell].values()
        ]
        sds = [100 * float(np.std(gap, ddof=1)) for gap in gaps if len(gap) > 2]
        if sds:
            square = float(np.sqrt(np.mean(np.square(sds))))
            found.append(Measured(cell, len(base), square, min(sds), max(sds)))
    return found
