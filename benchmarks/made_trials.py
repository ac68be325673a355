"""Folders of finished trials that nobody trained, as large benchmarks need them by the thousand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.spec import TrialSpec
from bench.store import DONE, METRICS, PREDICTIONS, SPEC, sealed, sha256


def file_trial(folder: Path, spec: TrialSpec, answers: pa.Table, log: str, record: Mapping[str, Any]) -> None:
    """What a finished trial leaves, `done.json` last; without waiting for the disk after each file."""
    folder.mkdir(parents=True, exist_ok=True)
    predictions = folder / PREDICTIONS
    pq.write_table(answers, predictions)
    values = spec.model_dump(mode="json")
    (folder / SPEC).write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
    (folder / METRICS).write_text(log, encoding="utf-8")
    whole = sealed(
        {
            **record,
            "id": spec.id,
            "spec": values,
            "status": "done",
            "predictions_bytes": predictions.stat().st_size,
            "predictions_sha256": sha256(predictions),
        }
    )
    (folder / DONE).write_text(json.dumps(whole, indent=1, sort_keys=True), encoding="utf-8")
