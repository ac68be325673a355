"""UDA: the strong view learns the sharpened prediction of the weak one; labels are released slowly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch
from methods import losses
from methods.base import Progress, Source
from methods.config import Choices, Positive, Probability
from methods.fixmatch import FixMatch
from methods.sharpening import sharpen

Schedule = Literal["linear", "exp", "log"]


def released(fraction: float, classes: int, schedule: Schedule) -> float:
    """η_t = a_t (1 - 1/C) + 1/C: labeled clips above this probability do not count yet (UDA).

    Args:
        fraction: share t of training that is done, in [0, 1].
        classes: C.
        schedule: a_t = t, exp(5 (t - 1)) or 1 - exp(-5 t).

    Returns:
        A probability, from about 1/C (nothing is released) to about 1 (everything is).
    """
    a = {
        "linear": fraction,
        "exp": math.exp(5 * (fraction - 1)),
        "log": 1 - math.exp(-5 * fraction),
    }[schedule]
    return a * (1 - 1 / classes) + 1 / classes


def annealed_loss(
    logits: Tensor, label: Tensor, ceiling: float, of: Literal["true_class", "largest"]
) -> Tensor:
    """mean_B [p ≤ ceiling] H(y, z): what the net knows too well already counts 0.

    Args:
        logits: (B, C).
        label: (B,) true labels.
        ceiling: η_t.
        of: whether p is the probability of the true class or the largest one.
    """
    probs = losses.probabilities(logits.detach())
    known = probs.gather(1, label[:, None])[:, 0] if of == "true_class" else probs.amax(1)
    kept = (known <= ceiling).to(probs.dtype)
    return (F.cross_entropy(logits, label, reduction="none") * kept).mean()


class UDA(FixMatch):
    """L = L_TSA + λ_u mean_U [max p_w ≥ τ] H(q, z_s), q = sg softmax(z_w / T), p_w without temperature.

    The target is sharpened: a public code base passes probabilities to a function that takes a
    temperature for logits alone, and so trains on the unsharpened ones.
    """

    name = "uda"
    source = Source(
        "Unsupervised Data Augmentation for Consistency Training",
        "NeurIPS",
        2020,
        "https://arxiv.org/abs/1904.12848",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FixMatch.Config):
        """T = 0.4, τ = 0.8, λ_u = 1 as in USB's configs; `annealing` is off there.

        `annealing`: how the ceiling of training signal annealing rises over training.  `annealing_of`: the
        probability that is compared with it; the true class is the paper's (default to be confirmed), the
        largest one is USB's.
        """

        threshold: Annotated[Probability, Choices((0.5, 0.7, 0.8, 0.9))] = 0.8
        temperature: Annotated[Positive, Choices((0.4, 0.7, 1.0))] = 0.4
        annealing: Literal["none", "linear", "exp", "log"] = "none"
        annealing_of: Literal["true_class", "largest"] = "true_class"

    config: Config

    def supervised_loss(self, logits: Tensor, batch: Batch, progress: Progress) -> Tensor:
        """Cross-entropy, of the clips that are released so far where there is an annealing."""
        config = self.config
        if config.annealing == "none":
            return super().supervised_loss(logits, batch, progress)
        ceiling = released(progress.fraction, self.task.classes, config.annealing)
        return annealed_loss(logits, batch.label, ceiling, config.annealing_of)

    @torch.no_grad()
    def target(self, probs: Tensor) -> Tensor:
        """(U, C) sharpened probabilities."""
        return sharpen(probs, self.config.temperature)
