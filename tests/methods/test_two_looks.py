"""The methods that compare two looks at a clip: which passes leave a trace, where gradients flow."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from datasets.types import Batch, Clip, TaskInfo
from methods import soft_losses, vat
from methods.base import Method, Progress
from methods.draws import Draws
from methods.mean_teacher import MeanTeacher
from methods.passes import frozen_statistics, repeatable
from methods.pi_model import PiModel
from methods.prediction_memory import PredictionMemory
from methods.temporal_ensembling import TemporalEnsembling
from methods.vat import VAT

TASK = TaskInfo(classes=3, labeled=2, unlabeled=5, class_counts=(1, 1, 0), frames=4)


def _build(method: type[Method], **config: Any) -> Any:
    torch.manual_seed(0)
    return method(method.Config(**config), TASK, partial(shiftnet, 4, 6)).train()


def _clip(n: int, seed: int = 0) -> Clip:
    return (torch.randn(n, 3, 4, 32, 32, generator=torch.Generator().manual_seed(seed)),)


def _batch(n: int = 3) -> Batch:
    label, index = torch.tensor([0, 1]), torch.arange(n)
    return Batch({"labeled": _clip(2)}, label, label, {"weak": _clip(n, 1), "weak2": _clip(n, 2)}, index)


def _progress(step: int = 9) -> Progress:
    return Progress(step=step, total_steps=10, warmup_steps=0, draws=Draws(0, step))


def _statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.named_buffers()}


def _same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def test_guesses_use_batch_statistics_and_leave_the_running_ones_alone() -> None:
    model = _build(PiModel).student
    before, clip = _statistics(model), _clip(3)
    with frozen_statistics(model):
        frozen = model(clip)
    assert _same(before, _statistics(model))
    torch.testing.assert_close(frozen, model(clip))  # the same batch statistics as an ordinary pass
    assert not _same(before, _statistics(model))


def test_statistics_move_again_after_an_error_in_a_frozen_pass() -> None:
    model = nn.BatchNorm1d(2)
    with pytest.raises(RuntimeError), frozen_statistics(model):
        raise RuntimeError
    assert model.track_running_stats


def test_repeated_passes_drop_the_same_and_the_noise_after_them_is_untouched() -> None:
    model = _build(VAT, dropout=0.5).student
    clip, again = _clip(3), repeatable(model)
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    assert torch.equal(again(clip), again(clip))
    assert torch.equal(torch.rand(1), expected)
    before = again(clip)
    torch.rand(1)
    assert not torch.equal(before, again(clip))  # other masks where the harness has moved on


@given(
    shapes=st.lists(st.sampled_from([(3,), (2, 3), (1, 2, 3), (3, 2, 2, 2)]), min_size=1, max_size=3),
    scale=st.floats(1e-36, 1e30),
)
def test_a_direction_has_length_one_over_all_axes_and_levels_of_each_sample(
    shapes: list[tuple[int, ...]], scale: float
) -> None:
    clip = tuple(
        scale * torch.ones(2, *shape) * torch.tensor([1.0, 5.0]).view(2, *[1] * len(shape))
        for shape in shapes
    )
    squares = sum(x.flatten(1).square().sum(1) for x in vat.unit(clip))
    torch.testing.assert_close(squares, torch.ones(2))


def test_a_direction_of_zeros_stays_zero() -> None:
    assert not vat.unit((torch.zeros(2, 3, 4, 5, 5),))[0].any()


def _shift(model: nn.Module, clip: Clip, xi: float) -> Tensor:
    still = repeatable(model)
    start = vat.gaussian(clip, Draws(0, 0))
    return vat.adversarial(still, clip, still(clip), start, epsilon=1.0, xi=xi)[0]


def test_the_adversarial_direction_survives_float32() -> None:
    model, clip = _build(VAT).student, _clip(3)
    found = _shift(model, clip, VAT.Config().xi).double()
    exact = _shift(model.double(), (clip[0].double(),), 1e-4)
    cosine = (found * exact).flatten(1).sum(1)
    assert (cosine > 0.95).all(), cosine


def test_the_adversarial_direction_changes_more_than_a_random_one() -> None:
    model, clip = _build(VAT).student, _clip(3)
    still = repeatable(model)
    clean = still(clip).detach()
    chance = vat.unit(vat.gaussian(clip, Draws(1, 0)))[0]
    worst = _shift(model, clip, 0.1)
    with torch.no_grad():
        moved = [soft_losses.divergence(clean, still((clip[0] + r,))) for r in (worst, chance)]
    assert moved[0] > 10 * moved[1]


def test_vat_moves_the_statistics_of_the_labeled_pass_alone() -> None:
    method, twin, batch = _build(VAT), _build(VAT), _batch()
    method.step(batch, _progress())
    twin.student(batch.labeled["labeled"])
    assert _same(_statistics(twin.student), _statistics(method.student))


def test_vat_touches_no_gradient_before_the_harness_asks() -> None:
    method = _build(VAT)
    made = method.step(_batch(), _progress())
    assert all(p.grad is None for p in method.student.parameters())
    assert set(made.losses) == {"supervised", "unsupervised", "entropy"}


def test_vat_sees_no_difference_where_only_dropout_differs() -> None:
    method = _build(VAT, dropout=0.5, epsilon=1e-6)
    made = method.step(_batch(), _progress())
    assert float(made.losses["unsupervised"].detach()) < 1e-6


def test_vat_finds_the_same_direction_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    original = vat.adversarial

    def remember(*arguments: Any, **settings: Any) -> Clip:
        found.append(original(*arguments, **settings))
        return found[-1]

    monkeypatch.setattr(vat, "adversarial", remember)
    for narrow in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            _build(VAT).step(_batch(), _progress())
    torch.testing.assert_close(found[0][0], found[1][0])


def _gradients_of_views(method: Any, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the consistency term sends a gradient to the logits of `weak` and of `weak2`."""
    logits = [torch.randn(n, 3, requires_grad=True) for n in (2, 3, 3)]
    monkeypatch.setattr("methods.pi_model.joint", lambda *_: logits)
    method.step(_batch(), _progress()).losses["unsupervised"].backward()
    return [z.grad is not None and bool(z.grad.any()) for z in logits[1:]]


def test_both_branches_of_the_pi_model_learn_unless_the_first_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _gradients_of_views(_build(PiModel), monkeypatch) == [True, True]
    assert _gradients_of_views(_build(PiModel, gradient="second"), monkeypatch) == [False, True]


def test_the_consistency_of_mean_teacher_teaches_the_student_and_it_alone() -> None:
    """A public code base overwrites the student's logits by the teacher's: no gradient at all."""
    method = _build(MeanTeacher, ramp=0.0, ema_decay=0.9)
    with torch.no_grad():
        for weight in method.teacher.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    loss = method.step(_batch(), _progress()).losses["unsupervised"]
    assert float(loss.detach()) > 0
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in method.student.head.parameters())
    assert all(p.grad is None for p in method.teacher.parameters())


def test_the_pi_model_shows_two_weak_views_of_other_frames() -> None:
    views = _build(PiModel).recipe().unlabeled
    assert {name: view.augment for name, view in views.items()} == {"weak": "weak", "weak2": "weak"}
    assert views["weak"].draw != views["weak2"].draw


@settings(max_examples=30)
@given(epochs=st.integers(1, 6), momentum=st.floats(0, 0.99), seed=st.integers(0, 999))
def test_the_memory_is_the_average_that_the_paper_keeps_by_epoch(
    epochs: int, momentum: float, seed: int
) -> None:
    torch.manual_seed(seed)
    memory = PredictionMemory(6, 3, momentum).double()
    average = torch.zeros(6, 3, dtype=torch.float64)
    for epoch in range(epochs):
        predicted = torch.rand(6, 3, dtype=torch.float64).softmax(1)
        for index in torch.randperm(6).split(4):  # batches of 4 and 2, in any order
            memory.add(index, predicted[index])
        average = momentum * average + (1 - momentum) * predicted
        target, seen = memory.targets(torch.arange(6))
        assert seen.all()
        torch.testing.assert_close(target, average / (1 - momentum ** (epoch + 1)))


def test_a_clip_that_stands_twice_in_a_batch_is_one_visit() -> None:
    twice, once = PredictionMemory(4, 2, 0.6), PredictionMemory(4, 2, 0.6)
    first, second = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.5, 0.5]])
    twice.add(torch.tensor([3, 1, 3]), torch.cat([first, second, second]))
    once.add(torch.tensor([3, 1]), torch.cat([(first + second) / 2, second]))
    torch.testing.assert_close(twice.sums, once.sums)
    assert twice.visits.tolist() == [0, 1, 0, 1]


def test_a_first_visit_counts_nothing_and_the_memory_is_in_the_state() -> None:
    method = _build(TemporalEnsembling)
    first = method.step(_batch(), _progress())
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(0.1)
    second = method.step(_batch(), _progress())
    assert float(first.losses["unsupervised"]) == 0
    assert first.weight is not None
    assert not first.weight.any()
    assert float(second.losses["unsupervised"].detach()) > 1e-6  # it no longer says what it said before
    assert second.weight is not None
    assert second.weight.all()
    assert method.state_dict()["memory.visits"].tolist() == [2, 2, 2, 0, 0]
    assert method.memory.sums.shape == (TASK.unlabeled, TASK.classes)
    assert not method.memory.sums.requires_grad
