"""DeFixMatch: FixMatch, debiased by subtracting the pseudo-label loss of the labeled clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from datasets.types import Batch, Recipe, View
from methods import losses
from methods.base import Progress, Source, Step, joint
from methods.config import Choices, Weight
from methods.fixmatch import FixMatch


class DeFixMatch(FixMatch):
    """L = ½ [L_s(x_l) + L_s(x_ls)] + λ_u (mean_U M H(ŷ_w, z_s) - mean_B M_l H(ŷ_lw, z_ls)).

    The last term is FixMatch's on the labeled clips, with pseudo-label and mask from a weak view of them and
    without their labels.  It shares the bias of the unlabeled term, so the sum of both may be negative.

    Three views of the labeled clips: `labeled`, the suite's, for L_s alone; `labeled_weak` and
    `labeled_strong`, augmented exactly as the unlabeled ones, since otherwise the biases would differ.
    """

    name = "defixmatch"
    source = Source(
        "Don't fear the unlabelled: safe semi-supervised learning via debiasing",
        "ICLR",
        2023,
        "https://arxiv.org/abs/2203.07512",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FixMatch.Config):
        """τ = 0.95 and λ_u = 0.5 are USB's; alignment would have to hold for labeled clips too: none here."""

        unlabeled_weight: Annotated[Weight, Choices((0.25, 0.5, 1.0))] = 0.5
        alignment: Literal["none"] = "none"

    config: Config

    def recipe(self) -> Recipe:
        """The usual views, and a weak and a strong one of the labeled clips."""
        usual, sampler = super().recipe(), self.sampler()
        more = {
            "labeled_weak": View(sampler, "weak", draw=1),
            "labeled_strong": View(sampler, "strong", draw=2),
        }
        return Recipe(labeled={**usual.labeled, **more}, unlabeled=usual.unlabeled)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """One pass without gradient of both weak views, one of the labeled and both strong ones."""
        weak = zip(batch.labeled["labeled_weak"], batch.unlabeled["weak"], strict=True)
        probs = self.guess(tuple(torch.cat(levels) for levels in weak))
        known, unknown = torch.split(probs, [len(batch.label), len(batch.unlabeled_index)])
        weight = self.thresholding(unknown, batch.unlabeled_index)
        weight_l = self.thresholding(known, batch.labeled_index)
        label = unknown.argmax(1)

        views = (batch.labeled["labeled"], batch.labeled["labeled_strong"], batch.unlabeled["strong"])
        labeled, labeled_strong, strong = joint(self.student, *views)
        supervised = (losses.supervised(z, batch.label) for z in (labeled, labeled_strong))
        factor = self.config.unlabeled_weight
        return Step(
            {
                "supervised": 0.5 * sum(supervised, labeled.new_zeros(())),
                "unsupervised": factor * losses.pseudo_label(strong, label, weight),
                "debiasing": -factor * losses.pseudo_label(labeled_strong, known.argmax(1), weight_l),
            },
            pseudo_label=label,
            weight=weight,
        )
