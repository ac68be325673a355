"""Memories of past clips, alignment over past batches, and embeddings that are compared."""

from __future__ import annotations

from collections import deque

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from methods.banks import LabeledBank, Queue
from methods.base import LinearHead, joint
from methods.projection import ProjectedClassifier, ProjectionHead, similarities
from methods.queue_alignment import QueueAlignment


@given(size=st.integers(1, 7), batches=st.lists(st.integers(0, 9), max_size=8))
def test_a_queue_holds_the_latest_rows(size: int, batches: list[int]) -> None:
    queue, expected = Queue(size, 2), deque[float](maxlen=size)
    number = 0
    for batch in batches:
        rows = torch.arange(number, number + batch, dtype=torch.float32)
        queue.push(torch.stack([rows, -rows], 1))
        expected.extend(rows.tolist())
        number += batch
    entries = queue.entries()
    assert sorted(entries[:, 0].tolist()) == sorted(expected)
    assert torch.equal(entries[:, 1], -entries[:, 0])
    assert queue.full == (number >= size)


def test_what_was_read_from_a_queue_does_not_change_with_it() -> None:
    queue = Queue(2, 1)
    queue.push(torch.ones(2, 1))
    before = queue.entries()
    queue.push(torch.zeros(2, 1))
    assert before.tolist() == [[1], [1]]


def test_a_restored_queue_goes_on_where_it_was() -> None:
    first, second = Queue(3, 1), Queue(3, 1)
    first.push(torch.tensor([[1.0], [2.0]]))
    second.load_state_dict(first.state_dict())
    for queue in (first, second):
        queue.push(torch.tensor([[3.0], [4.0]]))
    assert torch.equal(first.rows, second.rows)
    assert sorted(second.entries()[:, 0].tolist()) == [2, 3, 4]


def test_alignment_forgets_batches_that_left_the_queue() -> None:
    old, new = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.4], [0.2, 0.8]])
    long, short = QueueAlignment(2, 2), QueueAlignment(2, 1)
    for rule in (long, short):
        rule(old)
    torch.testing.assert_close(short(new), QueueAlignment(2, 1)(new))
    shares = new / torch.tensor([0.7, 0.3])  # the mean of both batches' means
    torch.testing.assert_close(long(new), shares / shares.sum(1, keepdim=True))


def test_a_class_that_nobody_predicts_stays_at_zero() -> None:
    aligned = QueueAlignment(3, 4)(torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0]]))
    assert aligned.isfinite().all()
    assert aligned[:, 2].tolist() == [0, 0]


def filled(momentum: float = 0.7) -> LabeledBank:
    bank = LabeledBank(4, 3, momentum)
    bank.update(torch.arange(4), F.normalize(torch.randn(4, 3), dim=1), torch.tensor([0, 0, 1, 2]))
    return bank


def test_each_vector_of_the_bank_is_normalized_for_itself() -> None:
    """A public code base normalizes across clips, so that lengths leave 1 and clips of a batch mix."""
    torch.manual_seed(0)
    together = filled()
    apart = LabeledBank(4, 3, 0.7)
    apart.load_state_dict(together.state_dict())
    index, new, labels = (
        torch.tensor([3, 1]),
        F.normalize(torch.randn(2, 3), dim=1),
        torch.tensor([2, 0]),
    )
    expected = F.normalize(0.7 * together.features[index] + 0.3 * new, dim=1)
    together.update(index, new, labels)
    for i in (0, 1):
        apart.update(index[i : i + 1], new[i : i + 1], labels[i : i + 1])
    torch.testing.assert_close(together.features.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(together.features[index], expected)
    torch.testing.assert_close(together.features, apart.features)


def test_a_labeled_clip_is_an_entry_from_its_first_visit_on() -> None:
    bank = LabeledBank(3, 2, 0.7)
    assert [len(x) for x in bank.entries()] == [0, 0]
    bank.update(torch.tensor([1]), torch.tensor([[0.6, 0.8]]), torch.tensor([2]))
    features, labels = bank.entries()
    torch.testing.assert_close(features, torch.tensor([[0.6, 0.8]]))
    assert labels.tolist() == [2]


def test_a_clip_that_is_twice_in_a_batch_counts_once() -> None:
    bank = LabeledBank(2, 2, 0.5)
    bank.update(torch.tensor([0, 1, 0]), torch.tensor([[1.0, 0], [1, 0], [0, 1]]), torch.tensor([1, 0, 1]))
    torch.testing.assert_close(bank.features, torch.tensor([[0.5**0.5, 0.5**0.5], [1, 0]]))
    assert bank.labels.tolist() == [1, 0]


def test_entries_of_the_bank_survive_its_update_before_the_backward_pass() -> None:
    bank, strong = filled(), torch.randn(2, 3, requires_grad=True)
    loss = similarities(strong, bank.entries()[0]).sum()
    bank.update(torch.arange(4), F.normalize(torch.randn(4, 3), dim=1), torch.tensor([0, 0, 1, 2]))
    loss.backward()
    assert strong.grad is not None


class Mean(nn.Module):
    dim, patch = 3, (1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        normed: Tensor = self.norm(x.mean((2, 3, 4)))
        return normed


@pytest.fixture
def model() -> ProjectedClassifier:
    torch.manual_seed(0)
    return ProjectedClassifier(Mean(), LinearHead(3, 2, 0.0), ProjectionHead(3, 5))


def test_embedding_several_clips_shares_batch_statistics(model: ProjectedClassifier) -> None:
    clips = [(torch.randn(n, 3, 1, 2, 2),) for n in (2, 3)]
    first, second = model.embed(*clips)
    torch.testing.assert_close((first.logits, second.logits), joint(model, *clips))
    assert [len(x) for x in (*first, *second)] == [2, 2, 2, 3, 3, 3]
    torch.testing.assert_close(first.projected, model.projection(first.feature))


def test_projections_are_compared_in_float32(model: ProjectedClassifier) -> None:
    clip = (torch.randn(4, 3, 1, 2, 2),)
    with torch.autocast("cpu", torch.bfloat16):
        (seen,) = model.embed(clip)
        scores = similarities(seen.projected, seen.projected, 0.1)
    assert seen.projected.shape == (4, 5)
    assert (seen.logits.dtype, seen.projected.dtype, scores.dtype) == (torch.bfloat16, *2 * [torch.float32])
    torch.testing.assert_close(scores.diagonal(), torch.full((4,), 10.0))


def test_a_projection_head_has_the_layers_that_are_asked_for() -> None:
    head = ProjectionHead(4, 2, layers=3, last_bias=False)
    linear = [part for part in head if isinstance(part, nn.Linear)]
    assert [(part.in_features, part.out_features, part.bias is not None) for part in linear] == [
        (4, 4, True),
        (4, 4, True),
        (4, 2, False),
    ]
