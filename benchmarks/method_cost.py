"""What a training step of each method costs, relative to a step with labels alone, in one run.

Prints the clips that a step sends through backbones (forward, backward, per labeled clip) and its
milliseconds with the small net, 32 x 32 pixels, 8 frames, as many unlabeled as labeled clips.  Methods take
turns, one step each round, so that whatever else the machine does meets all of them; the ratio is the median
over rounds of the step's time by that of the plain step of the same round.  Views are made beforehand and
not counted.  Methods with extra inputs run on tiny stand-ins for their files, which real nets exceed.

Example: python benchmarks/method_cost.py --rounds 30 --write
With --write the times are filed where `ls methods` and docs/methods.md show them with their date; renew the
page then with `python docs/make_methods.py`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from bench import plugins
from bench.backbones.shiftnet import shiftnet
from bench.method_facts import CLASSES, FRAMES, LATE, TASK, facts_of, random_batch
from bench.method_times import MEASURED
from datasets.errors import UserError
from datasets.types import Batch
from methods.base import Method
from methods.config import build
from methods.extra_inputs import rehearsed

WARM_UP = 3
"""Rounds that are not counted."""
TOTAL = "labels alone"
TABLE = Path(__file__).parent.parent / "bench" / MEASURED
"""Where `ls methods` reads the table."""


@dataclass
class Subject:
    """A method under the clock: its batch, its optimizer, its seconds per round."""

    method: Method
    batch: Batch
    optimizer: torch.optim.Optimizer
    alone: bool
    seconds: list[float] = field(default_factory=list)

    def turn(self) -> None:
        """One training step."""
        started = time.perf_counter()
        made = (self.method.warm_up if self.alone else self.method.step)(self.batch, LATE)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(made.losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.method.after_step(LATE)
        self.seconds.append(time.perf_counter() - started)


def subject(method: type[Method], clips: int, alone: bool) -> Subject:
    """A method with its default settings on random clips."""
    torch.manual_seed(0)
    cls = rehearsed(method)
    made = cls(build(cls.Config, {}, cls.__name__), TASK, shiftnet).train()
    optimizer = torch.optim.AdamW(made.student.parameters(), lr=1e-4)
    return Subject(made, random_batch(made, clips), optimizer, alone)


def ratio(ours: Subject, plain: Subject) -> float:
    """Median over rounds of the ratio of times in one round."""
    pairs = zip(ours.seconds[WARM_UP:], plain.seconds[WARM_UP:], strict=True)
    return statistics.median(one / other for one, other in pairs)


def main() -> None:
    """Measures, prints, and with --write files the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--clips", type=int, default=8, help="labeled clips, and as many unlabeled ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"write bench/{MEASURED}")
    parser.add_argument("--to", type=Path, default=TABLE, help="where --write writes instead")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    facts, subjects = {}, {TOTAL: subject(Method, given.clips, alone=True)}
    for name in plugins.methods().names():
        try:
            cls = plugins.method_class(name)
        except UserError as error:
            print(f"left out: {error}")
            continue
        facts[name], subjects[name] = facts_of(cls), subject(cls, given.clips, alone=False)
    for _ in range(WARM_UP + given.rounds):
        for each in subjects.values():
            each.turn()

    plain = subjects[TOTAL]
    rows: dict[str, dict[str, float]] = {}
    print(f"{'method':24s} {'forward':>8s} {'backward':>8s} {'counted':>8s} {'ms':>8s} {'ratio':>6s}")
    for name, each in subjects.items():
        forward, backward = (facts[name].forward, facts[name].backward) if name in facts else (1.0, 1.0)
        row = {
            "forward": forward,
            "backward": backward,
            "counted": round((forward + 2 * backward) / 3, 4),
            "milliseconds": round(1e3 * statistics.median(each.seconds[WARM_UP:]), 2),
            "ratio": round(ratio(each, plain), 3),
        }
        rows[name] = row
        print(
            f"{name:24s} {forward:8.2f} {backward:8.2f} {row['counted']:8.2f} {row['milliseconds']:8.1f} "
            f"{row['ratio']:6.2f}"
        )
    if given.write:
        rows.pop(TOTAL)
        table = {"settings": settings(given.rounds, given.clips, given.threads), "methods": rows}
        given.to.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {given.to}")


def settings(rounds: int, clips: int, threads: int) -> dict[str, object]:
    """What the numbers belong to."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "net": "shiftnet",
        "frames": FRAMES,
        "classes": CLASSES,
        "labeled_clips": clips,
        "unlabeled_clips": clips,
        "rounds": rounds,
        "threads": threads,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
