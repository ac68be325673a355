"""SVFormer: FixMatch with an EMA teacher, temporal warping and tube mixing of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F

from datasets.types import Batch, Clip
from methods import losses, mixing, temporal
from methods.base import Method, Progress, Source, Step, joint
from methods.config import Choices, Decay, Positive, Probability, Share, Weight
from methods.draws import Draws


class SVFormer(Method):
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
    class Config(Method.Config):
        """δ, Beta(β, β), γ1, γ2; `channel_dropout` is the release's dropout2d on the strong clip."""

        threshold: Annotated[Probability, Choices((0.3, 0.6, 0.8, 0.9))] = 0.3
        beta: Positive = 10.0
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 2.0
        mix_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 2.0
        channel_dropout: Share = 0.2
        warmup: Share = 5 / 30
        ema_decay: Decay = 0.9999
        ema_start: Literal["first_step", "after_warmup"] = "after_warmup"

    config: Config

    def perturb(self, clip: Clip, draws: Draws) -> Clip:
        """The warped clip: one draw per batch and level."""
        return tuple(
            temporal.reorder(x, temporal.warp(x.shape[2], draws, str(level))) for level, x in enumerate(clip)
        )

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint forward pass of the labeled, the strong and the mixed clips."""
        config, draws = self.config, progress.draws
        with torch.no_grad():
            probs = losses.probabilities(self.teacher(batch.unlabeled["weak"]))
        confidence, label = probs.max(1)
        weight = (confidence >= config.threshold).to(probs.dtype)
        target = torch.where(weight[:, None] > 0, F.one_hot(label, probs.shape[1]).to(probs.dtype), probs)

        warped = self.perturb(batch.unlabeled["strong"], draws)
        strong = mixing.drop_channels(warped, config.channel_dropout, draws, "channels")
        share, order = draws.beta(config.beta, config.beta), draws.permutation(len(label)).to(label.device)
        partner = tuple(x[order] for x in warped)  # without channel dropout, as in the release
        mixed = mixing.tube_mix(strong, partner, share, self.patch, draws)

        labeled_z, strong_z, mixed_z = joint(self.student, batch.labeled["labeled"], strong, mixed)
        mix = mixing.mix_loss(mixed_z, mixing.blend(target, share, order), mixing.blend(weight, share, order))
        return Step(
            {
                "supervised": losses.supervised(labeled_z, batch.label),
                "unsupervised": config.unlabeled_weight * losses.pseudo_label(strong_z, label, weight),
                "mix": config.mix_weight * mix,
            },
            pseudo_label=label,
            weight=weight,
        )
