"""How long a step of each method takes beside others, as `benchmarks/method_cost.py` measured it."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

MEASURED = "method_cost.json"
"""File beside this one with the times that `benchmarks/method_cost.py` measured."""


@functools.cache
def _measurement() -> dict[str, Any]:
    file = resources.files("bench") / MEASURED
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def measured() -> dict[str, float]:
    """Times of steps relative to labels alone, by method; empty before they were measured."""
    return {name: row["ratio"] for name, row in _measurement().get("methods", {}).items()}


def measured_how() -> str:
    """When and how times were measured, for a footnote; empty before they were."""
    made = _measurement().get("settings")
    if made is None:
        return ""
    return (
        f"measured on {made['date']} with the small net ({made['labeled_clips']} labeled and as many "
        f"unlabeled clips, threads: {made['threads']}, median of {made['rounds']} rounds in which all "
        "methods take turns)"
    )


def labeled_clips(method: str, labeled: int, unlabeled: int) -> float:
    """Labeled clips whose training takes about as long as a step of a method.

    An unlabeled clip counts as many as the method spent on one where it was measured; one where it was not.

    Args:
        method: its name.
        labeled: clips of the step.
        unlabeled: clips of the step.
    """
    made, ratio = _measurement().get("settings"), measured().get(method)
    if made is None or ratio is None:
        return labeled + unlabeled
    each = max(0.0, ratio - 1) * made["labeled_clips"] / made["unlabeled_clips"]
    return float(labeled + unlabeled * each)
