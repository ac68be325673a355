"""What a training step of each entry of a suite costs: frames, clips and operations, counted, not timed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tabulate import tabulate

from bench import budget
from bench.budget import StepCost
from bench.experiment import Scene, build_state
from bench.plan import PlannedTrial
from bench.trial import prepare_scene

_LEGEND = """\
Of one optimizer step after the warm-up, the same numbers as `step_cost` in each trial's done.json.
decoded: frames that the views ask for (views of equal frames count once).  through nets: frames that
students and teachers see.  clips: as many frames as a view of the entry has, forward + backward.  GFLOP:
matrix products, convolutions and attention, both ways, a multiplication and an addition counted as two."""


@dataclass(frozen=True)
class EntryCost:
    """An entry of a suite and the cost of its step; `frames`: of one of its views, all levels together."""

    section: str
    entry: str
    method: str
    frames: int
    cost: StepCost


def of_trials(trials: Iterable[PlannedTrial]) -> Iterator[EntryCost]:
    """One cost per entry and section, of the first trial of each.

    Raises:
        UserError: for data that is not there or a method that cannot run on it.
    """
    seen: set[tuple[str, str]] = set()
    scenes: dict[str, Scene] = {}
    for trial in trials:
        if (trial.section, trial.entry) in seen:
            continue
        seen.add((trial.section, trial.entry))
        spec = trial.spec
        shown = repr((spec.data, spec.labels, spec.seed, spec.protocol))
        if shown not in scenes:
            scenes[shown] = prepare_scene(spec)[0]
        method = build_state(spec, scenes[shown]).method
        cost = budget.step_cost(method, scenes[shown], spec.protocol, spec.seed)
        yield EntryCost(trial.section, trial.entry, spec.method, sum(method.sampler().levels), cost)


def as_rows(costs: Iterable[EntryCost]) -> list[dict[str, Any]]:
    """Plain data, one row per entry."""
    rows = [asdict(each) for each in costs]
    return [{**row, **row.pop("cost")} for row in rows]


def as_text(costs: Iterable[EntryCost]) -> str:
    """The table for a terminal."""
    headers = ["section", "entry", "view frames", "decoded", "through nets", "clips", "GFLOP"]
    cells = [
        [
            each.section,
            each.entry,
            each.frames,
            each.cost.frames_decoded,
            each.cost.frames_forward,
            f"{each.cost.clips_forward:g}+{each.cost.clips_backward:g}",
            "-" if each.cost.flops is None else f"{each.cost.flops / 1e9:.2f}",
        ]
        for each in costs
    ]
    align = ("left", "left", *["right"] * 5)
    table = tabulate(cells, headers, tablefmt="plain", disable_numparse=True, colalign=align)
    return f"{table}\n\n{_LEGEND}"
