"""SeFAR's training step: what K teacher passes cost, and the whole step against a plain transcription.

Three tables, each from one run whose subjects take turns, so that whatever else the machine does meets all:

1. The step at K = 1, 2, 5, 10, 20 teacher predictions, relative to K = 1 of the same round, and the share of
   the teacher.  Goal: K = 20 within 1.1 times of K = 1.
2. The step against a transcription of the published procedure on the same net, the same clips and the same
   draws: three student passes, K = 10 full teacher passes, softmax attention written out, an average that is
   moved tensor by tensor.  Median over interleaved pairs of the ratio of their times.  Goals: 2 times in
   float32, 3 times in bfloat16.  With --compile our nets are compiled, which takes minutes on a CPU.
3. With --gpu: table 1 and the step of ViT-S and ViT-B, 224 pixels, 8 labeled and 24 unlabeled clips, in
   bfloat16, plain and compiled: milliseconds, peak memory, model FLOP utilization, ratio to the transcription
   (goal: 4 times).  A row for which the memory does not do is left out with a word.

Before anything is timed the losses of both forms are compared, with all dropout off: they must agree.  With
--json the numbers are filed after every table.

Example: python benchmarks/sefar_step.py --pairs 7 --threads 2 --json step.json
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sefar_transcript import Transcript
from torch import nn
from torch._dynamo.utils import counters
from torch.utils.flop_counter import FlopCounterMode

from bench.backbones.timesformer import TimeSformer
from datasets.types import Batch, Clip, TaskInfo
from methods import ema
from methods.base import Progress
from methods.draws import Draws
from sefar.method import SeFAR

LEVELS = (2, 2, 4)
PASSES = (1, 2, 5, 10, 20)
K = 10
CLASSES = 99
WARM_UP = 2
"""Rounds that are not counted."""
GRAPHS = 2 * len(LEVELS)
"""Of a compiled step: one for each level of the student and of the teacher; torch allows a function eight."""
GOAL_K, GOAL = 1.1, {"float32": 2.0, "bfloat16": 3.0, "gpu": 4.0}
NETS = {  # D, heads, blocks
    "tiny": (192, 3, 4),
    "small": (384, 6, 12),
    "base": (768, 12, 12),
}
PEAK_TFLOPS = {
    "NVIDIA H100 80GB HBM3": 989.0,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H200": 989.0,
    "NVIDIA A100-SXM4-80GB": 312.0,
    "NVIDIA A100-SXM4-40GB": 312.0,
    "NVIDIA A100 80GB PCIe": 312.0,
    "NVIDIA L40S": 362.0,
    "NVIDIA L4": 121.0,
    "NVIDIA GeForce RTX 4090": 165.0,
}
"""Dense bfloat16 rates of the makers' data sheets, by the card's name; others are measured."""


@dataclass(frozen=True)
class Scale:
    """What is timed: the net, the crop side in pixels, the clips of a batch, where and how."""

    net: str
    size: int
    labeled: int
    unlabeled: int
    device: str
    precision: str

    @property
    def autocast(self) -> Any:
        """The context of a forward pass."""
        on = self.precision == "bfloat16"
        return torch.autocast(self.device, torch.bfloat16) if on else nullcontext()


@dataclass
class Subject:
    """One form of the step with its times in seconds."""

    step: Callable[[], None]
    synchronize: Callable[[], None]
    seconds: list[float] = field(default_factory=list)

    def turn(self) -> None:
        """One step under the clock."""
        self.synchronize()
        started = time.perf_counter()
        self.step()
        self.synchronize()
        self.seconds.append(time.perf_counter() - started)

    @property
    def milliseconds(self) -> float:
        """Median of the counted rounds."""
        return 1e3 * statistics.median(self.seconds[WARM_UP:])


def backbone(scale: Scale, drop_path: float = 0.1) -> TimeSformer:
    """The net, its temporal projections filled, so that temporal attention is no multiplication with 0."""
    dim, heads, depth = NETS[scale.net]
    net = TimeSformer(dim, heads, depth, LEVELS, scale.size, drop_path)
    for name, parameter in net.named_parameters():
        if "temporal_fc" in name:
            nn.init.normal_(parameter, std=0.02)
    return net


def make(scale: Scale, passes: int, dropout: float = 0.5, drop_path: float = 0.1) -> SeFAR:
    """SeFAR with its own settings on a random net; equal seeds make equal weights."""
    torch.manual_seed(0)
    task = TaskInfo(
        classes=CLASSES,
        labeled=scale.labeled,
        unlabeled=scale.unlabeled,
        class_counts=(1,) * CLASSES,
        frames=sum(LEVELS),
    )
    config = SeFAR.Config(teacher_passes=passes, dropout=dropout, ema_decay=0.999)
    return SeFAR(config, task, partial(backbone, scale, drop_path)).to(scale.device).train()


def random_batch(scale: Scale) -> Batch:
    """Random clips: the time of a step does not depend on what they show."""
    generator = torch.Generator().manual_seed(1)

    def clip(n: int) -> Clip:
        shapes = [(n, 3, frames, scale.size, scale.size) for frames in LEVELS]
        return tuple(torch.randn(shape, generator=generator).to(scale.device) for shape in shapes)

    return Batch(
        labeled={"labeled": clip(scale.labeled)},
        label=torch.arange(scale.labeled, device=scale.device) % CLASSES,
        labeled_index=torch.arange(scale.labeled, device=scale.device),
        unlabeled={"weak": clip(scale.unlabeled), "strong": clip(scale.unlabeled)},
        unlabeled_index=torch.arange(scale.unlabeled, device=scale.device),
    )


def late() -> Progress:
    """A step past the warm-up."""
    return Progress(step=900, total_steps=1000, warmup_steps=100, draws=Draws(0, 900))


def training(method: SeFAR, scale: Scale) -> Callable[[Batch], None]:
    """The step as the harness takes it."""
    optimizer = torch.optim.SGD(method.student.parameters(), lr=1e-4, momentum=0.9, nesterov=True)

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        with scale.autocast:
            made = method.step(batch, late())
            total = torch.stack(list(made.losses.values())).sum()
        total.backward()
        optimizer.step()
        method.after_step(late())

    return step


def ours(method: SeFAR, batch: Batch, scale: Scale) -> Callable[[], None]:
    """That step on one batch."""
    return partial(training(method, scale), batch)


def published(method: SeFAR, batch: Batch, scale: Scale) -> Callable[[], None]:
    """The step as the transcription takes it, on a copy of the same weights."""
    transcript = Transcript(copy.deepcopy(method))
    optimizer = torch.optim.SGD(
        transcript.student.parameters(), lr=1e-4, momentum=0.9, nesterov=True, foreach=False
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with scale.autocast:
            total = sum(transcript.losses(batch, late()).values())
        total.backward()
        optimizer.step()
        transcript.move_teacher(ema.decay_at(method.config.ema_decay, late().step, warm=True))

    return step


def check_agreement(scale: Scale) -> float:
    """Largest relative difference between the losses of both forms, all dropout off, in float32.

    Raises:
        SystemExit: when they do not agree: then their times say nothing.
    """
    method, batch = make(scale, K, dropout=0.0, drop_path=0.0), random_batch(scale)
    expected = {name: float(value.detach()) for name, value in method.step(batch, late()).losses.items()}
    transcript = Transcript(copy.deepcopy(method))
    made = {name: float(value.detach()) for name, value in transcript.losses(batch, late()).items()}
    worst = max(abs(made[name] / value - 1) for name, value in expected.items())
    if made.keys() != expected.keys() or worst > 1e-3:
        raise SystemExit(f"the transcription computes other losses: {made} instead of {expected}")
    return worst


def take_turns(subjects: Sequence[Subject], rounds: int) -> None:
    """Every subject once a round; odd rounds backwards, so that no one always follows the same other."""
    for number in range(WARM_UP + rounds):
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            subject.turn()


def ratios(one: Subject, other: Subject) -> list[float]:
    """Time of `one` by that of `other`, round by round."""
    pairs = zip(one.seconds[WARM_UP:], other.seconds[WARM_UP:], strict=True)
    return [a / b for a, b in pairs]


def waiting(scale: Scale) -> Callable[[], None]:
    """What must happen before the clock is read."""
    return torch.cuda.synchronize if scale.device == "cuda" else lambda: None


def passes_table(scale: Scale, rounds: int) -> list[dict[str, float]]:
    """The step at each K, relative to K = 1, and the teacher's share of it."""
    batch, wait = random_batch(scale), waiting(scale)
    subjects, teachers = [], []
    for passes in PASSES:
        method = make(scale, passes)
        subjects.append(Subject(ours(method, batch, scale), wait))

        def teach(method: SeFAR = method) -> None:
            with scale.autocast:
                method.teacher_predictions(batch.unlabeled["weak"], late())

        teachers.append(Subject(teach, wait))
    take_turns([*subjects, *teachers], rounds)
    rows = []
    print(f"\n{'K':>3s} {'ms':>9s} {'of K = 1':>9s} {'teacher':>8s}   {scale}")
    for passes, subject, teacher in zip(PASSES, subjects, teachers, strict=True):
        row = {
            "passes": passes,
            "milliseconds": subject.milliseconds,
            "ratio": statistics.median(ratios(subject, subjects[0])),
            "teacher_share": statistics.median(ratios(teacher, subject)),
        }
        rows.append(row)
        print(f"{passes:3d} {row['milliseconds']:9.1f} {row['ratio']:9.3f} {row['teacher_share']:8.1%}")
    verdict(f"K = {PASSES[-1]} by K = 1", rows[-1]["ratio"], GOAL_K, most=True)
    return rows


def pairs_table(scale: Scale, pairs: int, goal: float, compiled: bool) -> dict[str, Any]:
    """The step against the transcription, in interleaved pairs."""
    batch, method, wait = random_batch(scale), make(scale, K), waiting(scale)
    plain = Subject(published(method, batch, scale), wait)
    if compiled:
        compile_nets(method)
    fast = Subject(ours(method, batch, scale), wait)
    take_turns([plain, fast], pairs)
    if compiled:
        check_graphs()
    each = ratios(plain, fast)
    print(
        f"\n{scale}{', compiled' if compiled else ''}\nours {fast.milliseconds:.1f} ms, transcription "
        f"{plain.milliseconds:.1f} ms, ratios of {len(each)} pairs: {', '.join(f'{r:.2f}' for r in each)}"
    )
    verdict("transcription by ours", statistics.median(each), goal, most=False)
    return {"ours_ms": fast.milliseconds, "transcription_ms": plain.milliseconds, "ratios": each}


def compile_nets(method: SeFAR) -> None:
    """Has the backbones of student and teacher compiled, at their first passes."""
    torch._dynamo.reset()
    counters.clear()
    method.student.backbone.compile()
    method.teacher.backbone.compile()


def check_graphs() -> None:
    """That all of `compile_nets` was compiled: torch goes on with plain code where it gives up.

    Raises:
        SystemExit: it was not.
    """
    if (found := counters["stats"]["unique_graphs"]) < GRAPHS:
        raise SystemExit(f"only {found} of {GRAPHS} graphs were compiled: this row would not be what it says")


def verdict(what: str, value: float, goal: float, most: bool) -> None:
    """One line: the number, the goal, whether it is reached."""
    reached = value <= goal if most else value >= goal
    sign = "at most" if most else "at least"
    print(f"{what}: {value:.2f}, goal {sign} {goal:g}: {'reached' if reached else 'not reached'}")


def flops_of(step: Callable[[], None]) -> int:
    """Operations of a step's products, convolutions and attention, forward and backward."""
    counter = FlopCounterMode(display=False)
    with counter:
        step()
    return counter.get_total_flops()


def peak_tflops(given: float | None) -> tuple[float, str]:
    """The rate that utilization is measured against, and where it is from."""
    if given is not None:
        return given, "--peak-tflops"
    name = torch.cuda.get_device_name()
    if name in PEAK_TFLOPS:
        return PEAK_TFLOPS[name], "data sheet"
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for _ in range(5):
        a @ a
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - started) / 1e12, "a measured 8192 x 8192 product"


def gpu_table(rounds: int, peak: float | None) -> list[dict[str, Any]]:
    """ViT-S and ViT-B at the paper's size, plain and compiled, beside the transcription."""
    rate, origin = peak_tflops(peak)
    print(f"\n{torch.cuda.get_device_name()}: {rate:.0f} TFLOP/s in bfloat16 ({origin})")
    rows = []
    for net in ("small", "base"):
        scale = Scale(net, 224, 8, 24, "cuda", "bfloat16")
        for compiled in (False, True):
            try:
                rows.append(_gpu_row(scale, compiled, rounds, rate))
            except torch.cuda.OutOfMemoryError:
                print(
                    f"ViT-{net} {'compiled' if compiled else 'plain':8s} needs more memory than this GPU has"
                )
            gc.collect()
            torch.cuda.empty_cache()
    return rows


def _gpu_row(scale: Scale, compiled: bool, rounds: int, rate: float) -> dict[str, Any]:
    batch, method, wait = random_batch(scale), make(scale, K), waiting(scale)
    flops = flops_of(ours(copy.deepcopy(method), batch, scale))
    original = copy.deepcopy(method).cpu()  # for the transcription, which is not there yet to take memory
    if compiled:
        compile_nets(method)
    fast = Subject(ours(method, batch, scale), wait)
    fast.step()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    fast.step()
    memory = torch.cuda.max_memory_allocated() / 2**30
    plain = Subject(published(original.to(scale.device), batch, scale), wait)
    take_turns([plain, fast], rounds)
    each = ratios(plain, fast)
    if compiled:
        check_graphs()
    row = {
        "net": scale.net,
        "compiled": compiled,
        "ours_ms": fast.milliseconds,
        "transcription_ms": plain.milliseconds,
        "peak_gib": memory,
        "mfu": flops / (fast.milliseconds / 1e3) / (rate * 1e12),
        "ratios": each,
    }
    print(
        f"ViT-{scale.net} {'compiled' if compiled else 'plain':8s} {row['ours_ms']:8.1f} ms, "
        f"{memory:5.1f} GiB, MFU {row['mfu']:.1%}, "
        f"transcription {row['transcription_ms']:.1f} ms"
    )
    verdict("transcription by ours", statistics.median(each), GOAL["gpu"], most=False)
    return row


def main() -> None:
    """Measures and prints; with --json also files the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7, help="interleaved pairs and rounds that count (>= 5)")
    parser.add_argument("--net", choices=sorted(NETS), default="tiny")
    parser.add_argument("--size", type=int, default=112, help="crop side in pixels, a multiple of 16")
    parser.add_argument("--labeled", type=int, default=2)
    parser.add_argument("--unlabeled", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["float32", "bfloat16", "both"], default="both")
    parser.add_argument("--compile", action="store_true", help="table 2 with our nets compiled (minutes)")
    parser.add_argument("--gpu", action="store_true", help="also time ViT-S and ViT-B on a CUDA device")
    parser.add_argument("--peak-tflops", type=float, help="bfloat16 rate of the GPU for the utilization")
    parser.add_argument("--json", type=Path, help="file the numbers here")
    given = parser.parse_args()
    if given.pairs < 5:
        parser.error("--pairs: at least 5, or the medians say little")
    torch.set_num_threads(given.threads)
    found: dict[str, Any] = {"torch": torch.__version__, "processor": platform.processor(), **vars(given)}

    def scale(precision: str) -> Scale:
        return Scale(given.net, given.size, given.labeled, given.unlabeled, "cpu", precision)

    def file() -> None:
        if given.json is not None:
            given.json.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")

    print(f"losses of both forms differ by at most {check_agreement(scale('float32')):.1e} of their value")
    wanted = ["float32", "bfloat16"] if given.precision == "both" else [given.precision]
    found["passes"] = passes_table(scale(wanted[0]), given.pairs)
    file()
    found["pairs"] = {}
    for name in wanted:
        found["pairs"][name] = pairs_table(scale(name), given.pairs, GOAL[name], given.compile)
        file()
    if given.gpu and torch.cuda.is_available():
        worst = check_agreement(Scale("small", 224, 2, 6, "cuda", "float32"))
        print(f"\nlosses of both forms on the GPU differ by at most {worst:.1e} of their value")
        for net in ("small", "base"):
            found[f"passes {net}"] = passes_table(Scale(net, 224, 8, 24, "cuda", "bfloat16"), given.pairs)
            file()
        found["gpu"] = gpu_table(given.pairs, given.peak_tflops)
        file()
    elif given.gpu:
        print("\n--gpu: this machine has no CUDA device, so nothing was measured on one.")


if __name__ == "__main__":
    main()
