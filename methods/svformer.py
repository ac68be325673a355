"""SVFormer: FixMatch with an EMA teacher, temporal warping and tube mixing of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from datasets.types import Batch, Clip
from methods import losses, temporal
from methods.base import Progress, Source
from methods.config import Choices, Probability
from methods.draws import Draws
from methods.thresholding import FixedThreshold
from methods.tube_mixed import Judged, TubeMixed


class SVFormer(TubeMixed):
    """L = L_s + γ1 L_un + γ2 L_mix.

    L_un is FixMatch's loss on a temporally warped strong view; L_mix compares the *raw logits* of a
    tube-mixed clip with the mixed targets of the teacher, as the release does.  Evaluation model and
    labeled augmentation are the suite's.  The release lacks δ, β, γ, warm-up and decay; the defaults are
    those of its descendants (default to be confirmed).
    """

    name = "svformer"
    source = Source(
        "SVFormer: Semi-supervised Video Transformer for Action Recognition",
        "CVPR",
        2023,
        "https://arxiv.org/abs/2211.13222",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(TubeMixed.Config):
        """δ; the rest is shared with SeFAR, whose release descends from this one."""

        threshold: Annotated[Probability, Choices((0.3, 0.6, 0.8, 0.9))] = 0.3

    config: Config

    @torch.no_grad()
    def judge(self, batch: Batch, progress: Progress) -> Judged:
        """One deterministic pass of the teacher, kept above the threshold."""
        probs = losses.probabilities(self.teacher(batch.unlabeled["weak"]))
        return Judged(probs, FixedThreshold(self.config.threshold)(probs, batch.unlabeled_index))

    def perturbed(self, strong: Clip, draws: Draws) -> Clip:
        """The warped clip: one draw per batch and level."""
        return tuple(
            temporal.reorder(x, temporal.warp(x.shape[2], draws, str(level)))
            for level, x in enumerate(strong)
        )
