"""SeFAR's parts: head, regulation, stochastic passes, and what it refuses."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.backbones.shiftnet import shiftnet
from datasets.errors import UserError
from datasets.types import TaskInfo
from methods.config import build
from methods.draws import Draws
from sefar.method import SeFAR
from sefar.model import FusionHead
from sefar.passes import stochastic_passes
from sefar.regulation import AdaptiveRegulation, adaptive_weight

TASK = TaskInfo(classes=3, labeled=2, unlabeled=5, class_counts=(1, 1, 0), frames=8)
PROBABILITY = st.floats(0, 1)


@given(p=PROBABILITY, q=PROBABILITY, s=st.floats(0, 0.6), r=st.floats(0, 0.6))
def test_the_weight_rises_with_confidence_and_falls_with_fluctuation(
    p: float, q: float, s: float, r: float
) -> None:
    def weight(probability: float, deviation: float) -> float:
        one = torch.tensor([[probability, deviation]], dtype=torch.float64)
        return float(adaptive_weight(one[:, 0], one[:, 1]))

    assert 0 < weight(p, s) <= 1
    assert weight(max(p, q), s) >= weight(min(p, q), s)
    assert weight(p, min(s, r)) >= weight(p, max(s, r))


def test_the_deviation_of_the_predicted_class_counts() -> None:
    probs = torch.tensor([[0.2, 0.7, 0.1]])
    spread = torch.tensor([[0.4, 0.05, 0.4]])
    expected = adaptive_weight(torch.tensor([0.7]), torch.tensor([0.05]))
    torch.testing.assert_close(AdaptiveRegulation()(probs, torch.zeros(1), spread), expected)
    certain = adaptive_weight(torch.tensor([0.7]), torch.tensor([0.0]))
    torch.testing.assert_close(AdaptiveRegulation()(probs, torch.zeros(1)), certain)


def test_k_passes_through_the_classifier_are_k_passes_through_the_net() -> None:
    torch.manual_seed(0)
    head = FusionHead(12, 3, 5, dropout=0.5, width=8).eval()
    features = tuple(torch.randn(4, 12) for _ in range(3))
    with torch.no_grad():
        fast = stochastic_passes(head.embed(features), head.classify, 0.5, 4000, Draws(0, 0))
    head.train()
    with torch.no_grad():
        slow = torch.stack([head(features).softmax(1) for _ in range(4000)])
    torch.testing.assert_close(fast.mean(0), slow.mean(0), rtol=0, atol=0.02)
    torch.testing.assert_close(fast.std(0), slow.std(0), rtol=0, atol=0.02)
    assert float(fast.std(0).min()) > 0.01


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_the_fusion_head_uses_every_level_and_every_weight(levels: int) -> None:
    torch.manual_seed(0)
    head = FusionHead(6, levels, 3, dropout=0.0, width=8)
    features = tuple(torch.randn(2, 6, requires_grad=True) for _ in range(levels))
    head(features).square().sum().backward()
    assert all(feature.grad is not None and feature.grad.any() for feature in features)
    assert [name for name, p in head.named_parameters() if p.grad is None] == []


def test_pairs_are_ordered() -> None:
    torch.manual_seed(0)
    head = FusionHead(6, 2, 3, dropout=0.0, width=8).eval()
    first, second = torch.randn(2, 6), torch.randn(2, 6)
    assert not torch.allclose(head((first, second)), head((second, first)))


def test_one_pass_is_deterministic_and_several_are_not() -> None:
    torch.manual_seed(0)
    clip = tuple(torch.randn(2, 3, n, 32, 32) for n in (2, 2, 4))
    for passes, spread in ((1, False), (4, True)):
        method = SeFAR(SeFAR.Config(teacher_passes=passes), TASK, partial(shiftnet, 8, 24)).train()
        progress = type("Here", (), {"draws": Draws(0, 0)})()
        made = method.teacher_predictions(clip, progress)
        assert made.shape == (passes, 2, 3)
        assert bool((made != made[:1]).any()) == spread


def test_more_frames_than_the_task_gives_are_refused() -> None:
    reason = SeFAR.unsupported(SeFAR.Config(levels=(4, 4, 8)), TASK)
    assert reason == "config field 'levels' takes 16 frames of a clip, but the task gives 8"
    assert SeFAR.unsupported(SeFAR.Config(), TASK) is None


@pytest.mark.parametrize("levels", [(), (0,), (2, -1)])
def test_impossible_levels_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="config field 'levels"):
        build(SeFAR.Config, {"levels": levels}, "method 'sefar'")
