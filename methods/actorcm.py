"""ActorCutMix: the persons of one clip before the background of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.types import Batch, Recipe, TaskInfo
from methods import temporal
from methods.base import BuildBackbone, Method, Source
from methods.config import Choices, Count, Probability
from methods.draws import Draws
from methods.extra_inputs import ExtraInput, NeedsFiles
from methods.person_detector import PersonDetector, load_person_detector, pretended_person_detector
from methods.thresholding import FixedThreshold, Thresholding
from methods.weak_strong import Shown, WeakStrong


def composite(foreground: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """Foreground where the mask is 1, background where it is 0: mask · f + (1 - mask) · b."""
    return torch.where(mask > 0, foreground, background)


def label_share(area: Tensor) -> Tensor:
    """Share of its own label that a mixed clip keeps: 1 - (1 - r)^4 for (U,) shares of area r of its persons.

    Concave: an actor that covers a fifth of the clip has three fifths of the label.
    """
    return 1 - (1 - area) ** 4


def actor_cutmix(weak: Tensor, strong: Tensor, persons: Tensor) -> tuple[Tensor, Tensor]:
    """Puts the persons of each clip before the background of its partner i ↔ U - 1 - i.

    A background pixel is shown where neither clip has a person; where only the partner has one it becomes 0,
    the mean color.  Clips without a person, clips that are all person, and the middle one of an odd batch
    keep their strong view and their whole label.

    Args:
        weak: (U, C, T, H, W) weak view.
        strong: (U, C, T, H, W) strong view.
        persons: (U, T, H, W) bool, of the weak view.

    Returns:
        The mixed view, same shape, and (U,) the share of area of each clip's own persons (1 where kept).
    """
    area = persons.to(weak.dtype).mean((1, 2, 3))
    partner = torch.arange(len(weak) - 1, -1, -1, device=weak.device)
    mixed_in = (area > 0) & (area < 1) & (partner != partner.flip(0))
    background = composite(torch.zeros_like(weak), weak, persons[:, None])[partner]
    mixed = composite(weak, background, persons[:, None])
    view = torch.where(mixed_in[:, None, None, None, None], mixed, strong)
    return view, torch.where(mixed_in, area, torch.ones_like(area))


def mixed_target(label: Tensor, share: Tensor, classes: int) -> Tensor:
    """(U, C): `share` of the own pseudo-label, the rest of the partner's, however confident that one is."""
    own = F.one_hot(label, classes).to(share.dtype)
    return share[:, None] * own + (1 - share[:, None]) * own.flip(0)


def frame_order(frames: int, draws: Draws, purpose: str) -> Tensor:
    """One of {as it is, T-half, reversal, T-dropout} with equal probability: (T,) positions of frames."""
    orders: dict[str, Callable[[], Tensor]] = {
        "none": lambda: torch.arange(frames),
        "half": lambda: temporal.half(frames, draws, purpose),
        "reverse": lambda: temporal.reverse(frames),
        "drop": lambda: temporal.drop(frames, draws, purpose),
    }
    return orders[draws.choice(tuple(orders), f"order/{purpose}")]()


class ActorCutMix(NeedsFiles, WeakStrong):
    """L = L_s + λ_u mean_U 1[max p_w ≥ τ] H(t, z(x_s)), t = w onehot(ŷ) + (1 - w) onehot(ŷ of the partner).

    x_s is a strong view with one of {nothing, T-half, reversal, T-dropout}, drawn per clip; in half of the
    batches it is the weak clip's persons before its partner's background, and w = 1 - (1 - r)^4 for the share
    r of area of the persons; otherwise w = 1.  No EMA.

    The release reads boxes that a detector found beforehand in whole frames.  So does this method where the
    data set comes with them (`data add ... --boxes FILE`): the harness crops them with the view.  For other
    data sets, or where `detector_weights` is given, a frozen detector looks at the weak view itself; it wants
    suites with `normalize: kinetics` and pixels enough to see a person.
    """

    name = "actorcm"
    source = Source(
        "Learning Representational Invariances for Data-Efficient Action Recognition",
        "CVIU",
        2023,
        "https://arxiv.org/abs/2103.16565",
    )
    inputs = (
        ExtraInput(
            "detector_weights",
            "boxes of persons that come with the data set ('data add ... --boxes FILE'), or else the weights "
            "of a person detector of torchvision, the one that config field 'detector' names",
            "torch.save(torchvision.models.get_model('fasterrcnn_mobilenet_v3_large_320_fpn', "
            "weights='DEFAULT').state_dict(), 'detector.pth')",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(WeakStrong.Config):
        """τ = 0.95, λ_u = 1, half of the batches and the score 0.4 of a person are the release's.

        `detector`: a detector's name in torchvision (our choice: a quick one); `detector_weights`: the file
        of its state dict, empty for the data set's boxes.  `person_score` is the detector's alone, and so is
        `detect_every`: frames that share the boxes of one of them (our choice).
        """

        detector: str = "fasterrcnn_mobilenet_v3_large_320_fpn"
        detector_weights: str = ""
        detect_every: Count = 2
        person_score: Probability = 0.4
        cutmix_probability: Annotated[Probability, Choices((0.25, 0.5, 0.75))] = 0.5

    config: Config

    persons: PersonDetector | None
    """Finds the persons in a view; None where the data set tells."""

    @classmethod
    def unsupported(cls, config: Method.Config, task: TaskInfo) -> str | None:
        """Persons are known from the data set, or found by a detector whose file is there."""
        if task.boxes and not cast(ActorCutMix.Config, config).detector_weights:
            return super(NeedsFiles, cls).unsupported(config, task)
        return super().unsupported(config, task)

    def recipe(self) -> Recipe:
        """The usual views, and where persons are in the weak one, unless a detector looks for them."""
        usual = super().recipe()
        if self.persons is not None:
            return usual
        weak = replace(usual.unlabeled["weak"], persons=True)
        return Recipe(labeled=usual.labeled, unlabeled={**usual.unlabeled, "weak": weak})

    def load_inputs(self, build_backbone: BuildBackbone) -> None:
        """The detector, unless the data set's boxes are used."""
        config = self.config
        if not config.detector_weights:
            self.persons = None
            return
        self.persons = load_person_detector(
            config.detector, config.detector_weights, config.person_score, config.detect_every
        )

    def pretend_inputs(self, build_backbone: BuildBackbone) -> None:
        """A detector that finds a person in the middle of everything."""
        self.persons = pretended_person_detector()

    def perturb(self, x: Tensor, draws: Draws) -> Tensor:
        """Each (U, C, T, H, W) clip in one of four orders of its frames."""
        orders = [frame_order(x.shape[2], draws, str(i)) for i in range(len(x))]
        return torch.cat(
            [temporal.reorder(one, order) for one, order in zip(x[:, None], orders, strict=True)]
        )

    def build_thresholding(self) -> Thresholding:
        """FixMatch's threshold."""
        return FixedThreshold(self.config.threshold)

    def shown(self, batch: Batch, draws: Draws) -> Shown:
        """The strong view in another order; in half of the batches persons before other backgrounds."""
        weak, strong = batch.unlabeled["weak"][0], self.perturb(batch.unlabeled["strong"][0], draws)
        if draws.beta(1, 1, "cutmix") >= self.config.cutmix_probability:  # Beta(1, 1) is uniform
            return Shown({"strong": (strong,)})
        persons = batch.persons["weak"][0] if self.persons is None else self.persons(weak)
        view, area = actor_cutmix(weak, strong, persons)
        return Shown({"strong": (view,)}, label_share(area))

    def mixed(self, target: Tensor, share: Tensor) -> Tensor:
        """Two labels, by the share of area that the persons have."""
        return mixed_target(target, share, self.task.classes)
