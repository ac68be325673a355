"""Worked examples of the methods that need files, with stand-ins for the nets in the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from passthrough import EXAMPLES, ClipValues, Example, FixedDraws, IdentityHead, batch, fixture, progress
from torch import Tensor, nn

from datasets.types import Batch, Clip, TaskInfo
from methods import actorcm, losses, timebalance
from methods.actorcm import ActorCutMix
from methods.base import Method
from methods.image_teacher import DistilledClassifier, ImageTeacher
from methods.mt_sd import MeanTeacherDistilled
from methods.timebalance import TimeBalance
from methods.videossl import VideoSSL

M = TypeVar("M", bound=Method)

IMAGE_TARGET = torch.tensor(EXAMPLES["videossl"]["teacher_probs"], dtype=torch.float64)
IMAGE_LOGITS = torch.tensor(EXAMPLES["videossl"]["distill_logits"], dtype=torch.float64)


def rehearse(method: type[M], **config: Any) -> M:
    """The method in float64 without its files, with logits that are the clip's values."""
    task = TaskInfo(classes=3, labeled=2, unlabeled=3, class_counts=(1, 0, 1), frames=8)
    made = method.rehearsal()(method.Config(**config), task, ClipValues)  # type: ignore[attr-defined]
    made.student.head, made.teacher.head = IdentityHead(), IdentityHead()
    assert isinstance(made, method)
    return made.double().train()


class Says(ImageTeacher):
    """An image net whose answer is given."""

    def __init__(self, probs: Tensor) -> None:
        super().__init__(nn.Identity(), 3, 1, (0.0,), (1.0,))
        self._probs = probs

    def __call__(self, frames: Tensor) -> Tensor:
        assert len(frames) == len(self._probs)
        return self._probs


def give_image_net(method: VideoSSL, features: Tensor) -> None:
    """The example's image probabilities, and a head that maps the view's features to its image logits."""
    assert isinstance(method.student, DistilledClassifier)
    method.image_teacher = Says(IMAGE_TARGET)
    head = nn.Linear(3, 3, bias=False).double()
    with torch.no_grad():
        head.weight.copy_(torch.linalg.solve(features, IMAGE_LOGITS).T)
    method.student.image_head = head


INPUTS = {"teacher_probs": "input", "distill_logits": "input"}


def test_videossl() -> None:
    method = rehearse(VideoSSL)
    give_image_net(method, fixture("zw"))
    made = method.step(batch(fixture("zw"), fixture("zs")), progress())
    with Example("videossl", INPUTS) as example:
        example.check("L_distill", made.losses["distillation"])
        example.check("L_pl_tau0p8", made.losses["unsupervised"])
        example.check("total_unit", sum(made.losses.values()))


def test_mt_sd() -> None:
    method = rehearse(MeanTeacherDistilled, unlabeled_weight=1.0, ramp=0.0)
    give_image_net(method, fixture("zs"))  # the view `weak2` of the batch below
    made = method.step(batch(fixture("zw"), fixture("zs")), progress())
    with Example("mt_sd") as example:
        example.check("L_cons", made.losses["unsupervised"])
        example.check("L_distill", made.losses["distillation"])
        example.check("total_unit", sum(made.losses.values()))


class Teacher(nn.Module):
    """A frozen net with given logits, whose features of two windows of clip i have the cosine `cosines[i]`.

    Whole clips have two frames, windows one.
    """

    def __init__(self, logits: dict[int, Tensor], cosines: Tensor) -> None:
        super().__init__()
        self._logits, self._cosines = logits, cosines

    def forward(self, clip: Clip) -> Tensor:
        assert clip[0].shape[2] == 2
        return self._logits[len(clip[0])]

    def features(self, windows: Clip) -> tuple[Tensor, ...]:
        assert windows[0].shape[2] == 1
        cosine = self._cosines[: len(windows[0]) // 2]
        first = torch.stack([torch.ones_like(cosine), torch.zeros_like(cosine)], 1)
        second = torch.stack([cosine, (1 - cosine.square()).sqrt()], 1)
        return (torch.stack([first, 2 * second], 1).flatten(0, 1),)


def two_frames(made: Batch) -> Batch:
    twice = {name: (torch.cat([x[0], x[0]], 2),) for name, x in made.unlabeled.items()}
    labeled = {name: (torch.cat([x[0], x[0]], 2),) for name, x in made.labeled.items()}
    return Batch(labeled, made.label, made.labeled_index, twice, made.unlabeled_index)


def test_timebalance() -> None:
    given = EXAMPLES["timebalance"]
    cosines = torch.tensor(given["s"], dtype=torch.float64)
    method = rehearse(TimeBalance)
    distinctive = Teacher({3: fixture("zw"), 2: fixture("zls")}, cosines)
    invariant = Teacher({3: fixture("zm"), 2: fixture("zl")}, cosines)
    method._keep(invariant, distinctive)  # type: ignore[arg-type]
    views = two_frames(batch(fixture("zs"), fixture("zs")))
    made = method.step(views, progress())
    with Example("timebalance", {"clip_feats": "input"}) as example:
        whole = views.unlabeled["weak"]
        windows = torch.unflatten(distinctive.features(timebalance.windows(whole, 2))[0], 0, (3, 2))
        example.check("s", timebalance.mean_pairwise_cosine(windows))
        example.check("teacher", method.target(whole))
        example.check("L_u_mse", made.losses["unsupervised"] / 100)
        example.check("L_l_mse", made.losses["distilled"] / 50)
        example.check("total_1_50_100", sum(made.losses.values()))
        features = torch.tensor(given["clip_feats"], dtype=torch.float64)
        example.check("mean_pairwise_cos", timebalance.mean_pairwise_cosine(features[None])[0])


def pictures(logits: Tensor, values: Tensor) -> Clip:
    """Clips of 20 pixels: the first three channels are `values` everywhere but in the first pixel, which says
    `logits`; the last channel tells clips apart."""
    x = torch.zeros(len(logits), 4, 1, 1, 20, dtype=torch.float64)
    x[:, :3] = values[:, :, None, None, None]
    x[:, :3, 0, 0, 0] = logits
    x[:, 3] = torch.arange(1, 1 + len(logits))[:, None, None, None]
    return (x,)


class Painted(ClipValues):
    """Reads the first pixel of a whole clip, and the second one (the person's) of a composite."""

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        whole = (x[:, 3, 0, 0] == x[:, 3, 0, 0, :1]).all(1)
        return torch.where(whole[:, None], x[:, :3, 0, 0, 0], x[:, :3, 0, 0, 1])


class Persons:
    """A person from the second pixel on, as large as the example says."""

    def __init__(self, areas: Sequence[float]) -> None:
        self.mask = torch.zeros(len(areas), 1, 1, 20, dtype=torch.bool)
        for mask, area in zip(self.mask, areas, strict=True):
            mask[0, 0, 1 : 1 + round(20 * area)] = True

    def __call__(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == self.mask.shape[1:]
        return self.mask


class Unmoved(FixedDraws):
    """Leaves the order of frames as it is, and mixes (its number from Beta is 0.4, below one half)."""

    def choice(self, options: Sequence[Any], purpose: str) -> Any:
        return options[0]


def test_actorcm() -> None:
    areas = EXAMPLES["actorcm_tau0p9"]["ratio"]
    method = rehearse(ActorCutMix, threshold=0.9)
    method.student.backbone = Painted()
    persons = Persons(areas)
    method.persons = persons  # type: ignore[assignment]
    weak, strong = pictures(fixture("zw"), fixture("zs")), pictures(fixture("zs"), fixture("zs"))
    labeled = {"labeled": pictures(fixture("zl"), fixture("zl"))}
    unlabeled = {"weak": weak, "strong": strong}
    views = Batch(labeled, fixture("y"), torch.arange(2), unlabeled, torch.arange(3))
    made = method.step(views, progress(Unmoved()))
    assert made.pseudo_label is not None
    with Example("actorcm_tau0p9") as example:
        area = persons(weak[0]).double().mean((1, 2, 3))
        share = actorcm.label_share(area)
        example.check("ratio", area)
        example.check("weight", share)
        example.check("partner", made.pseudo_label.flip(0))
        example.check("targets", actorcm.mixed_target(made.pseudo_label, share, 3))
        example.check("mask", made.weight)
        example.check("L_u", made.losses["unsupervised"])


def test_l2a() -> None:
    """Its compositing is that of ActorCutMix; the label is the foreground's."""
    foreground, background = torch.full((1,), 200.0), torch.full((1,), 50.0)
    with Example("l2a_composite") as example:
        example.check("pixel_m1_fg200_bg50", actorcm.composite(foreground, background, torch.ones(1))[0])
        example.check("pixel_m0_fg200_bg50", actorcm.composite(foreground, background, torch.zeros(1))[0])
        one = torch.ones(1, dtype=torch.float64)
        label = fixture("zw")[:1].argmax(1)
        example.check("ce_fg_label_on_zs0", losses.pseudo_label(fixture("zs")[:1], label, one))
