"""Classifiers with a second head, which projects features onto the unit sphere to compare clips there."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.types import Clip
from methods.base import BuildBackbone, Classifier, Head, LinearHead


def unit(x: Tensor) -> Tensor:
    """(N, D) vectors scaled to length 1, in float32 or better."""
    return F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=1)


def similarities(a: Tensor, b: Tensor, temperature: float = 1.0) -> Tensor:
    """(N, M) inner products of (N, D) and (M, D) vectors, divided by `temperature`.

    Never in bfloat16, whose rounding a temperature of 0.1 would multiply by ten.
    """
    with torch.autocast(a.device.type, enabled=False):
        return a @ b.T / temperature


class ProjectionHead(nn.Sequential):
    """Linear layers with ReLU between them, hidden ones as wide as the feature; the result has length 1."""

    def __init__(self, dim: int, width: int, layers: int = 2, last_bias: bool = True) -> None:
        hidden = [part for _ in range(layers - 1) for part in (nn.Linear(dim, dim), nn.ReLU())]
        super().__init__(*hidden, nn.Linear(dim, width, bias=last_bias))

    def forward(self, feature: Tensor) -> Tensor:
        """(N, dim) -> (N, width)."""
        return unit(cast(Tensor, super().forward(feature)))  # type: ignore[no-untyped-call]


class Embedded(NamedTuple):
    """What a net with a projection head says of N clips."""

    logits: Tensor
    """(N, C)."""
    feature: Tensor
    """(N, D), the backbone's."""
    projected: Tensor
    """(N, d) of length 1."""


class ProjectedClassifier(Classifier):
    """A classifier that also projects its feature; as a plain classifier it gives logits alone."""

    def __init__(self, backbone: nn.Module, head: Head, projection: nn.Module) -> None:
        super().__init__(backbone, head)
        self.projection = projection

    def embed(self, *clips: Clip) -> tuple[Embedded, ...]:
        """Logits, features and projections of several clips from one forward pass, one tuple per clip."""
        features = self.features(tuple(torch.cat(levels) for levels in zip(*clips, strict=True)))
        feature = torch.cat(features, 1)
        together = (self.head(features), feature, self.projection(feature))
        sizes = [clip[0].shape[0] for clip in clips]
        return tuple(Embedded(*parts) for parts in zip(*(x.split(sizes) for x in together), strict=True))


def projected(
    build_backbone: BuildBackbone,
    classes: int,
    dropout: float,
    width: int,
    layers: int = 2,
    last_bias: bool = True,
) -> ProjectedClassifier:
    """A new backbone with a linear head and a projection head of `layers` layers."""
    backbone = build_backbone()
    dim = cast(int, backbone.dim)
    head = LinearHead(dim, classes, dropout)
    return ProjectedClassifier(backbone, head, ProjectionHead(dim, width, layers, last_bias))
