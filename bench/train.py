"""The training loop: it names no method and knows no file."""

from __future__ import annotations

import math
import time
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from bench.evaluate import DivergedError
from bench.spec import Optimizer, Protocol
from datasets.draws import derive
from datasets.types import UNKNOWN, Batch
from methods import ema
from methods.base import Method, Progress, Step
from methods.draws import Draws

LOG_EVERY = 10
"""Steps between two lines of the metrics log."""


class Batches(typing.Protocol):
    """What makes the batch of a (micro) step: `datasets.loader.Loader`, or one that reads ahead."""

    def batch(self, step: int, /) -> Batch:
        """The batch of a step, 0-based."""


@dataclass
class State:
    """Everything that training changes: the checkpoint is made of it."""

    method: Method
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    clips: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain numbers only, so that it loads without executing code."""
        return {
            "method": self.method.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "clips": self.clips,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The opposite of `state_dict`."""
        self.method.load_state_dict(state["method"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.clips = state["step"], state["clips"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]


def build_optimizer(parameters: list[nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of a suite."""
    if settings.name == "adamw":
        return AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    return SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
    )


def learning_rate(settings: Optimizer, step: int, total: int) -> float:
    """The rate of a step (0-based): linear warm-up times the schedule; a function of the step alone."""
    warm = min((step + 1) / settings.warmup_steps, 1.0) if settings.warmup_steps else 1.0
    factor = 1.0
    if settings.schedule == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))
    elif settings.schedule == "milestones":
        factor = 0.1 ** sum(step >= share * total for share in settings.milestones)
    return settings.lr * warm * factor


def train(
    state: State,
    batches: Batches,
    protocol: Protocol,
    *,
    seed: int,
    hidden_labels: Tensor,
    log: Callable[[dict[str, Any]], None],
    after: Callable[[State], None],
) -> None:
    """Trains from `state.step` to the end of the budget.

    Args:
        state: model, average and optimizer; changed in place.
        batches: of each (micro) step.
        protocol: the suite's settings.
        seed: the trial's seed; dropout inside nets is reseeded from it at every step, so that a resumed
            trial needs no stored generator state.
        hidden_labels: (N_u,) true labels of the unlabeled clips, for diagnostics only; no method sees them.
        log: takes one dictionary per logged step.
        after: called after every step (checkpoints, validation).

    Raises:
        DivergedError: naming the loss term, the step and the method.
    """
    warmup = warmup_steps(state.method, protocol.steps)
    while state.step < protocol.steps:
        started, cpu_started = time.perf_counter(), time.process_time()
        lr = learning_rate(protocol.optimizer, state.step, protocol.steps)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        state.optimizer.zero_grad(set_to_none=True)
        parts: list[Mapping[str, Tensor]] = []
        for part in range(protocol.batch.accumulate):
            micro = state.step * protocol.batch.accumulate + part
            batch = batches.batch(micro)
            progress = Progress(
                step=state.step,
                total_steps=protocol.steps,
                warmup_steps=warmup,
                draws=Draws(seed, micro),
            )
            torch.manual_seed(derive(seed, f"torch/{micro}") >> 1)
            made = _forward_backward(state, batch, progress, protocol)
            parts.append({name: value.detach() for name, value in made.losses.items()})
            state.clips += len(batch.label) + len(batch.unlabeled_index)
        values = {"step": state.step, "lr": lr, **_losses(parts, state)}
        if state.step % LOG_EVERY == 0:
            values.update(pseudo_label_quality(made, batch, hidden_labels))
        state.optimizer.step()
        state.method.after_step(progress)
        ema.update(state.average, state.method.student, _evaluation_decay(protocol, state.step))
        state.step += 1
        state.seconds += time.perf_counter() - started
        state.cpu_seconds += time.process_time() - cpu_started
        if (state.step - 1) % LOG_EVERY == 0:
            log(values)
        after(state)


def warmup_steps(method: Method, steps: int) -> int:
    """Steps at the start that use labels alone."""
    return round(method.config.warmup * steps)


def _evaluation_decay(protocol: Protocol, step: int) -> float:
    if protocol.evaluation.model == "student":
        return 0.0
    return ema.decay_at(protocol.evaluation.decay, step, warm=True)


def _forward_backward(state: State, batch: Batch, progress: Progress, protocol: Protocol) -> Step:
    method = state.method
    method.train()
    method.teacher.eval()
    bf16 = protocol.precision == "bfloat16"
    with torch.autocast(batch.label.device.type, torch.bfloat16, enabled=bf16):
        warm = progress.step < progress.warmup_steps
        made = method.warm_up(batch, progress) if warm else method.step(batch, progress)
        total = torch.stack(list(made.losses.values())).sum() / protocol.batch.accumulate
    total.backward()  # type: ignore[no-untyped-call]
    return made


def _losses(parts: Sequence[Mapping[str, Tensor]], state: State) -> dict[str, float]:
    """The loss terms of the step's last micro-batch.

    Those of all micro-batches are fetched from the device at once: every look at a number waits for a GPU.

    Raises:
        DivergedError: when a term of any micro-batch is not finite.
    """
    terms = [(name, value) for losses in parts for name, value in losses.items()]
    fetched = torch.stack([value.double() for _, value in terms]).tolist()
    for (name, _), value in zip(terms, fetched, strict=True):
        if not math.isfinite(value):
            raise DivergedError(
                f"loss term '{name}' of method '{state.method.name}' became "
                f"{value} at step {state.step}; lower its weight or the learning rate."
            )
    return {f"loss/{name}": value for (name, _), value in zip(terms, fetched, strict=True)}


def pseudo_label_quality(made: Step, batch: Batch, hidden: Tensor) -> dict[str, float]:
    """Share of unlabeled clips used, mean weight, and weighted precision against the hidden labels."""
    if made.pseudo_label is None or made.weight is None:
        return {}
    label = made.pseudo_label if made.pseudo_label.dim() == 1 else made.pseudo_label.argmax(1)
    truth = hidden.to(label.device)[batch.unlabeled_index]
    known = truth != UNKNOWN
    weight = made.weight.float() * known
    values = {
        "pseudo/used": float((made.weight > 0).float().mean()),
        "pseudo/weight": float(made.weight.float().mean()),
    }
    if weight.sum() > 0:
        values["pseudo/precision"] = float((weight * (label == truth)).sum() / weight.sum())
    if known.any():
        values["pseudo/accuracy"] = float((label == truth)[known].float().mean())
    return values
