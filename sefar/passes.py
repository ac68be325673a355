"""The teacher's stochastic predictions: K passes at the price of one where only the head is random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from datasets.types import Clip
from methods import losses
from methods.base import Classifier
from methods.draws import Draws


def stochastic_passes(
    embedding: Tensor, classify: Callable[[Tensor], Tensor], p: float, passes: int, draws: Draws
) -> Tensor:
    """Probabilities of `passes` dropout draws on one embedding.

    Where dropout before the last linear layer is the teacher's only randomness, one pass through backbone
    and fusion and K through the classifier are K full passes, bit for bit, at 1/K of the cost.

    Args:
        embedding: (U, E) input of the head's dropout.
        classify: (U, E) -> (U, C) logits.
        p: dropout probability.
        passes: K.
        draws: source of the masks.

    Returns:
        (K, U, C) probabilities.
    """
    return _classified([embedding] * passes, classify, p, draws)


def full_passes(model: Classifier, clip: Clip, p: float, passes: int, draws: Draws) -> Tensor:
    """Probabilities of `passes` passes through the whole model, its own dropout layers active.

    Stochastic depth stays off and batch statistics stay fixed, as in the release, which switches on nothing
    but dropout.  The head's masks come from `draws`, those inside the backbone from PyTorch's generator.

    Args:
        model: in evaluation mode.
        clip: (U, C, T, H, W) per level.
        p: dropout probability before the last layer.
        passes: K.
        draws: source of the masks.

    Returns:
        (K, U, C) probabilities.
    """
    with _dropping(model):
        embeddings = [model.head.embed(model.features(clip)) for _ in range(passes)]
    return _classified(embeddings, model.head.classify, p, draws)


def _classified(
    embeddings: Sequence[Tensor], classify: Callable[[Tensor], Tensor], p: float, draws: Draws
) -> Tensor:
    """Each pass by itself: a matrix product of all at once would round otherwise than that of one pass."""
    masks = draws.dropout((len(embeddings), *embeddings[0].shape), p, "teacher").to(embeddings[0])
    passes = zip(embeddings, masks, strict=True)
    return torch.stack([losses.probabilities(classify(embedding * mask)) for embedding, mask in passes])


def random_layers(model: Classifier) -> list[nn.Module]:
    """The layers that draw dropout in training mode, beside the one before the head's last layer.

    They are found by type: layers of dropout, attention and recurrent layers with a dropout rate of their
    own.  A net that calls `F.dropout` itself is not noticed.
    """
    return [m for m in model.modules() if m is not model.head.dropout and _drops(m)]


def _drops(module: nn.Module) -> bool:
    if isinstance(module, _DropoutNd):
        return module.p > 0
    return isinstance(module, nn.MultiheadAttention | nn.RNNBase) and module.dropout > 0


@contextmanager
def _dropping(model: Classifier) -> Iterator[None]:
    """The model's dropout active: its random layers and all that hold them in training mode.

    Holders count, because some ask their own mode whether to drop: the attention of timm's nets, and the
    transformer layers of PyTorch, which leave dropout out of their fast path.  Batch normalization and
    stochastic depth hold nothing, so they stay as they are.
    """
    layers = set(random_layers(model))
    holders = [module for module in model.modules() if not layers.isdisjoint(module.modules())]
    before = [module.training for module in holders]
    for module in holders:
        module.training = True
    try:
        yield
    finally:
        for module, mode in zip(holders, before, strict=True):
            module.training = mode
