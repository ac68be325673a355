"""Worked examples of the methods that compare two looks at a clip, and of those that mix clips.

MixUp takes means of pixels, so the pass-through net of the other examples would take means of logits.
Here a clip is one number, its name, and `Table` says what the logits of each name are; a mixture of two
clips has a name of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from passthrough import EXAMPLES, Example, FixedDraws, IdentityHead, batch, build, fixture, progress
from torch import Tensor, nn

from datasets.types import Batch, Clip, TaskInfo
from methods import losses, ramps, soft_losses, vat
from methods.base import Method
from methods.draws import Draws
from methods.mixmatch import MixMatch
from methods.pi_model import PiModel
from methods.remixmatch import ReMixMatch
from methods.sharpening import sharpen
from methods.temporal_ensembling import TemporalEnsembling
from methods.vat import VAT


@pytest.mark.parametrize("gradient", ["both", "second"])
def test_pi_model(gradient: str) -> None:
    method = build(PiModel, unlabeled_weight=10.0, gradient=gradient)
    views = batch(fixture("zw"), fixture("zs"))
    made = method.step(views, progress(step=29))
    with Example("pi_model") as example:
        target = losses.probabilities(fixture("zw"))
        each = [losses.consistency(fixture("zs")[i : i + 1], target[i : i + 1]) for i in range(3)]
        example.check("per_sample", torch.stack(each))
        example.check("L_u", made.losses["unsupervised"] / 10)
        example.check("total_w10_ramp1", sum(made.losses.values()))


def _second_visit(epoch: int, labeled: int = 4000, total: int = 50000) -> Tensor:
    """The consistency term at an epoch of 300, of clips that were seen once before."""
    task = TaskInfo(classes=3, labeled=labeled, unlabeled=total, class_counts=(1, 0, 1), frames=8)
    method = _identity(TemporalEnsembling(TemporalEnsembling.Config(), task, lambda: Table({})))
    method.memory.add(torch.arange(3), losses.probabilities(fixture("zw")))
    method.student.backbone = build(TemporalEnsembling).student.backbone
    made = method.step(batch(fixture("zs"), fixture("zs")), progress(step=epoch, total=300))
    return made.losses["unsupervised"]


def test_temporal_ensembling_ramp() -> None:
    schedule = "schedules belong to suites, the same for all entries"
    with Example("temporal_ensembling_ramp", {"lr_rampdown_300ep_at_270": schedule}) as example:
        first = build(TemporalEnsembling).step(batch(fixture("zw"), fixture("zs")), progress())
        example.check("w_epoch0", first.losses["unsupervised"])
        full = _second_visit(80)
        for epoch in (0, 20, 40, 80):
            example.check(f"rampup_{epoch}", _second_visit(epoch) / full)
            example.check(f"rampup_{epoch}", ramps.sigmoid(epoch / 300, 80 / 300))
        consistency = losses.consistency(fixture("zs"), losses.probabilities(fixture("zw")))
        # The paper's cross-entropy is a mean over all clips, N_l / N of which have a label; ours is a mean
        # over the labeled ones.  Dividing its total by N_l / N takes the factor out of its w as well.
        share = 4000 / 50000
        example.check("wmax30_scaled_4000_of_50000", full / consistency * share)
        example.check("w_epoch40", _second_visit(40) / consistency * share)


def test_temporal_ensembling() -> None:
    method = build(TemporalEnsembling)
    with Example("temporal_ensembling") as example:
        for epoch, name in enumerate(("zw", "zs", "zs2"), 1):
            made = method.step(batch(fixture(name), fixture("zs")), progress(step=29))
            example.check(f"target_after_epoch{epoch}", method.memory.targets(torch.arange(3))[0])
        example.check("L_u_epoch2_student_zs2", made.losses["unsupervised"] / 30)


class Plane(nn.Module):
    """Two numbers, times the matrix of the example."""

    dim = 2
    patch = (1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)
        self.linear.weight.data = torch.tensor([[1.0, -0.5], [-0.3, 0.8]], dtype=torch.float64)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1))
        return logits


def test_vat() -> None:
    start = torch.tensor([0.6, 0.8], dtype=torch.float64).view(1, 2, 1, 1, 1)
    draws = FixedDraws(direction=start)
    task = TaskInfo(classes=2, labeled=1, unlabeled=1, class_counts=(1, 0), frames=8)
    config = VAT.Config(epsilon=0.5, unlabeled_weight=0.3, entropy_weight=0.06)
    method = _identity(VAT(config, task, Plane))
    weak = (torch.tensor([1.0, 0.5], dtype=torch.float64).view(1, 2, 1, 1, 1),)
    zero = torch.zeros(1, dtype=torch.long)
    views = Batch({"labeled": weak}, zero, zero, {"weak": weak}, zero)
    made = method.step(views, progress(draws, step=29))
    clean = method.student(weak)
    shift = vat.adversarial(method.student, weak, clean, (start,), epsilon=0.5, xi=0.1)
    with Example("vat") as example:
        example.check("p", losses.probabilities(clean)[0])
        example.check("direction", vat.unit(shift)[0].flatten())
        example.check("r_adv", shift[0].flatten())
        example.check("p_adv", losses.probabilities(method.student((weak[0] + shift[0],)))[0])
        example.check("LDS", made.losses["unsupervised"] / 0.3)
        example.check("entropy", made.losses["entropy"] / 0.06)
        example.check("loss_lambda0p3_ent0p06", made.losses["unsupervised"] + made.losses["entropy"])


class Table(nn.Module):
    """A backbone that looks the logits of a clip up by its name."""

    dim = 3
    patch = (1, 1, 1)

    def __init__(self, logits: Mapping[float, Tensor]) -> None:
        super().__init__()
        self.logits = dict(logits)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        rows = []
        for name in x[:, 0, 0, 0, 0].tolist():
            near = [known for known in self.logits if abs(known - name) < 1e-9]
            rows.append(self.logits[near[0]] if near else torch.zeros(3, dtype=torch.float64))
        return torch.stack(rows)


def _identity(method: Any) -> Any:
    method.student.head = IdentityHead()
    return method.double().train()


def _named(*names: float) -> Clip:
    """One square clip per name, which looks alike from all sides."""
    clip = torch.tensor(names, dtype=torch.float64).view(-1, 1, 1, 1, 1)
    return (clip.expand(-1, 1, 1, 2, 2).clone(),)


def _mixing(method: type[Method], table: Mapping[float, Tensor], **config: Any) -> Any:
    task = TaskInfo(classes=3, labeled=4, unlabeled=3, class_counts=(2, 1, 1), frames=8, mirror=True)
    return _identity(method(method.Config(**config), task, lambda: Table(table)))


def _views(**views: Clip) -> Batch:
    """The first labeled clip of the fixture, named 1, and unlabeled views."""
    zero = torch.zeros(1, dtype=torch.long)
    return Batch({"labeled": _named(1)}, zero, zero, views, torch.arange(3))


def test_mixmatch() -> None:
    first, second = (10, 20, 30), (100, 200, 300)
    pure = dict(zip((*first, *second), (*fixture("zw"), *fixture("zs")), strict=True))
    mean = (losses.probabilities(fixture("zw")) + losses.probabilities(fixture("zs"))) / 2
    target = sharpen(mean, 0.5)
    # Rows: l_0, then the clips' first views, then their second ones.  l_0 meets u_0; both views of u_2 meet
    # l_0; the views of u_0 and u_1 meet each other, and their logits fit, so that their loss is 0.
    order = [1, 4, 5, 0, 1, 2, 0]
    names = (1, *first, *second)
    mixtures = [0.8 * names[i] + 0.2 * names[j] for i, j in enumerate(order)]
    wanted = [fixture("zl")[0], *target[:2].log(), fixture("zs")[2], *target[:2].log(), fixture("zs")[2]]
    method = _mixing(MixMatch, {**pure, **dict(zip(mixtures, wanted, strict=True))}, unlabeled_weight=75.0)
    draws = FixedDraws(0.2, order)  # λ = 0.2 comes out as 0.8: the larger share is always the clip's own
    made = method.step(_views(weak=_named(*first), weak2=_named(*second)), progress(draws, step=29))
    label = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    one_of_three = 3 * made.losses["unsupervised"]
    with Example("mixmatch") as example:
        example.check("avg", mean)
        assert made.pseudo_label is not None
        example.check("sharpened_T0p5", made.pseudo_label)
        mixed = 0.8 * label + 0.2 * made.pseudo_label[0]
        example.check("mix_target_l0_with_u0_lam0p8", mixed)
        example.check("L_x_on_zl0", soft_losses.cross_entropy(fixture("zl")[:1], mixed[None]))
        example.check("L_x_on_zl0", made.losses["supervised"])
        example.check("mix_target_u2_with_l0", 0.8 * made.pseudo_label[2] + 0.2 * label)
        example.check("L_u_on_zs2", one_of_three / 75)
        example.check("total_lambda75", made.losses["supervised"] + one_of_three)


class OneTurn(FixedDraws):
    """Every clip is turned once."""

    def integer(self, low: int, high: int, purpose: str) -> int:
        return 1


def test_remixmatch() -> None:
    weak, strong, strong2 = (10, 20, 30), (100, 200, 300), (400, 500, 600)
    table = dict(zip((*weak, *strong), (*fixture("zw"), *fixture("zs")), strict=True))
    method = _mixing(ReMixMatch, table, strong_weight=0.5, rotation_weight=0.5)
    nn.init.zeros_(method.student.rotation.weight)
    method.student.rotation.bias.data = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    views = _views(weak=_named(*weak), strong=_named(*strong), strong2=_named(*strong2))
    made = method.step(views, progress(OneTurn(0.8, range(10)), step=29))
    with Example("remixmatch") as example:
        example.check("p_model_first", method.aligned.marginal)
        again = _mixing(ReMixMatch, table).aligned
        aligned = again(losses.probabilities(fixture("zw")))
        example.check("aligned_target_0p5_0p25_0p25", aligned)
        example.check("sharpened", made.pseudo_label)
        example.check("L_u1_on_zs", made.losses["strong"] / 0.5)
        example.check("rot_loss_logits_0_1_0_0_class1", made.losses["rotation"] / 0.5)
        method.student.backbone.logits.update(dict(zip(weak, fixture("zs"), strict=True)))
        method.step(views, progress(OneTurn(0.8, range(10)), step=29))
        example.check("p_model_second_update_m0p999", method.aligned.marginal)


def test_remixmatch_mixes_with_a_cross_entropy() -> None:
    names = (1, 10, 20, 30, 100, 200, 300, 400, 500, 600)
    weak, strong, strong2 = names[1:4], names[4:7], names[7:]
    order = [7, 0, 2, 3, 4, 5, 6, 7, 8, 9]  # l_0 with the weak view of u_0, u_0's first strong one with l_0
    rows = (1, *strong, *strong2, *weak)
    target = fixture("zw").new_tensor(EXAMPLES["remixmatch"]["sharpened"])
    label = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    table = {name: 0 * fixture("zl")[0] for name in names}
    table.update(dict(zip(weak, fixture("zw"), strict=True)))
    table[0.8 * 1 + 0.2 * rows[7]] = fixture("zl")[0]
    table[0.8 * rows[1] + 0.2 * 1] = fixture("zs")[0]
    method = _mixing(ReMixMatch, table, unlabeled_weight=1.0, rotation="never")
    views = _views(weak=_named(*weak), strong=_named(*strong), strong2=_named(*strong2))
    draws: Draws = FixedDraws(0.8, order)
    made = method.step(views, progress(draws, step=29))
    partner = target[[0, 1, 2, 0, 1, 2, 0, 1, 2]]
    logits = torch.stack([table[name] for name in rows[1:]])
    logits[0], mixed = fixture("zs")[0], partner.clone()
    mixed[0] = 0.8 * target[0] + 0.2 * label[0]
    supervised = soft_losses.cross_entropy(fixture("zl")[:1], 0.8 * label + 0.2 * target[:1])
    torch.testing.assert_close(made.losses["supervised"], supervised, rtol=0, atol=1e-6)
    unlabeled = soft_losses.cross_entropy(logits, mixed)
    torch.testing.assert_close(made.losses["unsupervised"], unlabeled, rtol=0, atol=1e-6)
    assert set(made.losses) == {"supervised", "unsupervised", "strong"}
