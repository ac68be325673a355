"""The pieces that methods share: thresholds, alignment, ramps, averages, losses, configs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from datasets.errors import UserError
from datasets.types import TaskInfo
from methods import ema, losses, ramps
from methods.alignment import UniformAlignment, align
from methods.base import LinearHead, Progress
from methods.config import Choices, Count, build, tuning_ranges
from methods.draws import Draws
from methods.fixmatch import FixMatch
from methods.mean_teacher import MeanTeacher
from methods.softmatch import SoftMatch
from methods.svformer import SVFormer
from methods.thresholding import FixedThreshold, NoThreshold, SoftMatchWeight, truncated_gaussian

TASK = TaskInfo(classes=3, labeled=2, unlabeled=5, class_counts=(1, 1, 0), frames=8)
INDEX = torch.zeros(1, dtype=torch.long)
SHARES = st.floats(0, 1)


@st.composite
def probabilities(draw: st.DrawFn, most: int = 6) -> Tensor:
    n, classes = draw(st.integers(1, most)), draw(st.integers(2, 5))
    row = st.lists(st.floats(-30, 30), min_size=classes, max_size=classes)
    logits = draw(st.lists(row, min_size=n, max_size=n))
    return torch.tensor(logits).softmax(1)


def test_a_confidence_of_exactly_the_threshold_counts() -> None:
    probs = torch.tensor([[0.75, 0.25], [0.7499, 0.2501], [0.1, 0.9]])
    assert FixedThreshold(0.75)(probs, INDEX).tolist() == [1, 0, 1]
    assert FixedThreshold(0.95)(torch.tensor([[0.95, 0.05]]), INDEX).tolist() == [1]
    assert NoThreshold()(probs, INDEX).tolist() == [1, 1, 1]


@given(probs=probabilities(), momentum=st.floats(0, 0.999), n_sigma=st.floats(0.1, 5))
def test_weights_are_shares(probs: Tensor, momentum: float, n_sigma: float) -> None:
    soft = SoftMatchWeight(probs.shape[1], momentum, n_sigma)
    for rule in (FixedThreshold(0.5), NoThreshold(), soft, soft):
        weight = rule(probs, INDEX)
        assert weight.shape == (len(probs),)
        assert ((weight >= 0) & (weight <= 1)).all()


def test_equal_confidences_without_variance_count_in_full() -> None:
    rule = SoftMatchWeight(2, 0.0, 2.0)  # the batch alone: mean 1, variance 0
    assert rule(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), INDEX).tolist() == [1, 1]


def test_a_single_clip_moves_no_variance() -> None:
    rule = SoftMatchWeight(2, 0.5, 2.0)
    rule(torch.tensor([[0.9, 0.1]]), INDEX)
    assert (float(rule.mean), float(rule.variance)) == (0.5, 1.0)


@given(low=SHARES, high=SHARES, mean=SHARES)
def test_the_truncated_gaussian_rises_to_one_at_the_mean(low: float, high: float, mean: float) -> None:
    confidence = torch.tensor(sorted([low, high]))
    weight = truncated_gaussian(confidence, torch.tensor(mean), torch.tensor(0.04), 2.0)
    assert weight[0] <= weight[1]
    assert all(w == 1 for w, c in zip(weight.tolist(), confidence.tolist(), strict=True) if c >= mean + 1e-6)


@given(probs=probabilities(), data=st.data())
def test_alignment_keeps_probabilities(probs: Tensor, data: st.DataObject) -> None:
    classes = probs.shape[1]
    shares = st.lists(st.floats(0, 1), min_size=classes, max_size=classes)
    marginal = torch.tensor(data.draw(shares)) + 1e-3
    aligned = align(probs, marginal / marginal.sum(), torch.full((classes,), 1 / classes))
    assert (aligned >= 0).all()
    torch.testing.assert_close(aligned.sum(1), torch.ones(len(probs)))


def test_alignment_to_what_is_already_so_changes_nothing() -> None:
    probs = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    marginal = torch.tensor([0.5, 0.3, 0.2])
    torch.testing.assert_close(align(probs, marginal, marginal), probs)


def test_alignment_makes_rare_predictions_likelier() -> None:
    rule = UniformAlignment(2, 0.9)
    probs = torch.tensor([[0.9, 0.1], [0.7, 0.3]])
    aligned = rule(probs)
    torch.testing.assert_close(rule.marginal, probs.mean(0))  # the first batch sets it
    assert (aligned[:, 1] > probs[:, 1]).all()
    rule(torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(rule.marginal, 0.9 * probs.mean(0) + 0.1 * torch.tensor([0.0, 1.0]))


@given(t=SHARES, u=SHARES, length=st.floats(0.01, 1))
def test_ramps_rise_from_almost_nothing_to_one(t: float, u: float, length: float) -> None:
    for ramp in (ramps.linear, ramps.sigmoid, ramps.sine):
        assert 0 <= ramp(min(t, u), length) <= ramp(max(t, u), length) <= 1
        assert ramp(length, length) == pytest.approx(1)
        assert ramp(0, length) < 0.01
    assert ramps.linear(t, 0) == ramps.sigmoid(t, 0) == 1


def test_the_average_follows_floats_and_copies_counters() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = ema.frozen_copy(model)
    assert not any(p.requires_grad for p in average.parameters())
    before = {name: value.clone() for name, value in average.state_dict().items()}
    model.train()(torch.randn(8, 2))
    nn.init.normal_(model[0].weight)
    ema.update(average, model, 0.75)
    for name, value in average.state_dict().items():
        new = model.state_dict()[name]
        expected = 0.75 * before[name] + 0.25 * new if new.is_floating_point() else new
        torch.testing.assert_close(value, expected)
    ema.update(average, model, 0.0)
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in average.state_dict().items())


@given(decay=st.floats(0, 0.9999), step=st.integers(0, 10**6))
def test_a_warm_average_starts_low_and_never_exceeds_its_decay(decay: float, step: int) -> None:
    assert ema.decay_at(decay, step, warm=False) == decay
    assert ema.decay_at(decay, step, warm=True) <= decay
    assert ema.decay_at(decay, step, warm=True) <= ema.decay_at(decay, step + 1, warm=True)
    assert ema.decay_at(0.9999, 0, warm=True) == pytest.approx(0.1)


def _after(method: FixMatch | SVFormer, step: int) -> tuple[Tensor, Tensor]:
    nn.init.ones_(method.student.head.classify.weight)
    nn.init.zeros_(method.teacher.head.classify.weight)
    method.after_step(Progress(step=step, total_steps=200, warmup_steps=100, draws=Draws(0, step)))
    return method.teacher.head.classify.weight, method.student.head.classify.weight


def test_the_teacher_starts_as_a_copy_after_the_warm_up_where_the_method_says_so() -> None:
    method = SVFormer(SVFormer.Config(ema_decay=0.5), TASK, partial(shiftnet, 8, 24))
    assert torch.equal(*_after(method, 99))
    teacher, _ = _after(method, 100)
    assert (teacher == 0.5).all()


def test_the_teacher_averages_from_the_first_step_otherwise() -> None:
    method = FixMatch(FixMatch.Config(ema_decay=0.5), TASK, partial(shiftnet, 8, 24))
    teacher, _ = _after(method, 50)
    assert (teacher == 0.5).all()
    assert torch.equal(*_after(FixMatch(FixMatch.Config(), TASK, partial(shiftnet, 8, 24)), 50))


def test_the_teacher_stays_in_evaluation_mode() -> None:
    method = FixMatch(FixMatch.Config(dropout=0.5), TASK, partial(shiftnet, 8, 24)).train()
    assert method.student.training
    assert not any(module.training for module in method.teacher.modules())


def test_probabilities_are_float32_under_autocast() -> None:
    logits = torch.tensor([[2.9, 0.0], [2.96, 0.0]])
    with torch.autocast("cpu", torch.bfloat16):
        probs = losses.probabilities(logits.bfloat16())
    assert probs.dtype == torch.float32
    assert losses.probabilities(logits.double()).dtype == torch.float64
    torch.testing.assert_close(probs.sum(1), torch.ones(2), rtol=0, atol=1e-6)


def test_masked_clips_count_as_zero_in_the_mean() -> None:
    logits, label = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    alone = losses.supervised(logits[1:2], label[1:2])
    weight = torch.tensor([0.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(losses.pseudo_label(logits, label, weight), alone / 4)


def test_the_consistency_of_mean_teacher_has_a_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    losses.consistency(logits, torch.randn(4, 3).softmax(1)).backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


def test_mean_teacher_shows_two_weak_views_or_a_strong_one() -> None:
    for view, name in (("weak", "weak2"), ("strong", "strong")):
        method = MeanTeacher(MeanTeacher.Config(student_view=view), TASK, partial(shiftnet, 8, 24))
        views = method.recipe().unlabeled
        assert {n: v.augment for n, v in views.items()} == {"weak": "weak", name: view}
        assert views["weak"].draw != views[name].draw


def test_a_linear_head_concatenates_levels() -> None:
    head = LinearHead(2, 3, 0.0, levels=2).eval()
    a, b = torch.randn(4, 2), torch.randn(4, 2)
    torch.testing.assert_close(head((a, b)), head.classify(torch.cat([a, b], 1)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"thresold": 0.9}, "there is no config field 'thresold'. Did you mean 'threshold'?"),
        ({"threshold": 1.2}, "config field 'threshold' is 1.2, but it must be at least 0 and at most 1."),
        ({"frames": -3}, "config field 'frames' is -3"),
        ({"unlabeled_weight": float("inf")}, "config field 'unlabeled_weight' is inf"),
        ({"unlabeled_weight": float("nan")}, "config field 'unlabeled_weight' is nan"),
        (
            {"pseudo_labels": "nobody"},
            "config field 'pseudo_labels' is 'nobody', but input should be",
        ),
        (
            {"threshold": True},
            "config field 'threshold' is True, but it must be a number, such as its default 0.95.",
        ),
        ({"frames": True}, "config field 'frames' is True, but it must be a number, such as its default 0."),
        ({"ema_decay": True}, "config field 'ema_decay' is True, but it must be a number"),
        ({"unlabeled_weight": False}, "config field 'unlabeled_weight' is False, but it must be a number"),
        (
            {"pseudo_labels": True},
            "'student' or 'teacher'; a word that YAML reads as true or false is written in quotes.",
        ),
    ],
)
def test_settings_out_of_range_are_refused_in_a_sentence(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(FixMatch.Config, values, "method 'fixmatch'")
    assert str(caught.value).startswith("method 'fixmatch': ")
    assert message in str(caught.value)


@dataclass(frozen=True, kw_only=True)
class Switches:
    levels: tuple[Count, ...] = (2, 4)
    whether: bool = False
    mix: Literal["soft", "off"] = "soft"
    rule: Annotated[Literal["on", "no", "No"], Choices(("on", "no"))] = "no"


def test_a_choice_that_yaml_took_for_a_boolean_is_that_choice() -> None:
    assert build(Switches, yaml.safe_load("{mix: off, rule: on, whether: on}"), "here") == Switches(
        mix="off", rule="on", whether=True
    )
    with pytest.raises(UserError, match=r"'rule' is False, but .* is written in quotes"):
        build(Switches, {"rule": False}, "here")  # two choices are spelt so
    with pytest.raises(UserError, match=r"'mix' is True, but .* is written in quotes"):
        build(Switches, {"mix": True}, "here")


def test_a_boolean_within_a_list_is_no_number() -> None:
    assert build(Switches, {"levels": [1, 4]}, "here").levels == (1, 4)
    with pytest.raises(UserError, match=r"here: config field 'levels\.1' is True, but it must be a number\."):
        build(Switches, {"levels": [1, True]}, "here")


def test_settings_that_a_method_ignores_are_not_tuned() -> None:
    assert tuning_ranges(FixMatch.Config)["threshold"] == Choices((0.7, 0.8, 0.9, 0.95))
    assert set(tuning_ranges(SoftMatch.Config)) == {"unlabeled_weight", "momentum", "n_sigma"}


def test_more_frames_than_the_task_gives_are_refused() -> None:
    reason = FixMatch.unsupported(FixMatch.Config(frames=16), TASK)
    assert reason == "config field 'frames' is 16, but the task gives each clip 8 frames"
    assert FixMatch.unsupported(FixMatch.Config(frames=8), TASK) is None
