"""Dash: an unlabeled clip counts while its loss is below a threshold that falls over training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from datasets.types import Batch
from methods import losses
from methods.base import Progress, Source
from methods.config import Choices, Positive, Probability, Share, Span
from methods.fixmatch import FixMatch
from methods.sharpening import sharpen
from methods.thresholding import Thresholding

SLACK = 1.0001
"""C_0 of the paper: the first threshold lies a little above the loss that it starts from."""

UNSEEN = -1.0
"""Stands for the loss of a labeled clip that was in no batch yet."""


def threshold_at(k: int, initial: float, decay: float, floor: float) -> float:
    """ρ_k = max(C_0 γ^-k ρ̂, ρ_min) (Dash).

    Args:
        k: how often the threshold has fallen.
        initial: ρ̂, the average loss of the labeled training clips when unlabeled ones come in.
        decay: γ > 1.
        floor: ρ_min.
    """
    return max(SLACK * decay**-k * initial, floor)


def weak_loss(probs: Tensor, target: Tensor) -> Tensor:
    """(U,) losses of the weak view with its own pseudo-label.

    Args:
        probs: (U, C) probabilities of the weak view.
        target: (U,) labels, or a (U, C) distribution.
    """
    soft = target if target.dim() == 2 else F.one_hot(target, probs.shape[1])
    terms: Tensor = torch.special.xlogy(soft, probs)  # a probability that underflows to 0 adds 0, not NaN
    return -terms.sum(1)


class DashThreshold(nn.Module):
    """Weight 1 up to a loss of ρ_k, where k follows the progress of training.

    ρ̂ is the mean, over the labeled *training* clips, of the last loss that each of them had before the first
    unlabeled clip was judged.  (A public code base takes it from the evaluation set: test labels leak.)
    """

    labeled_loss: Tensor
    started: Tensor

    def __init__(self, labeled: int, *, temperature: float, decay: float, floor: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.decay = decay
        self.floor = floor
        self.k = 0  # no state: `watch` derives it from the step
        self.register_buffer("labeled_loss", torch.full((labeled,), UNSEEN))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def watch(self, logits: Tensor, label: Tensor, index: Tensor, k: int) -> None:
        """Notes the losses of (B, C) labeled logits, whose clips are `index`, and how far training is."""
        self.k = k
        if not self.started:
            loss = F.cross_entropy(logits, label, reduction="none")
            self.labeled_loss[index] = loss.to(self.labeled_loss.dtype)

    @property
    def rho(self) -> float:
        """ρ_k of now."""
        initial = self.labeled_loss[self.labeled_loss != UNSEEN].mean()
        return threshold_at(self.k, float(initial), self.decay, self.floor)

    def target(self, probs: Tensor) -> Tensor:
        """(U, C) sharpened probabilities; (U,) hard labels once the threshold is at its floor."""
        return probs.argmax(1) if self.rho <= self.floor else sharpen(probs, self.temperature)

    @torch.no_grad()
    def forward(self, probs: Tensor, index: Tensor, spread: Tensor | None = None) -> Tensor:
        """(U,) weights, 0 or 1; the first call fixes ρ̂."""
        self.started.fill_(True)
        return (weak_loss(probs, self.target(probs)) <= self.rho).to(probs.dtype)


class Dash(FixMatch):
    """L = L_s + λ_u mean_U [H(q, z_w) ≤ ρ_k] H(q, z_s), q = softmax(z_w / T), hard once ρ_k is ρ_min."""

    name = "dash"
    source = Source(
        "Dash: Semi-Supervised Learning with Dynamic Thresholding",
        "ICML",
        2021,
        "https://arxiv.org/abs/2109.00650",
    )
    separable = False  # the threshold starts from the labeled losses of the batches before

    @dataclass(frozen=True, kw_only=True)
    class Config(FixMatch.Config):
        """γ = 1.27, ρ_min = 0.05, T = 0.5 and the warm-up (2048 of 2^20 steps) are USB's; not `threshold`.

        `interval`: share of the training after the warm-up between two falls of the threshold; 10 of 1024
        epochs in USB (9 in the paper, default to be confirmed).
        """

        threshold: Probability = 0.95  # without the tuning range of FixMatch: a search would be wasted
        temperature: Annotated[Positive, Choices((0.4, 0.5, 0.7, 1.0))] = 0.5
        decay: Annotated[float, Interval(gt=1, lt=math.inf), Span(1.1, 1.5)] = 1.27
        floor: Annotated[Positive, Span(0.02, 0.2, log=True)] = 0.05
        interval: Annotated[float, Interval(gt=0, le=1)] = 10 / 1024
        warmup: Share = 2048 / 2**20

    config: Config
    thresholding: DashThreshold

    def build_thresholding(self) -> Thresholding:
        """The falling threshold of the loss."""
        config = self.config
        return DashThreshold(
            self.task.labeled, temperature=config.temperature, decay=config.decay, floor=config.floor
        )

    def supervised_loss(self, logits: Tensor, batch: Batch, progress: Progress) -> Tensor:
        """Cross-entropy; the threshold watches it, as its start is an average of it."""
        k = int(max(0.0, progress.semi_fraction) / self.config.interval)
        self.thresholding.watch(logits, batch.label, batch.labeled_index, k)
        return losses.supervised(logits, batch.label)

    @torch.no_grad()
    def target(self, probs: Tensor) -> Tensor:
        """As the threshold has it."""
        return self.thresholding.target(probs)
