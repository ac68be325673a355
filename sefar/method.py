"""SeFAR: temporal elements, moderate perturbation and adaptive regulation for fine-grained actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from annotated_types import MinLen
from torch import Tensor

from datasets.sampling import Segments
from datasets.types import Batch, Clip, ClipSampler, Recipe, TaskInfo, View
from methods import losses, ramps
from methods.alignment import UniformAlignment
from methods.base import BuildBackbone, Classifier, Head, LinearHead, Method, Progress, Source
from methods.config import Choices, Count, Decay, Probability, Share, Weight
from methods.draws import Draws
from methods.thresholding import FixedThreshold, NoThreshold, Thresholding
from methods.tube_mixed import Judged, TubeMixed, hardened
from sefar.model import FusionHead
from sefar.passes import full_passes, random_layers, stochastic_passes
from sefar.perturbation import Perturbation, perturb
from sefar.regulation import AdaptiveRegulation
from sefar.sampling import DualLevel


class SeFAR(TubeMixed):
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
    class Config(TubeMixed.Config):
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
        mix_weight: Annotated[Weight, Choices((0.0, 0.5, 2.0))] = 2.0
        channel_dropout: Annotated[Share, Choices((0.0, 0.2))] = 0.2
        ramp: bool = True
        alignment: bool = False
        alignment_momentum: Decay = 0.999
        dropout: Share = 0.5

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

    def judge(self, batch: Batch, progress: Progress) -> Judged:
        """Mean and deviation of the K predictions, the mean aligned if the config says so."""
        passes = self.teacher_predictions(batch.unlabeled["weak"], progress)
        spread = passes.std(0) if len(passes) > 1 else torch.zeros_like(passes[0])
        probs = self.aligned(passes.mean(0)) if self.config.alignment else passes.mean(0)
        return Judged(probs, self.thresholding(probs, batch.unlabeled_index, spread))

    def perturbed(self, strong: Clip, draws: Draws) -> Clip:
        """The student's view with time disturbed inside its levels."""
        return perturb(strong, self.config.perturbation, draws)

    @property
    def mixes(self) -> bool:
        """Not where mixing is off or weighs nothing."""
        return self.config.mix != "off" and self.config.mix_weight > 0

    def mix_target(self, judged: Judged) -> Tensor:
        """Soft: the mean prediction; hard: SVFormer's."""
        return judged.probs if self.config.mix == "soft" else hardened(judged)

    def scale(self, progress: Progress) -> float:
        """The sine ramp after the warm-up."""
        if not self.config.ramp:
            return 1.0
        return ramps.sine(progress.semi_step + 1, progress.total_steps - progress.warmup_steps)
