"""SeFAR: temporal elements, moderate perturbation and adaptive regulation for fine-grained actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from annotated_types import MinLen
from torch import Tensor

from datasets.sampling import Segments
from datasets.types import Batch, Clip, ClipSampler, Recipe, TaskInfo, View
from methods import losses, mixing, ramps
from methods.alignment import UniformAlignment
from methods.base import BuildBackbone, Classifier, Head, LinearHead, Method, Progress, Source, Step, joint
from methods.config import Choices, Count, Decay, Positive, Probability, Share, Weight
from methods.draws import Draws
from methods.thresholding import FixedThreshold, NoThreshold, Thresholding
from sefar.model import FusionHead
from sefar.passes import full_passes, random_layers, stochastic_passes
from sefar.perturbation import Perturbation, perturb
from sefar.regulation import AdaptiveRegulation
from sefar.sampling import DualLevel


class SeFAR(Method):
    """L = L_s + ξ (γ1 L_un + γ2 L_mix), the paper as intended.

    The teacher (EMA) makes K stochastic predictions of the weak view; their mean gives the pseudo-label,
    mean and deviation its weight η.  L_un = mean η H(ŷ, z(x_s)) on the temporally perturbed strong view;
    L_mix = mean η' mean_c (z_mix - t_mix)² on tube-mixed clips with soft targets, raw logits.  ξ is a sine
    ramp after the labeled-only warm-up.  Numbers are the release's (commit d0435a9) where the paper gives
    none (default to be confirmed).
    """

    name = "sefar"
    source = Source(
        "SeFAR: Semi-supervised Fine-grained Action Recognition with Temporal Perturbation and "
        "Learning Stabilization",
        "AAAI",
        2025,
        "https://arxiv.org/abs/2501.01245",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """Every part of SeFAR is a field, so that an ablation is a suite.

        `levels`: frames per level, the context last; `dual_level: false` joins them into one level.
        `regulation`: `adaptive`, `none`, or `fixed` with `threshold`.  `teacher_passes`: K; 1 is one
        deterministic pass.  `alignment`: distribution alignment of the mean prediction, not in the paper.
        """

        levels: Annotated[tuple[Count, ...], MinLen(1)] = (2, 2, 4)
        dual_level: bool = True
        perturbation: Perturbation = "mod_reverse"
        regulation: Literal["adaptive", "none", "fixed"] = "adaptive"
        threshold: Annotated[Probability, Choices((0.6, 0.8, 0.9))] = 0.8
        teacher_passes: Count = 10
        head: Literal["fusion", "linear"] = "fusion"
        head_width: Count = 256
        mix: Literal["soft", "hard", "off"] = "soft"
        beta: Positive = 10.0
        unlabeled_weight: Annotated[Weight, Choices((0.5, 1.0, 2.0))] = 2.0
        mix_weight: Annotated[Weight, Choices((0.0, 0.5, 2.0))] = 2.0
        channel_dropout: Annotated[Share, Choices((0.0, 0.2))] = 0.2
        ramp: bool = True
        alignment: bool = False
        alignment_momentum: Decay = 0.999
        dropout: Share = 0.5
        warmup: Share = 5 / 30
        ema_decay: Decay = 0.9999
        ema_start: Literal["first_step", "after_warmup"] = "after_warmup"

    config: Config

    @classmethod
    def unsupported(cls, config: Method.Config, task: TaskInfo) -> str | None:
        """The levels together must not see more frames than the task gives."""
        total = sum(cast(SeFAR.Config, config).levels)
        if total > task.frames:
            return f"config field 'levels' takes {total} frames of a clip, but the task gives {task.frames}"
        return super().unsupported(config, task)

    @classmethod
    def unused(cls, config: Method.Config) -> frozenset[str]:
        """The threshold without `fixed` regulation, the weight of a mixing that is off."""
        ours = cast(SeFAR.Config, config)
        fields = {"threshold": ours.regulation != "fixed", "mix_weight": ours.mix == "off"}
        return frozenset(name for name, idle in fields.items() if idle)

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.thresholding = self.build_thresholding()
        self.aligned = UniformAlignment(task.classes, config.alignment_momentum)

    def build_thresholding(self) -> Thresholding:
        """The rule that weighs pseudo-labels."""
        if self.config.regulation == "adaptive":
            return AdaptiveRegulation()
        return FixedThreshold(self.config.threshold) if self.config.regulation == "fixed" else NoThreshold()

    def build_model(self, build_backbone: BuildBackbone) -> Classifier:
        """One backbone shared by all levels and the fusion head."""
        backbone = build_backbone()
        config, dim = self.config, cast(int, backbone.dim)
        levels = len(config.levels) if config.dual_level else 1
        head: Head
        if config.head == "fusion":
            head = FusionHead(dim, levels, self.task.classes, config.dropout, config.head_width)
        else:
            head = LinearHead(dim, self.task.classes, config.dropout, levels)
        return Classifier(backbone, head)

    def sampler(self) -> ClipSampler:
        """Dual-level elements, or as many frames in one level."""
        levels = self.config.levels
        return DualLevel(levels) if self.config.dual_level else Segments(sum(levels))

    def recipe(self) -> Recipe:
        """Weak for the teacher; strong for the student, with frames of its own draw."""
        sampler = self.sampler()
        strong = "weak" if self.config.perturbation == "none" else "strong"
        return Recipe(
            labeled={"labeled": View(sampler, "labeled")},
            unlabeled={"weak": View(sampler, "weak"), "strong": View(sampler, strong, draw=1)},
        )

    @torch.no_grad()
    def teacher_predictions(self, weak: Clip, progress: Progress) -> Tensor:
        """(K, U, C) probabilities of the teacher.

        Where a layer beside the head's dropout is random (a backbone with dropout of its own), the K passes
        go through the whole net; otherwise they share one pass up to the head's last layer.
        """
        teacher, passes, p = self.teacher, self.config.teacher_passes, self.config.dropout
        if passes == 1:
            return losses.probabilities(teacher(weak))[None]
        if random_layers(teacher):
            return full_passes(teacher, weak, p, passes, progress.draws)
        embedding = teacher.head.embed(teacher.features(weak))
        return stochastic_passes(embedding, teacher.head.classify, p, passes, progress.draws)

    def perturbed(self, strong: Clip, draws: Draws) -> Clip:
        """The student's view with time disturbed inside its levels."""
        return perturb(strong, self.config.perturbation, draws)

    def drop_channels(self, clip: Clip, draws: Draws) -> Clip:
        """The perturbed view without some of its color channels."""
        return mixing.drop_channels(clip, self.config.channel_dropout, draws, "channels")

    def partner(self, perturbed: Clip, strong: Clip, order: Tensor, draws: Draws) -> Clip:
        """What each clip is mixed with: without channel dropout, as in the release."""
        return tuple(x[order] for x in perturbed)

    def mix_loss(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Squared error of the mixed clips' raw logits, as in the release."""
        return mixing.mix_loss(logits, target, weight)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint forward pass of the labeled, the strong and the mixed clips."""
        config, draws = self.config, progress.draws
        passes = self.teacher_predictions(batch.unlabeled["weak"], progress)
        spread = passes.std(0) if len(passes) > 1 else torch.zeros_like(passes[0])
        probs = self.aligned(passes.mean(0)) if config.alignment else passes.mean(0)
        label = probs.argmax(1)
        weight = self.thresholding(probs, batch.unlabeled_index, spread)

        perturbed = self.perturbed(batch.unlabeled["strong"], draws)
        strong = self.drop_channels(perturbed, draws)
        clips = [batch.labeled["labeled"], strong]
        share, order = draws.beta(config.beta, config.beta), draws.permutation(len(label)).to(label.device)
        mixing_on = config.mix != "off" and config.mix_weight > 0
        if mixing_on:
            partner = self.partner(perturbed, strong, order, draws)
            clips.append(mixing.tube_mix(strong, partner, share, self.patch, draws))
        labeled_z, strong_z, *mixed_z = joint(self.student, *clips)

        ramp = ramps.sine(progress.semi_step + 1, progress.total_steps - progress.warmup_steps)
        scale = ramp if config.ramp else 1.0
        unsupervised = losses.pseudo_label(strong_z, label, weight)
        terms = {
            "supervised": losses.supervised(labeled_z, batch.label),
            "unsupervised": scale * config.unlabeled_weight * unsupervised,
        }
        if mixing_on:
            target = mixing.blend(self._mix_target(probs, label, weight), share, order)
            mix = self.mix_loss(mixed_z[0], target, mixing.blend(weight, share, order))
            terms["mix"] = scale * config.mix_weight * mix
        return Step(terms, pseudo_label=label, weight=weight)

    def _mix_target(self, probs: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        """Soft: the mean prediction; hard (SVFormer): one-hot wherever the weight is above 0."""
        if self.config.mix == "soft":
            return probs
        return torch.where(weight[:, None] > 0, F.one_hot(label, probs.shape[1]).to(probs.dtype), probs)
