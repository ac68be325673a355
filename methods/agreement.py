"""The step of the consistency methods: two predictions of a clip must agree, whoever makes the second one."""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.types import Batch
from methods import losses
from methods.base import Step


def agreement(
    batch: Batch,
    labeled: Tensor,
    logits: Tensor,
    target: Tensor,
    factor: float,
    counted: Tensor | None = None,
) -> Step:
    """L_s + factor · mean_{i,c} (softmax z - target)².

    Args:
        batch: has the labels.
        labeled: (B, C) logits.
        logits: (U, C) z.
        target: (U, C) probabilities; with gradient where both sides are to move.
        factor: weight of the second term, ramp included.
        counted: (U,) which clips have a target at all, for the diagnostics; all by default.
    """
    label = target.detach().argmax(1)
    return Step(
        {
            "supervised": losses.supervised(labeled, batch.label),
            "unsupervised": factor * losses.consistency(logits, target),
        },
        pseudo_label=label,
        weight=(torch.ones_like(label) if counted is None else counted).to(target.dtype),
    )
