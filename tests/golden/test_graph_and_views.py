"""Worked examples of the methods with memory banks, a second net or several kinds of images."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from passthrough import EXAMPLES, ClipValues, Example, IdentityHead, batch, build, clip, fixture, progress
from torch import Tensor, nn

from datasets.types import Batch, Clip
from methods import comatch, losses, ltg, mvpl, simmatch
from methods.banks import LabeledBank
from methods.base import Method
from methods.cmpl import CMPL
from methods.comatch import CoMatch
from methods.ltg import LTG
from methods.mvpl import MvPL
from methods.projection import similarities
from methods.queue_alignment import QueueAlignment
from methods.simmatch import SimMatch
from methods.temporal_gradient import temporal_gradient

GIVEN = EXAMPLES["comatch"]


def given(key: str) -> Tensor:
    return torch.tensor(GIVEN[key], dtype=torch.float64)


# The vectors before normalization; `feat_w` and so on of the file are compared with what comes out.
RAW = {
    "feat_w": [[1, 0.2], [0.6, 0.8], [-0.5, 1]],
    "feat_s0": [[1, 0.1], [0.5, 0.9], [-0.4, 1]],
    "feat_s1": [[0.9, 0.3], [0.7, 0.6], [-0.6, 0.9]],
    "queue_feat": [[1, 0], [0, 1], [-1, 0.5], [0.7, 0.7]],
}


def normalized(name: str) -> Tensor:
    return F.normalize(torch.tensor(RAW[name], dtype=torch.float64), dim=1)


class Embedding(nn.Module):
    """The example's embedding of each clip of the fixture, found by its logits."""

    def forward(self, logits: Tensor) -> Tensor:
        names = {"zw": "feat_w", "zs": "feat_s0", "zs2": "feat_s1"}
        known = torch.cat([fixture(name) for name in (*names, "zl")])
        values = torch.cat([*map(normalized, names.values()), torch.eye(2, dtype=torch.float64)])
        place = (logits[:, None] == known).all(2).double()
        assert (place.sum(1) == 1).all()
        return values[place.argmax(1)]


def embedding(method: type[Method], **config: Any) -> Any:
    made: Any = build(method, projection=2, **config)
    made.student.projection = Embedding()
    return made


def comatch_step(**config: Any) -> Any:
    method = embedding(CoMatch, bank=4, **config)
    method.bank.push(torch.cat([normalized("queue_feat"), given("queue_prob")], 1))
    views = batch(fixture("zw"), fixture("zs"), strong2=clip(fixture("zs2")))
    return method.step(views, progress())


def test_comatch() -> None:
    strict, loose, sparse = (
        comatch_step(**config)
        for config in ({}, {"threshold": 0.8}, {"threshold": 0.8, "contrast_threshold": 0.25})
    )
    aligned = QueueAlignment(3, 32).double()(losses.probabilities(fixture("zw")))
    near = comatch.attention(normalized("feat_w"), normalized("queue_feat"), 0.2)
    with Example("comatch", {"queue_prob": "input"}) as example:
        for name in RAW:
            example.check(name, normalized(name))
        example.check("da", aligned)
        example.check("A", near)
        example.check("smoothed", strict.pseudo_label)
        example.check("mask_0p95", strict.weight)
        example.check("L_u_tau0p95", strict.losses["unsupervised"])
        example.check("mask_0p8", loose.weight)
        example.check("L_u_tau0p8", loose.losses["unsupervised"])
        example.check("Q", comatch.label_graph(loose.pseudo_label, 0.8))
        example.check("L_contrast", loose.losses["contrast"])
        example.check("Q_T0p25", comatch.label_graph(sparse.pseudo_label, 0.25))
        example.check("L_contrast_T0p25", sparse.losses["contrast"])


def simmatch_step(**config: Any) -> Any:
    method = embedding(SimMatch, **config)
    method.bank = LabeledBank(4, 2, 0.7).double()
    labels = torch.tensor(EXAMPLES["simmatch"]["bank_labels"]).long()
    method.bank.update(torch.arange(4), normalized("queue_feat"), labels)
    return method.step(batch(fixture("zw"), fixture("zs")), progress()), method


def test_simmatch() -> None:
    strict, _ = simmatch_step()
    loose, method = simmatch_step(threshold=0.8)
    features, labels = normalized("queue_feat"), torch.tensor([0, 0, 1, 2])
    aligned = QueueAlignment(3, 32).double()(losses.probabilities(fixture("zw")))
    scores = similarities(normalized("feat_w"), features, method.config.temperature)
    with Example("simmatch") as example:
        example.check("bank_labels", labels)
        example.check("teacher_inst", scores.softmax(1))
        example.check("calibrated_inst", simmatch.unfold(scores, aligned, labels))
        example.check("aggregated", simmatch.aggregate(scores.softmax(1), labels, 3))
        example.check("semantic", strict.pseudo_label)
        example.check("student_inst", similarities(normalized("feat_s0"), features, 0.1).softmax(1))
        example.check("L_in", strict.losses["instance"])
        example.check("mask_0p95", strict.weight)
        example.check("L_u_tau0p95", strict.losses["unsupervised"])
        example.check("mask_0p8", loose.weight)
        example.check("L_u_tau0p8", loose.losses["unsupervised"])


def moving(frames: Tensor, gradients: Tensor, flow: Tensor | None = None) -> Clip:
    """A clip whose first frame says `frames`, whose temporal gradient `gradients`, and cell 1 `flow`."""
    first = clip(frames, flow)[0]
    second = first.clone()
    second[:, :-1, 0, 0, 0] = frames - 2 * gradients
    return (torch.cat([first, second], 2),)


def moving_batch(weak: Clip, strong: Clip) -> Batch:
    views = batch(fixture("zw"), fixture("zs"))
    labeled = {"labeled": moving(fixture("zl"), fixture("zls"))}
    return dataclasses.replace(views, labeled=labeled, unlabeled={"weak": weak, "strong": strong})


def ltg_step(**config: Any) -> Any:
    method: Any = build(LTG, dropout=0.0, **config)
    method.student.motion.head = IdentityHead()
    views = moving_batch(moving(fixture("zw"), fixture("zm")), moving(fixture("zs"), fixture("zs2")))
    return method.step(views, progress(step=20))


def test_ltg() -> None:
    low, high = ltg_step(threshold=0.3), ltg_step(threshold=0.5)
    frames, gradients = (
        torch.tensor(EXAMPLES["ltg"][key], dtype=torch.float64) for key in ("feat_rgb", "feat_tg")
    )
    pixels = torch.tensor([100, 140], dtype=torch.uint8).view(1, 1, 2, 1, 1)
    with Example("ltg", {"feat_rgb": "input", "feat_tg": "input"}) as example:
        example.check("avg_logit_prob", ltg.average_prediction(fixture("zw"), fixture("zm")))
        example.check("mask_0p3", low.weight)
        example.check("L_u_0p3", low.losses["unsupervised"])
        example.check("mask_0p5", high.weight)
        example.check("L_u_0p5", high.losses["unsupervised"])
        example.check("L_align_one_stage", ltg.alignment(frames, gradients))
        example.check("L_contrast_T0p5_w0p5", ltg.cross_contrast(frames, gradients, 0.5))
        example.check("tg_pixel_prev100_cur140", temporal_gradient(pixels)[0, 0, 1, 0, 0])


def test_ltg_uses_its_pure_functions() -> None:
    made, labeled = ltg_step(), (fixture("zl"), fixture("zls"))
    pairs = zip(labeled, (fixture("zw"), fixture("zm")), strict=True)
    frames, gradients = (torch.cat(pair) for pair in pairs)  # features = logits
    torch.testing.assert_close(made.losses["alignment"], ltg.alignment(frames, gradients))
    both = [losses.supervised(z, fixture("y")) for z in labeled]
    torch.testing.assert_close(made.losses["supervised"], sum(both) / 2)


class SecondCell(ClipValues):
    """A net that reads other numbers off the same clip."""

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        return x[:, :-1, 0, 0, 1]


def test_cmpl() -> None:
    method: Any = build(CMPL, threshold=0.8)
    method.student.auxiliary.backbone = SecondCell()
    method.student.auxiliary.head = IdentityHead()
    views = batch(fixture("zw"), fixture("zs"))
    weak, strong = clip(fixture("zw"), fixture("zm")), clip(fixture("zs"), fixture("zs2"))
    for x in (*weak, *strong):
        x[:, -1] = 0  # marks them as not mixed
    made = method.step(dataclasses.replace(views, unlabeled={"weak": weak, "strong": strong}), progress())
    with Example("cmpl_tau0p8") as example:
        primary = method.guess(method.student, weak, views.unlabeled_index)
        example.check("mask_from_F", primary[1])
        example.check("mask_from_A", made.weight)
        example.check("L_u_A_from_F", made.losses["auxiliary_unsupervised"])
        example.check("L_u_F_from_A", made.losses["unsupervised"])


class CellFlow(nn.Module):
    """A flow whose first frame says what cell 1 of the clip says."""

    def forward(self, clip: Clip) -> Clip:
        flow = clip[0].clone()
        flow[:, :, :, :, 0] = flow[:, :, :, :, 1]
        return (flow,)


THIRD = torch.tensor([[1, 1, 0], [0, 0.8, 0], [-0.5, 2, 0]], dtype=torch.float64)


def mvpl_step(threshold: float) -> Any:
    """The third view's strong images agree with the pseudo-labels, so that their loss is 0."""
    method: Any = build(MvPL, threshold=threshold)
    method.flow = CellFlow()
    agreeing = 60.0 * F.one_hot(torch.tensor([0, 1, 1]), 3).double()
    weak = moving(fixture("zw"), fixture("zm"), THIRD)
    strong = moving(fixture("zs"), fixture("zs2"), agreeing)
    return method.step(moving_batch(weak, strong), progress())


def test_mvpl() -> None:
    low, high = mvpl_step(0.3), mvpl_step(0.5)
    with Example("mvpl") as example:
        views = (fixture("zw"), THIRD, fixture("zm"))
        example.check("prob_avg", mvpl.aggregate(views, "probabilities"))
        example.check("mask_0p3", low.weight)
        example.check("L_u_two_views_0p3", low.losses["unsupervised"])
        example.check("mask_0p5", high.weight)
        example.check("L_u_two_views_0p5", high.losses["unsupervised"])
