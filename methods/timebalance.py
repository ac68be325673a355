"""TimeBalance: two frozen self-supervised teachers, weighed by how much a video repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch, Clip, Recipe, TaskInfo
from methods import losses, recipes
from methods.base import BuildBackbone, Classifier, Method, Progress, Source, Step, joint
from methods.config import Choices, Count, Weight
from methods.extra_inputs import ExtraInput, Frozen, NeedsFiles, fill, read_state_dict

_HOW = (
    "a state dict of this trial's backbone and linear head, names 'backbone.*' and 'head.classify.*': a net "
    "that was pre-trained on the unlabeled clips and fine-tuned on the labeled ones, saved by "
    "torch.save(method.student.state_dict(), 'teacher.pth')"
)


def mean_pairwise_cosine(features: Tensor) -> Tensor:
    """Mean cosine over all pairs of the K clips of a video: (N, K, D) features, K ≥ 2 -> (N,)."""
    unit = F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=2)
    first, second = torch.triu_indices(features.shape[1], features.shape[1], offset=1)
    return (unit[:, first] * unit[:, second]).sum(2).mean(1)


def balance(similarity: Tensor, distinctive: Tensor, invariant: Tensor) -> Tensor:
    """(1 - s) p_D + s p_I: (N,) similarities, (N, C) probabilities of both teachers.

    A video whose clips look alike is judged by the temporally invariant teacher.
    """
    share = similarity[:, None]
    return (1 - share) * distinctive + share * invariant


def windows(clip: Clip, count: int) -> Clip:
    """A view cut into `count` consecutive windows: (N, C, T, H, W) -> (N count, C, T // count, H, W)."""
    x = clip[0]
    length = x.shape[2] // count
    parts = torch.unflatten(x[:, :, : count * length], 2, (count, length))
    return (parts.transpose(1, 2).flatten(0, 1),)


class TimeBalance(NeedsFiles):
    """L = L_s + λ_l mean_{i,c} (softmax z(x_l) - t(x_l))² + λ_u mean_{i,c} (softmax z(x_u) - t(x_u))².

    t(x) = (1 - s) softmax f_D(x) + s softmax f_I(x): f_I is a frozen teacher that was pre-trained to be
    invariant to time, f_D one that was pre-trained to tell times apart; both were then fine-tuned on the
    labeled clips.  No threshold, no EMA, one view.

    s is the mean cosine of f_D's features over clips of the same video (default to be confirmed: the release
    reads it from a file that it does not ship).  Here the clips are consecutive windows of the view, so that
    no frame more is decoded than in any other method; negative means count as 0.  The release's student
    starts from pre-trained weights (here: the suite's) and its view is moderately strong (here: weak).
    """

    name = "timebalance"
    source = Source(
        "TimeBalance: Temporally-Invariant and Temporally-Distinctive Video Representations for "
        "Semi-Supervised Action Recognition",
        "CVPR",
        2023,
        "https://arxiv.org/abs/2303.16268",
    )
    separable = True
    inputs = (
        ExtraInput("invariant", "a frozen teacher pre-trained to be invariant to time", _HOW),
        ExtraInput("distinctive", "a frozen teacher pre-trained to tell times apart", _HOW),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """λ_l = 50 and λ_u = 100 are the release's.

        `invariant`, `distinctive`: files of the two teachers.  `windows`: clips of a video whose features are
        compared; the paper's teacher is pre-trained on 4 clips of a video, views of 8 frames allow 2 windows
        of 4 frames (our choice).
        """

        invariant: str = ""
        distinctive: str = ""
        labeled_weight: Annotated[Weight, Choices((10.0, 50.0))] = 50.0
        unlabeled_weight: Annotated[Weight, Choices((20.0, 50.0, 100.0))] = 100.0
        windows: Count = 2

    config: Config

    @classmethod
    def unsupported(cls, config: Method.Config, task: TaskInfo) -> str | None:
        """At least two windows of at least one frame each."""
        refused = super().unsupported(config, task)
        count, frames = getattr(config, "windows", 2), config.frames or task.frames
        if refused is None and not 2 <= count <= frames:
            return f"config field 'windows' is {count}, but views of {frames} frames need 2 to {frames}"
        return refused

    def load_inputs(self, build_backbone: BuildBackbone) -> None:
        """Both teachers, nets like the student."""
        files = {"invariant": self.config.invariant, "distinctive": self.config.distinctive}
        teachers = {}
        for field, file in files.items():
            where = f"config field '{field}' ('{file}')"
            teachers[field] = Method.build_model(self, build_backbone)
            fill(teachers[field], read_state_dict(file, f"config field '{field}'"), where)
        self._keep(**teachers)

    def pretend_inputs(self, build_backbone: BuildBackbone) -> None:
        """Two random teachers."""
        self._keep(*(Method.build_model(self, build_backbone) for _ in range(2)))

    def _keep(self, invariant: Classifier, distinctive: Classifier) -> None:
        self.invariant, self.distinctive = Frozen(invariant), Frozen(distinctive)

    def recipe(self) -> Recipe:
        """One weak view of each unlabeled clip."""
        return recipes.one_weak(self.sampler())

    @torch.no_grad()
    def target(self, clip: Clip) -> Tensor:
        """t(x): (N, C) probabilities of the two teachers, balanced for each clip."""
        device = clip[0].device
        invariant, distinctive = self.invariant.on(device), self.distinctive.on(device)
        features = torch.cat(distinctive.features(windows(clip, self.config.windows)), 1)
        similarity = mean_pairwise_cosine(torch.unflatten(features, 0, (-1, self.config.windows)))
        probs = (losses.probabilities(teacher(clip)) for teacher in (distinctive, invariant))
        return balance(similarity.clamp(min=0), *probs)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint pass of the student; both teachers on the same clips."""
        labeled_clip, clip = batch.labeled["labeled"], batch.unlabeled["weak"]
        labeled, logits = joint(self.student, labeled_clip, clip)
        target = self.target(clip)
        config = self.config
        return Step(
            {
                "supervised": losses.supervised(labeled, batch.label),
                "distilled": config.labeled_weight * losses.consistency(labeled, self.target(labeled_clip)),
                "unsupervised": config.unlabeled_weight * losses.consistency(logits, target),
            },
            pseudo_label=target.argmax(1),
            weight=torch.ones_like(target[:, 0]),
        )
