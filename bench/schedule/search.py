"""Settings drawn by Ray Tune's samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schedule.cluster import import_ray
from methods.config import Choices, Span


def draw_configurations(
    ranges: Mapping[str, Choices | Span], count: int, seeds: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Draws settings by Ray Tune's samplers.

    Args:
        ranges: where to search, by name.
        count: how many configurations.
        seeds: a seed for each name, so that adding one range does not move the draws of another.

    Returns:
        `count` dictionaries of one value per name.
    """
    import_ray()
    drawn: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, declared in ranges.items():
        state = np.random.RandomState(seeds[name] % 2**32)
        domain = _domain(declared)
        for values in drawn:
            value = domain.sample(random_state=state)
            values[name] = value.item() if isinstance(value, np.generic) else value
    return drawn


def _domain(declared: Choices | Span) -> Any:
    from ray import tune

    if isinstance(declared, Choices):
        return tune.choice(list(declared.values))
    make = tune.loguniform if declared.log else tune.uniform
    return make(declared.low, declared.high)
