"""The step of SVFormer and SeFAR: a teacher's labels train a strong view and tube-mixed clips.

Who runs it says how the teacher judges, how time is disturbed and what a mixed clip should give, never the
order of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch, Clip
from methods import losses, mixing
from methods.base import Method, Progress, Step, joint
from methods.config import Choices, Decay, Positive, Share, Weight
from methods.draws import Draws


class Judged(NamedTuple):
    """What a teacher says of its unlabeled clips: (U, C) probabilities and (U,) weights, without gradient."""

    probs: Tensor
    weight: Tensor


def hardened(judged: Judged) -> Tensor:
    """(U, C): one-hot wherever the weight is above 0, else the prediction itself (SVFormer's target)."""
    probs, weight = judged
    label = F.one_hot(probs.argmax(1), probs.shape[1]).to(probs.dtype)
    return torch.where(weight[:, None] > 0, label, probs)


class TubeMixed(Method):
    """L = L_s + ξ (γ1 L_un + γ2 L_mix); a base, not registered.

    L_un = mean w H(ŷ, z(x_s)) on the strong view with its time disturbed; L_mix = mean w' mean_c
    (z_mix - t_mix)² on clips mixed in tubes, with targets and weights mixed alike.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """Beta(β, β) of the mixing, γ1, γ2; `channel_dropout` is the releases' dropout2d on the strong clip.

        Both releases share them; what the papers leave out is default to be confirmed.
        """

        beta: Positive = 10.0
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 2.0
        mix_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 2.0
        channel_dropout: Share = 0.2
        warmup: Share = 5 / 30
        ema_decay: Decay = 0.9999
        ema_start: Literal["first_step", "after_warmup"] = "after_warmup"

    config: Config

    def judge(self, batch: Batch, progress: Progress) -> Judged:
        """The teacher's word on the weak views."""
        raise NotImplementedError(f"method '{type(self).__name__}' does not define judge()")

    def perturbed(self, strong: Clip, draws: Draws) -> Clip:
        """The student's view with its time disturbed."""
        raise NotImplementedError(f"method '{type(self).__name__}' does not define perturbed()")

    def drop_channels(self, clip: Clip, draws: Draws) -> Clip:
        """The perturbed view without some of its color channels."""
        return mixing.drop_channels(clip, self.config.channel_dropout, draws, "channels")

    def unsupported_size(self, size: int) -> str | None:
        """A clip of a single cell has no tubes: nothing of it would be kept, whatever the target says."""
        _, rows, columns = self.patch
        if not self.mixes or max(1, size // rows) * max(1, size // columns) > 1:
            return None
        return f"clips of {size} x {size} pixels are one cell of its net's grid, so there are no tubes to mix"

    @property
    def mixes(self) -> bool:
        """Whether there are mixed clips at all."""
        return True

    def partner(self, perturbed: Clip, strong: Clip, order: Tensor, draws: Draws) -> Clip:
        """What each clip is mixed with: without channel dropout, as in the releases."""
        return tuple(x[order] for x in perturbed)

    def mix_target(self, judged: Judged) -> Tensor:
        """(U, C) targets before they are mixed."""
        return hardened(judged)

    def mix_loss(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Squared error of the mixed clips' raw logits, as in the releases."""
        return mixing.mix_loss(logits, target, weight)

    def scale(self, progress: Progress) -> float:
        """ξ, the common factor of both unlabeled terms."""
        return 1.0

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint forward pass of the labeled, the strong and the mixed clips."""
        config, draws = self.config, progress.draws
        judged = self.judge(batch, progress)
        label = judged.probs.argmax(1)

        perturbed = self.perturbed(batch.unlabeled["strong"], draws)
        strong = self.drop_channels(perturbed, draws)
        clips = [batch.labeled["labeled"], strong]
        share, order = draws.beta(config.beta, config.beta), draws.permutation(len(label)).to(label.device)
        if self.mixes:
            partner = self.partner(perturbed, strong, order, draws)
            clips.append(mixing.tube_mix(strong, partner, share, self.patch, draws))
        labeled_z, strong_z, *mixed_z = joint(self.student, *clips)

        scale = self.scale(progress)
        unsupervised = losses.pseudo_label(strong_z, label, judged.weight)
        terms = {
            "supervised": losses.supervised(labeled_z, batch.label),
            "unsupervised": scale * config.unlabeled_weight * unsupervised,
        }
        for logits in mixed_z:
            target = mixing.blend(self.mix_target(judged), share, order)
            mix = self.mix_loss(logits, target, mixing.blend(judged.weight, share, order))
            terms["mix"] = scale * config.mix_weight * mix
        return Step(terms, pseudo_label=label, weight=judged.weight)
