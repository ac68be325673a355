"""Losses whose target is a distribution; all in float32 or better, averaged over the batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax of (U, C) logits in float32 or better."""
    return logits.log_softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """mean_U H(target, logits) of (U, C) logits and (U, C) probabilities."""
    return -(target * log_probabilities(logits)).sum(1).mean()


def divergence(clean: Tensor, logits: Tensor) -> Tensor:
    """mean_U KL(softmax(clean) ‖ softmax(logits)) of (U, C) logits; 0 where they are equal."""
    return F.kl_div(
        log_probabilities(logits), log_probabilities(clean), reduction="batchmean", log_target=True
    )


def entropy(logits: Tensor) -> Tensor:
    """mean_U H(softmax(logits)) in nats, of (U, C) logits."""
    log_p = log_probabilities(logits)
    return -(log_p.exp() * log_p).sum(1).mean()
