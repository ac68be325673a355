"""CoMatch and SimMatch: what enters their banks, where gradients go, what happens before banks are full."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.backbones.shiftnet import shiftnet
from datasets.types import Batch, TaskInfo
from methods import comatch, losses, simmatch
from methods.base import Method, Progress
from methods.comatch import CoMatch
from methods.draws import Draws
from methods.simmatch import SimMatch

TASK = TaskInfo(classes=3, labeled=4, unlabeled=6, class_counts=(2, 1, 1), frames=4)


def build(method: type[Method], **config: Any) -> Any:
    torch.manual_seed(0)
    return method(method.Config(**config), TASK, partial(shiftnet, 8, 24)).train()


def progress(step: int = 0) -> Progress:
    return Progress(step=step, total_steps=10, warmup_steps=0, draws=Draws(0, step))


def batch(seed: int = 0, labeled: tuple[int, ...] = (0, 1)) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    names = ("weak", "strong", "strong2")
    shape = (3, 4, 32, 32)
    return Batch(
        labeled={"labeled": (torch.randn(len(labeled), *shape, generator=rng),)},
        label=torch.tensor([0, 0, 1, 2])[list(labeled)],
        labeled_index=torch.tensor(labeled),
        unlabeled={name: (torch.randn(3, *shape, generator=rng),) for name in names},
        unlabeled_index=torch.arange(3),
    )


def logits_strategy() -> st.SearchStrategy[list[list[float]]]:
    row = st.lists(st.floats(-200, 200), min_size=3, max_size=3)
    return st.lists(row, min_size=1, max_size=5)


@given(rows=logits_strategy(), threshold=st.floats(0, 1))
def test_rows_of_the_label_graph_are_distributions_that_contain_the_clip(
    rows: list[list[float]], threshold: float
) -> None:
    probs = torch.tensor(rows).softmax(1)
    graph = comatch.label_graph(probs, threshold)
    torch.testing.assert_close(graph.sum(1), torch.ones(len(rows)))
    assert (graph.diagonal() > 0).all()
    assert (graph.diagonal() >= graph.amax(1) - 1e-6).all()


def test_clips_with_one_pseudo_label_are_neighbors_in_the_graph() -> None:
    probs = torch.tensor([[0.97, 0.03], [0.95, 0.05], [0.02, 0.98]])
    graph = comatch.label_graph(probs, 0.8)
    assert (graph > 0).tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_the_contrast_teaches_both_views() -> None:
    first, second = (F.normalize(torch.randn(3, 4), dim=1).requires_grad_() for _ in range(2))
    comatch.graph_contrast(torch.eye(3), first, second, 0.2).backward()
    assert first.grad is not None
    assert second.grad is not None
    assert first.grad.any()
    assert second.grad.any()


def test_comatch_smooths_from_a_full_bank_on_and_remembers_what_was_not_smoothed() -> None:
    method = build(CoMatch, bank=5, smoothing=0.5)
    first = method.step(batch(0), progress())
    assert method.bank.full  # 3 unlabeled and 2 labeled clips
    remembered = method.bank.entries()[:, method.config.projection :]
    torch.testing.assert_close(remembered[:3], first.pseudo_label)
    assert remembered[3:].tolist() == [[1, 0, 0], [1, 0, 0]]
    second = method.step(batch(1), progress(1))
    aligned = method.bank.entries()[:3, method.config.projection :]
    assert not torch.allclose(second.pseudo_label, aligned, atol=1e-3)
    torch.testing.assert_close(second.pseudo_label.sum(1), torch.ones(3))


def test_comatch_shows_two_strong_views_of_their_own() -> None:
    views = build(CoMatch).recipe().unlabeled
    assert {name: view.augment for name, view in views.items()} == {
        "weak": "weak",
        "strong": "strong",
        "strong2": "strong",
    }
    assert len({view.draw for view in views.values()}) == 3


def test_the_bank_of_comatch_holds_no_clip_twice_on_average() -> None:
    assert build(CoMatch).bank.size == TASK.labeled + TASK.unlabeled
    assert build(CoMatch, bank=7).bank.size == 7


@given(rows=logits_strategy())
def test_similarities_take_over_predictions_whatever_they_are(rows: list[list[float]]) -> None:
    probs, labels = torch.tensor(rows).softmax(1), torch.tensor([0, 1, 1, 2])
    scores = 10 * torch.randn(len(rows), 4, generator=torch.Generator().manual_seed(0))
    found = simmatch.unfold(scores, probs, labels)
    torch.testing.assert_close(found.sum(1), torch.ones(len(rows)))
    product = scores.double().softmax(1) * probs.double()[:, labels]
    safe = product.sum(1) > 1e-30
    expected = product / product.sum(1, keepdim=True)
    torch.testing.assert_close(found[safe].double(), expected[safe], rtol=1e-3, atol=1e-5)
    summed = simmatch.aggregate(scores.softmax(1), labels, 3)
    torch.testing.assert_close(summed.sum(1), torch.ones(len(rows)))


def test_simmatch_starts_with_plain_pseudo_labels_and_learns_from_clips_that_it_has_seen() -> None:
    method = build(SimMatch)
    first = method.step(batch(0), progress())
    assert float(first.losses["instance"].detach()) == 0
    assert (method.bank.labels >= 0).tolist() == [True, True, False, False]
    method.step(batch(1, (2, 3)), progress(1))
    assert method.bank.labels.tolist() == [0, 0, 1, 2]
    third = method.step(batch(2), progress(2))
    assert float(third.losses["instance"].detach()) > 0
    torch.testing.assert_close(third.pseudo_label.sum(1), torch.ones(3))
    torch.testing.assert_close(method.bank.features.norm(dim=1), torch.ones(4))


def test_the_instance_loss_teaches_the_strong_view_alone() -> None:
    method = build(SimMatch)
    method.step(batch(0), progress())
    weak, probs = method.guess(batch(1).unlabeled["weak"])
    assert not weak.requires_grad
    assert not probs.requires_grad
    strong = F.normalize(torch.randn(3, 128), dim=1).requires_grad_()
    target, instance = method.match(probs, weak, strong)
    instance.backward()
    assert not target.requires_grad
    assert strong.grad is not None
    assert strong.grad.any()


@pytest.mark.parametrize("source", ["student", "teacher"])
def test_simmatch_takes_predictions_and_bank_from_one_net(source: str) -> None:
    method = build(SimMatch, pseudo_labels=source)
    for parameter in method.teacher.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    views = batch()
    model = method.teacher if source == "teacher" else method.student
    with torch.no_grad():
        expected = losses.probabilities(model(views.unlabeled["weak"]))
        guessed = method.guess(views.unlabeled["weak"])[1]
    aligned: Tensor = expected / expected.mean(0)
    torch.testing.assert_close(guessed, aligned / aligned.sum(1, keepdim=True))
    method.step(views, progress())
    if source == "teacher":
        with torch.no_grad():
            (seen,) = method.teacher.embed(views.labeled["labeled"])
        torch.testing.assert_close(method.bank.features[:2], seen.projected)
