"""Losses of semi-supervised learning, averaged over the whole unlabeled batch (masked samples count 0)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def probabilities(logits: Tensor) -> Tensor:
    """Softmax of (U, C) logits in float32 or better: bfloat16 cannot tell a confidence of 0.95 from 0.949."""
    return logits.softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))


def supervised(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy of (B, C) logits with (B,) labels."""
    return F.cross_entropy(logits, label)


def pseudo_label(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """mean_U weight · H(label, logits): (U, C) logits, (U,) labels or (U, C) distributions, (U,) weights.

    Labels and weights have no gradient.
    """
    return (F.cross_entropy(logits, label, reduction="none") * weight).mean()


def consistency(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over samples and classes of (softmax(logits) - target)^2; (U, C) each, target without gradient."""
    return (probabilities(logits) - target).square().mean()
