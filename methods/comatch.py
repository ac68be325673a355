"""CoMatch: pseudo-labels smoothed by a memory bank, and a graph of them that the embeddings must match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch, Recipe, TaskInfo
from methods import recipes
from methods.banks import Queue
from methods.base import BuildBackbone, Progress, Source, Step
from methods.config import Choices, Count, Positive, Probability, Weight
from methods.matching import Matching
from methods.projection import similarities


def attention(features: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """(U, K) weights, summing to 1, of the K bank entries that each of U features resembles."""
    return similarities(features, bank, temperature).softmax(1)


def smooth(probs: Tensor, near: Tensor, bank_probs: Tensor, keep: float) -> Tensor:
    """Keep · probs + (1 - keep) · near @ bank_probs: (U, C) from (U, C), (U, K) and (K, C)."""
    return keep * probs + (1 - keep) * similarities(near, bank_probs.T)


def label_graph(probs: Tensor, threshold: float) -> Tensor:
    """(U, U) graph of (U, C) pseudo-labels: their inner products, 1 on the diagonal, 0 below `threshold`.

    Each row is divided by its sum.
    """
    graph = similarities(probs, probs).fill_diagonal_(1)
    graph = torch.where(graph >= threshold, graph, 0)
    return graph / graph.sum(1, keepdim=True)


def graph_contrast(graph: Tensor, first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """-mean_i Σ_j graph_ij log(S_ij + 1e-7), S the row-softmax of first · secondᵀ / temperature.

    Args:
        graph: (U, U) targets without gradient.
        first: (U, d) embeddings of one strong view.
        second: (U, d) embeddings of another; the gradient goes to both.
        temperature: of the softmax.
    """
    near = similarities(first, second, temperature).softmax(1)
    return -(graph * (near + 1e-7).log()).sum(1).mean()


class CoMatch(Matching):
    """L = L_s + λ_u mean 1[max q ≥ τ] H(q, z_s) + λ_c L_c, q soft.

    q = α q_DA + (1 - α) Σ_k a_k q_k: the aligned prediction of the weak view, smoothed over the entries of
    a memory bank with similar embeddings.  The bank takes weak views with q_DA *before* smoothing and
    labeled clips with their labels.  L_c makes the similarities of two strong views' embeddings follow the
    graph of the q.  Smoothing begins when the bank is full, which is when the release begins it too; that
    the bank never holds more entries than the task has clips is ours (small tasks would see each clip
    many times).  The embedding's hidden layer is as wide as the feature, with ReLU.
    """

    name = "comatch"
    source = Source(
        "CoMatch: Semi-supervised Learning with Contrastive Graph Regularization",
        "ICCV",
        2021,
        "https://arxiv.org/abs/2011.11183",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Matching.Config):
        """All defaults are USB's for small images.

        τ = 0.95, λ_u = λ_c = 1, t = 0.2 (both softmaxes), α = 0.9, graph threshold 0.8, embeddings of 64
        numbers, alignment over 32 batches.  `bank`: entries; 2560 are 5 batches of 64 labeled and 448
        unlabeled images.
        """

        contrast_weight: Annotated[Weight, Choices((0.25, 0.5, 1.0, 2.0))] = 1.0
        contrast_threshold: Annotated[Probability, Choices((0.3, 0.6, 0.8))] = 0.8
        temperature: Positive = 0.2
        smoothing: Probability = 0.9
        bank: Count = 2560

    config: Config

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        size = min(config.bank, task.labeled + task.unlabeled)
        self.bank = Queue(size, config.projection + task.classes)  # embedding and label distribution

    def recipe(self) -> Recipe:
        """Weak, and two strong views that differ in frames and augmentation."""
        return recipes.two_strong(self.sampler())

    def smoothed(self, features: Tensor, aligned: Tensor) -> Tensor:
        """(U, C) soft pseudo-labels: the aligned predictions, once the bank is full with their neighbors'."""
        if not self.bank.full:
            return aligned
        config = self.config
        bank, probs = torch.split(self.bank.entries(), [config.projection, self.task.classes], 1)
        return smooth(aligned, attention(features, bank, config.temperature), probs, config.smoothing)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint forward pass of the labeled and both strong views, one without gradient of the weak."""
        config = self.config
        features, aligned = self.guess(batch.unlabeled["weak"])
        target = self.smoothed(features, aligned)
        labeled, strong, strong2 = self.student.embed(
            batch.labeled["labeled"], batch.unlabeled["strong"], batch.unlabeled["strong2"]
        )
        graph = label_graph(target, config.contrast_threshold)
        contrast = graph_contrast(graph, strong.projected, strong2.projected, config.temperature)
        one_hot = F.one_hot(batch.label, self.task.classes)
        embeddings = torch.cat([features, labeled.projected.detach()])
        self.bank.push(torch.cat([embeddings, torch.cat([aligned, one_hot])], 1))
        own = {"contrast": config.contrast_weight * contrast}
        return self.made(batch, labeled, strong, target, own)
