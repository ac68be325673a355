"""MixUp of labeled and unlabeled clips together (MixMatch, Berthelot et al., NeurIPS 2019, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.types import Clip
from methods.draws import Draws
from methods.mixing import blend


class Mixed(NamedTuple):
    """Logits and targets of a mixed batch: (B, C) whose larger part is labeled, (K U, C) the others."""

    labeled: Tensor
    labeled_target: Tensor
    unlabeled: Tensor
    unlabeled_target: Tensor


def own_share(alpha: float, draws: Draws) -> float:
    """max(λ, 1 - λ) with λ ~ Beta(alpha, alpha): a mixture is always nearer to its first clip.

    Returns:
        A number in [0.5, 1] (MixMatch, eq. 8 and 9).
    """
    drawn = draws.beta(alpha, alpha)
    return max(drawn, 1 - drawn)


def mixed_pass(
    model: nn.Module,
    labeled: Clip,
    label: Tensor,
    views: Sequence[Clip],
    target: Tensor,
    alpha: float,
    draws: Draws,
) -> Mixed:
    """One forward pass of {labeled, views}, each row mixed with a random one of all rows.

    All frames of a clip, and all clips of the batch, share one λ.

    Args:
        model: a classifier of clips.
        labeled: labeled clips, (B, 3, T, H, W) per level.
        label: (B,) their labels.
        views: K views of the same U unlabeled clips.
        target: (U, C) probabilities, the target of all views of a clip.
        alpha: of the Beta distribution.
        draws: source of λ and of the partners.
    """
    labels = F.one_hot(label, target.shape[1]).to(target.dtype)
    targets = torch.cat([labels, *[target] * len(views)])
    share = own_share(alpha, draws)
    order = draws.permutation(len(targets)).to(label.device)
    rows = (torch.cat(levels) for levels in zip(labeled, *views, strict=True))
    logits = model(tuple(blend(level, share, order) for level in rows))
    mixed, count = blend(targets, share, order), len(label)
    return Mixed(logits[:count], mixed[:count], logits[count:], mixed[count:])
