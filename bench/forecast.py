"""How long and how large the rest of a plan will be, learned from trials that were done on this machine."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import run_places
from bench.costs import seconds
from bench.environment import processor
from bench.index import Index, held_bytes
from bench.method_times import labeled_clips
from bench.plan import PlannedTrial
from bench.progress import clock
from bench.spec import TrialSpec
from bench.store import DONE, RunFolder, read_json

MIB = 1 << 20


@dataclass(frozen=True)
class Past:
    """One finished trial of this machine: what it was, its steps, their seconds, those around, its bytes."""

    method: str
    backbone: str
    data: str
    device: str
    steps: int
    per_step: float
    around: float
    bytes: int


@dataclass(frozen=True)
class Forecast:
    """What is still to come.

    Attributes:
        seconds: from now to the end, at `at_once` trials at a time; None when nothing is known.
        gpu_hours: hours of GPUs, for the trials that use one.
        bytes: disk that the records will take.
        at_once: trials at a time.
        basis: what the numbers come from, in words.
    """

    seconds: float | None
    gpu_hours: float | None
    bytes: int | None
    at_once: int
    basis: str


def past_trials(out: Path) -> list[Past]:
    """The finished trials of all suites in a folder of runs that this machine did."""
    here = processor()
    found = []
    for trials in sorted(out.glob("*/trials")):
        run = RunFolder(trials.parent)
        index = Index(run)
        for name in _names(trials):
            folder = run.trial(name).path
            try:
                record = index.known(name) or read_json(folder / DONE)
                if record.get("environment", {}).get("processor") == here:
                    size = record["bytes"] if "bytes" in record else held_bytes(folder)
                    found.append(past_of(record, size))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
                continue  # a damaged record teaches nothing
    return found


def past_of_machine(out: Path) -> list[Past]:
    """The finished trials in a folder of runs; where it has none, those in others that were used here."""
    return past_trials(out) or [past for each in run_places.known(out)[1:] for past in past_trials(each)]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def past_of(record: Mapping[str, Any], size: int = 0) -> Past:
    """What the record of a finished trial teaches; `size` is of its files, in bytes."""
    spec = record["spec"]
    steps = int(spec["protocol"]["steps"])
    return Past(
        method=str(spec["method"]),
        backbone=str(spec["backbone"]["name"]),
        data=str(spec["data"]),
        device=str(spec["device"]),
        steps=steps,
        per_step=float(record["train_seconds"]) / steps,
        around=seconds(record) - float(record["train_seconds"]),
        bytes=size,
    )


class Paces:
    """How long trials take, as the most similar past ones did: of method and data set, of the method, of any.

    Args:
        past: finished trials.
    """

    def __init__(self, past: Iterable[Past]) -> None:
        found: dict[tuple[str, ...], list[Past]] = {}
        for each in past:
            for key in _likeness(each.backbone, each.device, each.method, each.data):
                found.setdefault(key, []).append(each)
        self._medians = {
            key: (
                _usual_step(group),
                statistics.median(p.around for p in group),
                statistics.median(p.bytes for p in group),
            )
            for key, group in found.items()
        }

    def guess(self, spec: TrialSpec) -> tuple[float, float, str] | None:
        """Seconds and bytes of a trial, and how similar the trials are that tell; None without any."""
        names = ("of the same method and data", "of the same method", "of other methods")
        likeness = _likeness(spec.backbone.name, spec.device, spec.method, spec.data)
        for key, name in zip(likeness, names, strict=True):
            if key in self._medians:
                per_step, around, size = self._medians[key]
                return per_step * spec.protocol.steps + around, size, name
        return None

    def seconds(self, spec: TrialSpec) -> float | None:
        """Seconds of a trial, None when no past trial tells."""
        found = self.guess(spec)
        return None if found is None else found[0]


def _usual_step(group: Sequence[Past]) -> float:
    """The median of seconds per step over all steps of the trials.

    Over trials instead, a few short ones would speak for long ones, and their first step, which starts a
    net's libraries, is not like the others.
    """
    times, counts = [each.per_step for each in group], [each.steps for each in group]
    return float(np.quantile(times, 0.5, weights=counts, method="inverted_cdf"))


def _likeness(backbone: str, device: str, method: str, data: str) -> tuple[tuple[str, ...], ...]:
    """Keys of past trials that tell about one, the most similar first."""
    return (backbone, device, method, data), (backbone, device, method), (backbone, device)


def longest_first(trials: Sequence[PlannedTrial], past: Iterable[Past]) -> list[PlannedTrial]:
    """Trials by the time that they will take, longest first, so that none runs alone at the end.

    Where no past trial tells, steps times clips per step stand for time, at the pace of those that are known;
    what a clip takes with each method was measured (`method_times`).  Equally long ones keep their order.
    """
    paces = Paces(past)
    known = {trial.spec.id: paces.seconds(trial.spec) for trial in trials}
    rates = [took / _clips(trial.spec) for trial in trials if (took := known[trial.spec.id]) is not None]
    rate = statistics.median(rates) if rates else 1.0

    def length(trial: PlannedTrial) -> float:
        took = known[trial.spec.id]
        return _clips(trial.spec) * rate if took is None else took

    return sorted(trials, key=length, reverse=True)


def _clips(spec: TrialSpec) -> float:
    """Labeled clips whose training takes about as long as the trial's."""
    batch = spec.protocol.batch
    step = labeled_clips(spec.method, batch.labeled, batch.unlabeled)
    return spec.protocol.steps * batch.accumulate * step


def forecast(todo: Sequence[PlannedTrial], past: Sequence[Past], cpus: int, gpus: int) -> Forecast:
    """Learns from the most similar past trials, see `Paces`.

    Args:
        todo: trials that will run.
        past: finished ones.
        cpus: CPUs that trials may use.
        gpus: GPUs that trials may use.
    """
    specs = list({trial.spec.id: trial.spec for trial in todo}.values())
    paces = Paces(past)
    guesses = [paces.guess(spec) for spec in specs]
    known = [(spec, guess) for spec, guess in zip(specs, guesses, strict=True) if guess is not None]
    at_once = max(1, min((_places(spec, cpus, gpus) for spec in specs), default=1))
    if not known:
        return Forecast(None, None, None, at_once, "no finished trial of this machine to learn from")
    total = sum(guess[0] for _, guess in known) * len(specs) / len(known)
    longest = max(guess[0] for _, guess in known)
    on_gpu = [guess[0] for spec, guess in known if spec.device == "cuda"]
    size = round(statistics.fmean(guess[1] for _, guess in known) * len(specs))
    return Forecast(
        seconds=max(total / at_once, longest),
        gpu_hours=sum(on_gpu) / 3600 if on_gpu else None,
        bytes=size,
        at_once=at_once,
        basis=_basis([guess[2] for _, guess in known], len(specs)),
    )


def _places(spec: TrialSpec, cpus: int, gpus: int) -> int:
    by_cpu = cpus // spec.protocol.threads
    return min(by_cpu, gpus) if spec.device == "cuda" else by_cpu


def _basis(names: Sequence[str], total: int) -> str:
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    parts = [f"{count} from trials {name}" for name, count in counts.items()]
    if len(names) < total:
        parts.append(f"{total - len(names)} taken as the mean of those")
    return f"learned on this machine: {', '.join(parts)}"


def forecast_lines(found: Forecast) -> list[str]:
    """The forecast for people; always says what it rests on."""
    if found.seconds is None:
        return [f"time and disk are unknown: {found.basis}"]
    hours = "" if found.gpu_hours is None else f", {found.gpu_hours:.1f} GPU-hours"
    disk = "" if found.bytes is None else f", {found.bytes / MIB:,.1f} MiB of disk"
    return [
        f"to do: about {clock(found.seconds)} with {found.at_once} trials at a time{hours}{disk}",
        f"  ({found.basis})",
    ]
