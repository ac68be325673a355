"""LTG, CMPL and MvPL: which net learns from what, and which one is evaluated."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from datasets.types import Batch, TaskInfo
from methods import ltg
from methods.base import Method, Progress
from methods.cmpl import CMPL
from methods.draws import Draws
from methods.ltg import LTG
from methods.mvpl import MvPL, aggregate
from methods.supervised import Supervised

TASK = TaskInfo(classes=3, labeled=4, unlabeled=6, class_counts=(2, 1, 1), frames=4)


def build(method: type[Method], **config: Any) -> Any:
    torch.manual_seed(0)
    return method(method.Config(**config), TASK, partial(shiftnet, 8, 24)).train()


def progress(step: int = 9, warmup: int = 0) -> Progress:
    return Progress(step=step, total_steps=10, warmup_steps=warmup, draws=Draws(0, step))


def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    shape = (3, 4, 32, 32)
    return Batch(
        labeled={"labeled": (torch.randn(2, *shape, generator=rng),)},
        label=torch.tensor([0, 2]),
        labeled_index=torch.arange(2),
        unlabeled={name: (torch.randn(3, *shape, generator=rng),) for name in ("weak", "strong")},
        unlabeled_index=torch.arange(3),
    )


def labels_alone() -> Batch:
    return dataclasses.replace(batch(), unlabeled={}, unlabeled_index=torch.arange(0))


def taught(loss: Tensor, net: nn.Module) -> set[str]:
    """Names of the parameters that a loss reaches."""
    names, parameters = zip(*net.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return {name for name, g in zip(names, gradients, strict=True) if g is not None and bool(g.any())}


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("method", [LTG, CMPL])
def test_a_warm_up_teaches_both_nets(method: type[Method]) -> None:
    made = build(method, dropout=0.0)
    step = made.warm_up(labels_alone(), progress(0, 5))
    reached = taught(torch.stack(list(step.losses.values())).sum(), made.student)
    second = {LTG: "motion.", CMPL: "auxiliary."}[method]
    assert {
        "head.classify.weight",
        f"{second}head.classify.weight",
        f"{second}backbone.conv1.weight",
    } < reached
    assert {"supervised"} <= set(step.losses)


@pytest.mark.parametrize("method", [LTG, CMPL])
def test_the_second_net_is_saved_and_averaged_but_not_evaluated(method: type[Method]) -> None:
    made = build(method)
    second = {LTG: "motion", CMPL: "auxiliary"}[method]
    assert f"student.{second}.head.classify.weight" in made.state_dict()
    assert count(made.student) >= 2 * count(build(Supervised).student)
    made.eval()
    clip = batch().labeled["labeled"]
    before = made.predict(clip)
    for parameter in getattr(made.student, second).parameters():
        nn.init.normal_(parameter)
    assert torch.equal(made.predict(clip), before)


def test_the_nets_of_cmpl_start_apart_and_learn_from_each_other() -> None:
    made = build(CMPL, threshold=0.0)
    weights = made.student.backbone.conv1.weight, made.student.auxiliary.backbone.conv1.weight
    assert not torch.equal(*weights)
    step = made.step(batch(), progress())
    assert not any(n.startswith("auxiliary.") for n in taught(step.losses["unsupervised"], made.student))
    assert all(
        n.startswith("auxiliary.") for n in taught(step.losses["auxiliary_unsupervised"], made.student)
    )
    index = batch().unlabeled_index
    label, _ = made.guess(made.student.auxiliary, batch().unlabeled["weak"], index)
    assert torch.equal(step.pseudo_label, label)


def test_ltg_aligns_frames_with_gradients_and_not_the_other_way() -> None:
    frames, gradients = (torch.randn(3, 4, requires_grad=True) for _ in range(2))
    ltg.alignment(frames, gradients).backward()
    assert frames.grad is not None
    assert gradients.grad is None
    ltg.cross_contrast(frames, gradients, 0.5).backward()
    assert gradients.grad is not None
    made = build(LTG, dropout=0.0)
    step = made.step(batch(), progress())
    reached = taught(step.losses["alignment"], made.student)
    assert "backbone.conv1.weight" in reached
    assert not any(name.startswith("motion.") for name in reached)
    assert "motion.projection.0.weight" in taught(step.losses["contrast"], made.student)


def test_pseudo_labels_of_ltg_start_late_but_alignment_does_not() -> None:
    made = build(LTG, threshold=0.0, unlabeled_start=0.5, dropout=0.0)
    early, late = (made.step(batch(), progress(step)) for step in (4, 5))
    assert early.weight.tolist() == [0, 0, 0]
    assert float(early.losses["unsupervised"].detach()) == 0
    assert float(early.losses["alignment"].detach()) > 0
    assert late.weight.tolist() == [1, 1, 1]
    assert float(late.losses["unsupervised"].detach()) > 0


@pytest.mark.parametrize("method", [LTG, MvPL])
def test_a_single_frame_is_refused(method: type[Method]) -> None:
    reason = method.unsupported(method.Config(frames=1), TASK)
    assert reason == (
        "temporal gradients compare successive frames, but its views have 1; give them 2 or more"
    )
    assert method.unsupported(method.Config(), TASK) is None
    assert "16" in (method.unsupported(method.Config(frames=16), TASK) or "")


def test_mvpl_refuses_flow_weights_that_are_not_there() -> None:
    reason = MvPL.unsupported(MvPL.Config(flow_weights="weights/raft.pth"), TASK)
    assert reason is not None
    assert reason.startswith(
        "config field 'flow_weights' names 'weights/raft.pth', but there is no such file;"
    )
    assert "leave the field empty" in reason


def test_mvpl_adds_no_weights_and_shows_frames_and_gradients() -> None:
    made = build(MvPL)
    assert count(made.student) == count(build(Supervised).student)
    clip = batch().labeled["labeled"]
    frames, gradients = made.kinds(clip)
    assert torch.equal(frames[0], clip[0])
    torch.testing.assert_close(gradients[0][:, :, 1], (clip[0][:, :, 0] - clip[0][:, :, 1]) / 2)


class Still(nn.Module):
    def forward(self, clip: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(torch.zeros_like(x) for x in clip)


def test_flow_is_one_more_kind_of_image_in_training_and_in_warm_up() -> None:
    plain, flowing = build(MvPL, threshold=0.0), build(MvPL, threshold=0.0)
    flowing.flow = Still()
    for made, kinds in ((plain, 2), (flowing, 3)):
        nn.init.zeros_(made.student.head.classify.weight)
        nn.init.zeros_(made.student.head.classify.bias)
        chance = torch.log(torch.tensor(3.0))
        step, warm = made.step(batch(), progress()), made.warm_up(labels_alone(), progress(0, 5))
        for loss in (*step.losses.values(), warm.losses["supervised"]):
            torch.testing.assert_close(loss.detach(), kinds * chance)


def test_views_agree_by_mean_probabilities_or_mean_logits() -> None:
    sure, unsure = torch.tensor([[8.0, 0.0]]), torch.tensor([[-1.0, 1.0]])
    logits = aggregate((sure, unsure), "logits")
    torch.testing.assert_close(logits, torch.tensor([[3.5, 0.5]]).softmax(1))
    probs = aggregate((sure, unsure), "probabilities")
    torch.testing.assert_close(probs, (sure.softmax(1) + unsure.softmax(1)) / 2)
