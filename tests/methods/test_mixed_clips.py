"""MixMatch and ReMixMatch: who is mixed with whom, who is turned, and what is kept from learning."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from datasets.types import Batch, Clip, TaskInfo
from methods import ema, losses, soft_losses
from methods.base import Classifier, Method, Progress
from methods.draws import Draws
from methods.label_alignment import LabelAlignment
from methods.mixmatch import MixMatch
from methods.mixup import mixed_pass, own_share
from methods.remixmatch import ReMixMatch
from methods.rotation import RotationClassifier, draw_turns, rotate

TASK = TaskInfo(classes=3, labeled=2, unlabeled=5, class_counts=(1, 1, 2), frames=4, mirror=True)


def _build(method: type[Method], task: TaskInfo = TASK, **config: Any) -> Any:
    torch.manual_seed(0)
    return method(method.Config(**config), task, partial(shiftnet, 4, 6)).train()


def _clip(n: int, seed: int = 0) -> Clip:
    return (torch.randn(n, 3, 4, 32, 32, generator=torch.Generator().manual_seed(seed)),)


def _batch() -> Batch:
    label = torch.tensor([0, 1])
    views = {name: _clip(3, i) for i, name in enumerate(("weak", "weak2", "strong", "strong2"), 1)}
    return Batch({"labeled": _clip(2)}, label, label, views, torch.arange(3))


PROGRESS = Progress(step=9, total_steps=10, warmup_steps=0, draws=Draws(0, 9))


@given(alpha=st.floats(0.05, 10), seed=st.integers(0, 999))
def test_a_mixture_is_nearer_to_its_own_clip(alpha: float, seed: int) -> None:
    assert 0.5 <= own_share(alpha, Draws(seed, 0)) <= 1


class Pixel(nn.Module):
    """A model whose logits are the first pixel of every level, side by side; it remembers its input."""

    seen: Clip

    def forward(self, clip: Clip) -> Tensor:
        self.seen = clip
        return torch.stack([x[:, 0, 0, 0, 0] for x in clip], 1)


def test_pixels_and_targets_are_mixed_alike_over_all_frames_and_levels() -> None:
    model, draws = Pixel(), Draws(3, 0)
    levels = [
        torch.arange(float(n)).view(n, 1, 1, 1, 1).expand(n, 3, 2, 4, 4) + start
        for n, start in ((2, 0), (3, 5))
    ]
    labeled, weak = (levels[0], 10 * levels[0]), (levels[1], 10 * levels[1])
    target = torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    mixed = mixed_pass(model, labeled, torch.tensor([0, 1]), (weak, weak), target, 0.75, draws)
    share, order = own_share(0.75, draws), draws.permutation(8)
    rows = torch.cat([levels[0], levels[1], levels[1]])
    targets = torch.cat([torch.eye(2), target, target])
    expected = share * rows + (1 - share) * rows[order]
    torch.testing.assert_close(model.seen[0], expected)
    torch.testing.assert_close(model.seen[1], 10 * expected)
    wanted = share * targets + (1 - share) * targets[order]
    torch.testing.assert_close(torch.cat([mixed.labeled_target, mixed.unlabeled_target]), wanted)
    assert [len(part) for part in mixed] == [2, 2, 6, 6]


@pytest.mark.parametrize("method", [MixMatch, ReMixMatch])
def test_targets_are_constants_and_the_mixed_pass_alone_moves_statistics(
    method: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _build(method)
    inputs: list[Clip] = []
    original = Classifier.forward

    def remember(self: Classifier, clip: Clip) -> Tensor:
        inputs.append(clip)
        return original(self, clip)

    monkeypatch.setattr(Classifier, "forward", remember)
    step = made.step(_batch(), PROGRESS)
    assert step.pseudo_label is not None
    assert not step.pseudo_label.requires_grad
    torch.testing.assert_close(step.pseudo_label.sum(1), torch.ones(3))
    mixed = max(inputs, key=lambda clip: len(clip[0]))
    twin = _build(method)
    original(twin.student, mixed)
    for (name, ours), theirs in zip(made.student.named_buffers(), twin.student.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_confident_guess_is_sharper_than_the_mean_of_the_views() -> None:
    method, batch = _build(MixMatch), _batch()
    guess = method.guess(batch)
    flat = _build(MixMatch, temperature=1.0).guess(batch)
    assert (guess.amax(1) > flat.amax(1)).all()
    assert torch.equal(guess.argmax(1), flat.argmax(1))


@given(turns=st.lists(st.integers(0, 3), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_all_frames_of_a_clip_turn_alike(turns: list[int], seed: int) -> None:
    clip = (torch.randn(len(turns), 3, 2, 4, 4, generator=torch.Generator().manual_seed(seed)),)
    before = clip[0].clone()
    turned = rotate(clip, torch.tensor(turns))[0]
    assert torch.equal(clip[0], before)
    for i, quarter in enumerate(turns):
        for frame in range(2):
            expected = clip[0][i, :, frame].numpy()
            for _ in range(quarter):
                expected = expected.transpose(0, 2, 1)[:, ::-1]  # a quarter turn to the left
            assert torch.equal(turned[i, :, frame], torch.from_numpy(expected.copy()))


@given(turns=st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_turning_back_gives_the_clip(turns: list[int]) -> None:
    clip, there = (torch.randn(len(turns), 1, 2, 3, 3),), torch.tensor(turns)
    assert torch.equal(rotate(rotate(clip, there), (4 - there) % 4)[0], clip[0])


def test_all_quarter_turns_are_drawn_and_they_move_from_clip_to_clip_and_step_to_step() -> None:
    drawn = torch.stack([draw_turns(8, Draws(0, step)) for step in range(20)])
    assert drawn.unique().tolist() == [0, 1, 2, 3]
    assert all(len(row.unique()) > 1 for row in drawn)
    assert all(len(column.unique()) > 1 for column in drawn.T)


def test_evaluation_ignores_the_head_for_turns() -> None:
    method, clip = _build(ReMixMatch).eval(), _clip(2)
    assert isinstance(method.student, RotationClassifier)
    before = method.predict(clip)
    nn.init.normal_(method.student.rotation.weight)
    assert torch.equal(method.predict(clip), before)
    assert method.predict(clip, ema.frozen_copy(method.student)).shape == (2, 3)


@pytest.mark.parametrize(
    ("mirror", "config", "turned"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"rotation": "always"}, True),
        (True, {"rotation": "never"}, False),
        (True, {"rotation_weight": 0.0}, False),
    ],
)
def test_clips_are_turned_where_orientation_is_not_content(
    mirror: bool, config: dict[str, Any], turned: bool
) -> None:
    task = TaskInfo(classes=3, labeled=2, unlabeled=5, class_counts=(1, 1, 0), frames=4, mirror=mirror)
    method = _build(ReMixMatch, task, **config)
    made = method.step(_batch(), PROGRESS)
    assert ("rotation" in made.losses) is turned
    assert isinstance(method.student, RotationClassifier) is turned


def test_the_first_strong_view_is_learnt_unmixed() -> None:
    method, batch = _build(ReMixMatch, strong_weight=1.0), _batch()
    made = method.step(batch, PROGRESS)
    twin = _build(ReMixMatch)
    expected = soft_losses.cross_entropy(twin.student(batch.unlabeled["strong"]), made.pseudo_label)
    torch.testing.assert_close(made.losses["strong"], expected)


def test_labels_are_aligned_to_the_classes_of_the_labeled_clips() -> None:
    rule = LabelAlignment((1, 3), 0.9)
    probs = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    torch.testing.assert_close(rule(probs), torch.tensor([[0.25, 0.75], [0.25, 0.75]]))
    rule(torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(rule.marginal, torch.tensor([0.55, 0.45]))
    assert set(rule.state_dict()) == {"marginal", "started", "frequency"}


@given(rows=st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=4))
def test_soft_losses_agree_with_each_other(rows: list[list[float]]) -> None:
    logits, other = torch.tensor(rows).double(), torch.tensor(rows).double().flip(1)
    probs = losses.probabilities(other)
    entropy, cross = soft_losses.entropy(other), soft_losses.cross_entropy(logits, probs)
    torch.testing.assert_close(cross - entropy, soft_losses.divergence(other, logits), rtol=1e-6, atol=1e-9)
    assert float(soft_losses.divergence(other, other)) == 0
    assert 0 <= float(entropy) <= 1.0987
