"""MvPL: one net reads frames, temporal gradients and optical flow, and all three label together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from torch import Tensor

from datasets.types import Batch, Clip, TaskInfo
from methods import losses, optical_flow, temporal_gradient
from methods.base import BuildBackbone, Method, Progress, Source, Step, joint
from methods.config import Choices, Probability, Weight
from methods.extra_inputs import ExtraInput
from methods.temporal_gradient import gradient_clip
from methods.thresholding import FixedThreshold


def aggregate(logits: tuple[Tensor, ...], how: Literal["probabilities", "logits"]) -> Tensor:
    """(U, C) probabilities that several views agree on: the mean of theirs, or the softmax of mean logits."""
    if how == "logits":
        return losses.probabilities(torch.stack(logits).mean(0))
    return torch.stack([losses.probabilities(z) for z in logits]).mean(0)


class MvPL(Method):
    """L = Σ_v L_s,v + λ_u Σ_v mean 1[max P ≥ τ] H(ŷ, z(x_s^v)), P the mean prediction of the weak views.

    v runs over the kinds of images made from a view: its frames, their temporal gradients and, where
    `flow_weights` names a file, their optical flow.  One net with one head reads them all; evaluation
    shows it frames alone.  All kinds go through it in one pass, so that batch statistics of training and
    the running ones of evaluation describe the same mixture.

    Ours: gradients and flow of the frames that a view shows, after its augmentation (`temporal_gradient`,
    `optical_flow`); the paper's encoding of flow is not known to us.
    """

    name = "mvpl"
    source = Source(
        "Multiview Pseudo-Labeling for Semi-supervised Learning from Video",
        "ICCV",
        2021,
        "https://arxiv.org/abs/2104.00682",
    )
    separable = True
    inputs = (
        ExtraInput(
            "flow_weights",
            "the weights of torchvision's raft_small or raft_large, for the optical flow of the paper",
            "torch.save(torchvision.models.get_model('raft_small', weights='DEFAULT').state_dict(), "
            "'raft.pth')",
            optional=True,
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """τ = 0.3 is the paper's; mean probabilities and λ_u = 1: default to be confirmed.

        `aggregation: logits` is what the reimplementation in LTG's release does.  `flow_weights`: a file
        with the state_dict of torchvision's raft_small or raft_large; empty means no optical flow.
        """

        threshold: Annotated[Probability, Choices((0.3, 0.5, 0.8, 0.95))] = 0.3
        unlabeled_weight: Annotated[Weight, Choices((0.25, 0.5, 1.0, 2.0))] = 1.0
        aggregation: Literal["probabilities", "logits"] = "probabilities"
        flow_weights: str = ""

    config: Config

    @classmethod
    def unsupported(cls, config: Method.Config, task: TaskInfo) -> str | None:
        """A single frame has no temporal gradient; weights that are named must exist."""
        reason = super().unsupported(config, task) or temporal_gradient.refusal(config.frames or task.frames)
        path = cast(MvPL.Config, config).flow_weights
        return reason or (optical_flow.missing(path, "flow_weights") if path else None)

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self.thresholding = FixedThreshold(config.threshold)
        self.flow: optical_flow.OpticalFlow | None = None
        if config.flow_weights:
            self.flow = optical_flow.OpticalFlow(optical_flow.load_raft(config.flow_weights, "flow_weights"))

    def kinds(self, clip: Clip) -> tuple[Clip, ...]:
        """The images made from a clip: frames, temporal gradients, flow if it is on; equal shapes."""
        seen = (clip, gradient_clip(clip))
        return seen if self.flow is None else (*seen, self.flow(clip))

    def warm_up(self, batch: Batch, progress: Progress) -> Step:
        """All kinds of images of labeled clips."""
        logits = joint(self.student, *self.kinds(batch.labeled["labeled"]))
        return Step({"supervised": _total([losses.supervised(z, batch.label) for z in logits])})

    @torch.no_grad()
    def guess(self, weak: Clip) -> Tensor:
        """(U, C) probabilities of the weak view."""
        return aggregate(joint(self.student, *self.kinds(weak)), self.config.aggregation)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One joint forward pass of labeled and strong images of all kinds, one of the weak ones."""
        probs = self.guess(batch.unlabeled["weak"])
        label, weight = probs.argmax(1), self.thresholding(probs, batch.unlabeled_index)
        labeled, strong = self.kinds(batch.labeled["labeled"]), self.kinds(batch.unlabeled["strong"])
        logits = joint(self.student, *labeled, *strong)
        supervised = [losses.supervised(z, batch.label) for z in logits[: len(labeled)]]
        unsupervised = [losses.pseudo_label(z, label, weight) for z in logits[len(labeled) :]]
        return Step(
            {
                "supervised": _total(supervised),
                "unsupervised": self.config.unlabeled_weight * _total(unsupervised),
            },
            pseudo_label=label,
            weight=weight,
        )


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum()
