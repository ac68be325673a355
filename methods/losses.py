"""Losses of semi-supervised learning, averaged over the whole unlabeled batch (masked samples count 0)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def supervised(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy of (B, C) logits with (B,) labels."""
    return F.cross_entropy(logits, label)


def pseudo_label(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """mean_U weight · H(label, logits): (U, C) logits, (U,) hard labels, (U,) weights without gradient."""
    return (F.cross_entropy(logits, label, reduction="none") * weight).mean()


def consistency(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over samples and classes of (softmax(logits) - target)^2; (U, C) each, target without gradient."""
    return (logits.softmax(1) - target).square().mean()
