"""`results.csv`: one row per planned trial; all but the costs is a function of specs and predictions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from bench.blocks import chance_pattern
from bench.records import ClipList, Record
from bench.stats import weights_mean_per_class

METRICS = ("top1", "top5", "mean_class", "macro_f1", "ece", "nll")
COLUMNS = (
    "section",
    "entry",
    "method",
    "role",
    "data",
    "labels",
    "seed",
    "trial",
    "status",
    *METRICS,
    "evaluated",
    "listed",
    "labeled",
    "unlabeled",
    "parameters",
    "code_hash",
    "split_hash",
    "scored_step",
)
COST_ENDINGS = ("_seconds", "_hours", "_mib", "_joules")


def results_csv(records: Sequence[Record]) -> str:
    """The table as text, sorted by section, data set, label budget, entry and seed.

    `status` is done, limited (fewer steps than the suite asks for), diverged, failed or missing.  A diverged
    trial has no predictions; its top1 and mean_class are those of one class for every clip, as on the board.
    `labels` is the budget of the board: a bound stands on it with all labels (see `labeled`).
    """
    costs = sorted({key for record in records for key in record.done if key.endswith(COST_ENDINGS)})
    clips = {record.planned.cell: record.scored for record in records if record.scored is not None}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, *costs])
    for record in sorted(records, key=place):
        row = _cells(record, clips.get(record.planned.cell))
        writer.writerow([*(row[name] for name in COLUMNS), *(_cost(record, name) for name in costs)])
    return out.getvalue()


def place(record: Record) -> tuple[str, str, str, int]:
    """Where a trial stands in files that list all of them."""
    planned = record.planned
    return planned.section, planned.cell, planned.entry, planned.seed


def _cells(record: Record, scored: ClipList | None) -> dict[str, str]:
    planned, spec, done = record.planned, record.spec, record.done
    data, _, labels = planned.cell.rpartition("@")
    metrics = dict(record.metrics)
    if record.status == "diverged" and scored is not None:
        chance = chance_pattern(scored)
        weights = weights_mean_per_class(scored.labels)
        metrics = {"top1": float(chance.mean()), "mean_class": float(chance @ weights)}
    whole = {
        "evaluated": record.evaluated if done else None,
        "listed": len(record.scored.clips) if record.scored else None,
        "labeled": done.get("labeled"),
        "unlabeled": done.get("unlabeled"),
        "parameters": done.get("parameters"),
        "scored_step": done.get("checkpoint_step"),
    }
    return {
        "section": planned.section,
        "entry": planned.entry,
        "method": spec.method,
        "role": planned.role,
        "data": data,
        "labels": labels,
        "seed": str(planned.seed),
        "trial": spec.id,
        "status": "limited" if spec.limited and record.status == "done" else record.status,
        **{name: _fixed(metrics.get(name)) for name in METRICS},
        **{name: "" if value is None else str(value) for name, value in whole.items()},
        "code_hash": str(done.get("code_hash", "")),
        "split_hash": spec.split_hash,
    }


def _fixed(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6f}"


def _cost(record: Record, name: str) -> str:
    value = record.done.get(name)
    return "" if value is None else f"{float(value):.3f}"
