"""The rules of FixMatch's relatives: thresholds, sharpening, annealing, alignment, fairness, views."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.backbones.shiftnet import shiftnet
from datasets.errors import UserError
from datasets.types import TaskInfo
from methods import uda
from methods.adamatch import AdaMatch, LabeledAlignment, cosine_ramp, relative_threshold
from methods.base import Method
from methods.config import build, tuning_ranges
from methods.dash import Dash, DashThreshold, threshold_at, weak_loss
from methods.defixmatch import DeFixMatch
from methods.fixmatch import FixMatch
from methods.flexmatch import FlexMatch, FlexMatchThreshold, flexible_threshold, learning_status
from methods.freematch import FreeMatch, FreeMatchThreshold, adaptive_thresholds, fairness
from methods.pseudo_label import PseudoLabel, alpha
from methods.sequencematch import SequenceMatch, divergence
from methods.sharpening import sharpen
from methods.softmatch import SoftMatch
from methods.uda import UDA

TASK = TaskInfo(classes=3, labeled=4, unlabeled=5, class_counts=(2, 1, 1), frames=8)
INDEX = torch.arange(2)
SHARES = st.floats(0, 1)


def _made(method: type[Method], **config: object) -> Method:
    values = build(method.Config, config, f"method '{method.name}'")
    return method(values, TASK, partial(shiftnet, 8, 24))


@st.composite
def probabilities(draw: st.DrawFn, most: int = 5, classes: int = 3) -> Tensor:
    row = st.lists(st.floats(-60, 60), min_size=classes, max_size=classes)
    logits = draw(st.lists(row, min_size=1, max_size=most))
    return torch.tensor(logits).softmax(1)


def test_only_the_rule_or_one_part_differs_from_the_step_of_fixmatch() -> None:
    for method in (FlexMatch, FreeMatch, SoftMatch, UDA, Dash, SequenceMatch):
        assert method.step is FixMatch.step
    for method in (FlexMatch, SoftMatch):  # "differ from it by their thresholding only"
        own = set(vars(method)) & set(vars(FixMatch)) - {"__module__", "__doc__", "__annotations__"}
        assert own <= {"name", "source", "separable", "Config", "build_thresholding"}, own


# FlexMatch


@given(picked=st.lists(st.integers(-1, 2), min_size=1, max_size=12), warm=st.booleans())
def test_learning_status_is_a_share_and_thresholds_stay_below_the_fixed_one(
    picked: list[int], warm: bool
) -> None:
    status = learning_status(torch.tensor(picked), 3, warm)
    assert status.shape == (3,)
    assert ((status >= 0) & (status <= 1)).all()
    thresholds = flexible_threshold(0.95, status)
    assert ((thresholds >= 0) & (thresholds <= 0.95 + 1e-6)).all()
    order = status.argsort()
    assert (thresholds[order].diff() >= 0).all()  # the better learnt, the higher


def test_unused_clips_lower_all_thresholds_while_they_are_the_most() -> None:
    picked = torch.tensor([0, 0, 1, -1, -1, -1, -1, -1])
    assert learning_status(picked, 3, warm=True).tolist() == pytest.approx([0.4, 0.2, 0])
    assert learning_status(picked, 3, warm=False).tolist() == pytest.approx([1, 0.5, 0])
    assert learning_status(torch.full((4,), -1), 3, warm=False).tolist() == [0, 0, 0]


def test_flexmatch_judges_by_what_was_learnt_before_the_batch() -> None:
    rule = FlexMatchThreshold(classes=3, unlabeled=4, threshold=0.95, warm=True)
    sure = torch.tensor([[0.96, 0.02, 0.02], [0.4, 0.3, 0.3]])
    assert rule(sure, INDEX).tolist() == [1, 1]  # nothing is learnt yet: thresholds 0
    assert rule.picked.tolist() == [0, -1, -1, -1]  # the second clip passed, but it was not confident
    unsure = torch.tensor([[0.3, 0.4, 0.3], [0.15, 0.7, 0.15]])
    rule(unsure, INDEX)
    assert rule.picked.tolist() == [0, -1, -1, -1]  # an unconfident prediction changes no memory
    rule(sure.flip(1), INDEX)
    assert rule.picked.tolist() == [2, -1, -1, -1]  # a confident one replaces it


def test_flexmatch_asks_less_of_a_class_that_is_learnt_less() -> None:
    rule = FlexMatchThreshold(classes=3, unlabeled=5, threshold=0.9, warm=True)
    rule.picked.copy_(torch.tensor([0, 0, 0, 1, -1]))
    both = torch.tensor([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]])
    assert rule(both, INDEX).tolist() == [0, 1]


def test_flexmatch_remembers_one_class_per_unlabeled_clip_in_its_state() -> None:
    method = _made(FlexMatch)
    assert method.state_dict()["thresholding.picked"].tolist() == [-1] * TASK.unlabeled


# FreeMatch


@given(marginal=st.lists(st.floats(0.01, 1), min_size=3, max_size=3), level=st.floats(0.01, 1))
def test_the_most_predicted_class_has_the_whole_threshold(marginal: list[float], level: float) -> None:
    shares = torch.tensor(marginal) / sum(marginal)
    thresholds = adaptive_thresholds(torch.tensor(level), shares)
    assert float(thresholds.amax()) == pytest.approx(level, abs=1e-6)
    assert float(thresholds[shares.argmax()]) == pytest.approx(level, abs=1e-6)
    assert (thresholds <= level + 1e-6).all()


def test_freematch_follows_the_batch_before_it_judges() -> None:
    rule = FreeMatchThreshold(2, 0.5, quantile=False, clip=False)
    probs = torch.tensor([[0.9, 0.1], [0.7, 0.3]])
    assert rule(probs, INDEX).tolist() == [1, 1]
    assert float(rule.level) == pytest.approx(0.65)  # half of 0.5 and half of 0.8
    assert rule.marginal.tolist() == pytest.approx([0.65, 0.35])
    assert rule.histogram.tolist() == pytest.approx([0.75, 0.25])
    strict = FreeMatchThreshold(2, 0.0, quantile=False, clip=False)
    assert strict(probs, INDEX).tolist() == [1, 0]  # the mean of the batch alone


def test_the_options_of_freematch() -> None:
    probs = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    quantile = FreeMatchThreshold(2, 0.0, quantile=True, clip=False)
    quantile(probs, INDEX)
    assert float(quantile.level) == pytest.approx(0.9)
    clipped = FreeMatchThreshold(2, 0.0, quantile=False, clip=True)
    clipped(probs[:1], INDEX)
    assert float(clipped.level) == pytest.approx(0.95)


def test_fairness_counts_the_clips_of_the_mask_alone() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]], requires_grad=True)
    even = torch.full((2,), 0.5)
    fairness(logits, torch.tensor([1.0, 1.0, 0.0]), even, even).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[:2].abs().sum() > 0
    assert logits.grad[2].abs().sum() == 0
    assert float(fairness(logits, torch.zeros(3), even, even)) == 0


def test_a_class_that_no_strong_view_shows_has_a_finite_gradient() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [1.5, 1.0, 0.0]], requires_grad=True)
    third = torch.full((3,), 1 / 3)
    term = fairness(logits, torch.ones(2), third, third)
    term.backward()
    assert float(term) == pytest.approx(-27.631 * 2 / 3, abs=1e-2)  # two classes of three at log 1e-12
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("momentum", [0.9, 0.95])
def test_a_class_that_nobody_predicts_for_long_does_not_spoil_fairness(momentum: float) -> None:
    rule = FreeMatchThreshold(12, momentum, quantile=False, clip=False)
    probs = torch.full((4, 12), 0.01 / 11).index_fill(1, torch.tensor(0), 0.99)
    logits = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    for _ in range(3000):  # its running share falls below what a float can hold
        rule.follow(probs)
        assert fairness(logits, torch.ones(4), rule.marginal, rule.histogram).isfinite()
    assert float(rule.histogram[1]) < 1e-40


# Dash


@given(k=st.integers(0, 200), initial=st.floats(0.01, 10), decay=st.floats(1.01, 3), floor=st.floats(0.01, 1))
def test_the_threshold_of_dash_falls_to_its_floor(k: int, initial: float, decay: float, floor: float) -> None:
    now, next_one = (threshold_at(i, initial, decay, floor) for i in (k, k + 1))
    assert floor <= next_one <= now <= max(1.0001 * initial, floor)
    assert threshold_at(10_000, initial, decay, floor) == floor


def test_a_probability_of_zero_gives_a_finite_weak_loss() -> None:
    probs = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    expected = pytest.approx([0, 0.6931472])
    assert weak_loss(probs, sharpen(probs, 0.5)).tolist() == expected
    assert weak_loss(probs, probs.argmax(1)).tolist() == expected


def _dash_rule() -> DashThreshold:
    return DashThreshold(4, temperature=0.5, decay=1.27, floor=0.05)


def test_dash_starts_from_the_last_loss_of_each_labeled_training_clip() -> None:
    rule = _dash_rule()
    label = torch.zeros(1, dtype=torch.long)
    even, sure = torch.zeros(1, 2), torch.tensor([[50.0, 0.0]])
    rule.watch(even, label, torch.tensor([1]), 0)
    rule.watch(even, label, torch.tensor([3]), 0)
    rule.watch(sure, label, torch.tensor([1]), 0)  # learnt meanwhile: its loss is 0
    assert rule.rho == pytest.approx(1.0001 * 0.6931472 / 2)
    rule(torch.full((2, 2), 0.5), INDEX)  # the first unlabeled batch fixes it
    rule.watch(sure, label, torch.tensor([3]), 1)
    assert rule.rho == pytest.approx(1.0001 * 0.6931472 / 2 / 1.27)


def test_dash_takes_hard_labels_once_the_threshold_is_at_its_floor() -> None:
    rule = _dash_rule()
    rule.watch(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), torch.tensor([0]), 0)
    probs = torch.tensor([[0.9, 0.1], [0.96, 0.04]])
    assert rule.target(probs).shape == (2, 2)
    assert rule(probs, INDEX).tolist() == [1, 1]
    rule.k = 100
    assert rule.target(probs).tolist() == [0, 0]
    assert rule(probs, INDEX).tolist() == [0, 1]  # -log 0.9 = 0.105, -log 0.96 = 0.041


# Pieces


@given(probs=probabilities(), temperature=st.floats(0.01, 1))
def test_sharpening_keeps_the_order_and_raises_the_confidence(probs: Tensor, temperature: float) -> None:
    sharp = sharpen(probs, temperature)
    torch.testing.assert_close(sharp.sum(1), torch.ones(len(probs)))
    assert (sharp.amax(1) >= probs.amax(1) - 1e-6).all()
    torch.testing.assert_close(sharp.gather(1, probs.argmax(1)[:, None])[:, 0], sharp.amax(1))


def test_sharpening_is_a_softmax_with_temperature() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sharpen(logits.softmax(1), 0.4), (logits / 0.4).softmax(1))
    torch.testing.assert_close(sharpen(logits.softmax(1), 1.0), logits.softmax(1))


@given(t=SHARES, u=SHARES, classes=st.integers(2, 300))
def test_labels_are_released_over_training(t: float, u: float, classes: int) -> None:
    for schedule in ("linear", "exp", "log"):
        early, late = (uda.released(x, classes, schedule) for x in (min(t, u), max(t, u)))
        assert 1 / classes - 1e-9 <= early <= late <= 1 + 1e-9
    assert uda.released(0, classes, "linear") == pytest.approx(1 / classes)
    assert uda.released(1, classes, "linear") == pytest.approx(1)
    exp, linear, log = (uda.released(0.5, classes, schedule) for schedule in ("exp", "linear", "log"))
    assert exp < linear < log


def test_annealing_drops_what_is_known_too_well() -> None:
    logits, label = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])  # p = 0.88, 0.12
    true_class = uda.annealed_loss(logits, label, 0.7, "true_class")
    assert float(true_class) == pytest.approx(2.1269 / 2, abs=1e-4)  # the wrong one counts
    assert float(uda.annealed_loss(logits, label, 0.7, "largest")) == 0  # both are confident
    whole = torch.nn.functional.cross_entropy(logits, label)
    torch.testing.assert_close(uda.annealed_loss(logits, label, 0.9, "largest"), whole)


@given(t=st.floats(0, 2), u=st.floats(0, 2), start=SHARES, length=SHARES)
def test_the_weight_of_pseudo_labels_rises_from_zero(t: float, u: float, start: float, length: float) -> None:
    early, late = (alpha(x, start, start + length, 3.0) for x in (min(t, u), max(t, u)))
    assert 0 <= early <= late <= 3
    assert alpha(start + length + 1e-6, start, start + length, 3.0) == pytest.approx(3, abs=1e-3)


def test_the_divergence_vanishes_where_both_agree_and_ignores_masked_clips() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    target = logits.softmax(1)
    torch.testing.assert_close(divergence(target, logits, torch.ones(2)), torch.tensor(0.0))
    other = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    first, both = (
        divergence(other, logits, torch.tensor([1.0, 0.0])),
        divergence(other, logits, torch.ones(2)),
    )
    assert float(first) == pytest.approx(1.3132617 / 2)
    assert both > first


@given(probs=probabilities(), threshold=SHARES)
def test_the_relative_threshold_is_at_most_the_absolute_one(probs: Tensor, threshold: float) -> None:
    assert float(relative_threshold(probs, threshold)) <= threshold + 1e-6


@given(t=SHARES, u=SHARES)
def test_the_ramp_of_adamatch_ends_half_way(t: float, u: float) -> None:
    assert 0 <= cosine_ramp(min(t, u)) <= cosine_ramp(max(t, u)) <= 1
    assert cosine_ramp(0) == 0
    assert cosine_ramp(0.5) == cosine_ramp(1) == 1


@given(labeled=probabilities(), unlabeled=probabilities(), momentum=st.floats(0, 0.999))
def test_alignment_to_labeled_predictions_gives_probabilities(
    labeled: Tensor, unlabeled: Tensor, momentum: float
) -> None:
    aligned = LabeledAlignment(3, momentum)(labeled, unlabeled)
    assert (aligned >= 0).all()
    torch.testing.assert_close(aligned.sum(1), torch.ones(len(unlabeled)))


def test_alignment_follows_labeled_and_unlabeled_predictions_apart() -> None:
    rule = LabeledAlignment(2, 0.5)
    rule(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.2, 0.8]]))
    assert rule.target.tolist() == pytest.approx([0.7, 0.3])  # from a uniform start
    assert rule.average.marginal.tolist() == pytest.approx([0.2, 0.8])  # set by the first batch
    rule(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.6, 0.4]]))
    assert rule.average.marginal.tolist() == pytest.approx([0.4, 0.6])
    same = LabeledAlignment(2, 0.0)
    probs = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
    torch.testing.assert_close(same(probs, probs), probs)


# What the methods declare


def test_labeled_clips_are_seen_weakly_and_strongly_where_the_definition_needs_it() -> None:
    views = {name: view.augment for name, view in _made(DeFixMatch).recipe().labeled.items()}
    assert views == {"labeled": "labeled", "labeled_weak": "weak", "labeled_strong": "strong"}
    views = {name: view.augment for name, view in _made(AdaMatch).recipe().labeled.items()}
    assert views == {"labeled": "labeled", "labeled_weak": "weak"}


@pytest.mark.parametrize("augment", ["weak", "medium", "strong"])
def test_the_medium_view_is_a_third_draw(augment: str) -> None:
    views = _made(SequenceMatch, medium_view=augment).recipe().unlabeled
    named = {name: view.augment for name, view in views.items()}
    assert named == {"weak": "weak", "strong": "strong", "medium": augment}
    assert len({view.draw for view in views.values()}) == 3
    assert SequenceMatch.Config().medium_view == "weak"  # which every suite has


def test_pseudo_label_sees_one_weak_view() -> None:
    views = _made(PseudoLabel).recipe().unlabeled
    assert {name: view.augment for name, view in views.items()} == {"weak": "weak"}


def test_a_threshold_that_a_method_ignores_is_not_tuned() -> None:
    for method in (FreeMatch, Dash):
        assert "threshold" not in tuning_ranges(method.Config)
    for method in (PseudoLabel, UDA, FlexMatch, AdaMatch, DeFixMatch, SequenceMatch):
        assert "threshold" in tuning_ranges(method.Config)


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        (Dash, {"decay": 1.0}, "config field 'decay' is 1.0, but it must be above 1 and finite."),
        (Dash, {"interval": 0.0}, "config field 'interval' is 0.0, but it must be above 0 and at most 1."),
        (UDA, {"temperature": 0.0}, "config field 'temperature' is 0.0, but it must be above 0 and finite."),
        (DeFixMatch, {"alignment": "weight"}, "config field 'alignment' is 'weight', but input should be"),
    ],
)
def test_settings_out_of_range_are_refused(
    method: type[Method], values: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        build(method.Config, values, f"method '{method.name}'")
    assert message in str(caught.value)
