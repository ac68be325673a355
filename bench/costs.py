"""What a trial cost: time, throughput, memory, energy, as far as its record says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.records import Record

JOULES_PER_KWH = 3.6e6
SECONDS = ("prepare_seconds", "train_seconds", "evaluate_seconds")

Clock = Literal["processor", "clock"]


@dataclass(frozen=True)
class Costs:
    """The costs of one or of several finished trials; None where no record says.

    Attributes:
        seconds: everything from preparing the data to the last prediction.
        gpu_hours: the same in hours, for trials on a GPU (one GPU each).
        cpu_hours: hours times threads, for trials on a CPU.
        clips_per_second: training clips, labeled and unlabeled, per second of training (`spent`).
        peak_memory_mib: the most memory of the device that a trial held.
        energy_kwh: what the device drew, where it could be read.
    """

    seconds: float
    gpu_hours: float | None
    cpu_hours: float | None
    clips_per_second: float | None
    peak_memory_mib: float | None
    energy_kwh: float | None


def seconds(done: Mapping[str, Any]) -> float:
    """All seconds of a finished trial."""
    return sum(float(done.get(name, 0.0)) for name in SECONDS)


def spent(record: Record) -> tuple[float, Clock]:
    """Seconds that a finished trial took, and of which clock.

    On a CPU the processor time of training, which neighbors on the machine do not change; on a GPU, and for
    records from before it was measured, everything by the clock on the wall.
    """
    used = record.done.get("train_cpu_seconds")
    if record.spec.device != "cuda" and used:
        return float(used), "processor"
    return seconds(record.done), "clock"


def _training_seconds(record: Record) -> float:
    """Seconds of training by the clock of `spent`."""
    took, clock = spent(record)
    return took if clock == "processor" else float(record.done["train_seconds"])


def total(records: Sequence[Record]) -> Costs | None:
    """The costs of the finished trials among these: sums, mean throughput, highest peak; None without any."""
    done = [record for record in records if record.done]
    if not done:
        return None
    on_gpu = [record for record in done if record.spec.device == "cuda"]
    on_cpu = [record for record in done if record.spec.device != "cuda"]
    clips = [r for r in done if r.done.get("clips_seen") and r.done.get("train_seconds")]
    trained = sum(_training_seconds(r) for r in clips)
    energy = _known(done, "energy_joules")
    return Costs(
        seconds=sum(seconds(record.done) for record in done),
        gpu_hours=sum(seconds(record.done) for record in on_gpu) / 3600 if on_gpu else None,
        cpu_hours=(sum(seconds(r.done) * r.spec.protocol.threads for r in on_cpu) / 3600 if on_cpu else None),
        clips_per_second=sum(float(r.done["clips_seen"]) for r in clips) / trained if trained else None,
        peak_memory_mib=max(_known(done, "peak_memory_mib"), default=None),
        energy_kwh=sum(energy) / JOULES_PER_KWH if len(energy) == len(done) else None,
    )


def _known(records: Sequence[Record], name: str) -> list[float]:
    return [float(record.done[name]) for record in records if record.done.get(name) is not None]
