"""Batches that threads read ahead are the batches of the loader, whoever reads them and when."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datasets.errors import UserError
from datasets.loader import Loader
from datasets.read_ahead import ReadAhead, in_order
from datasets.types import Batch, Recipe, View
from tests.datasets.test_loader import LENGTHS, SAMPLER, Noisy, loader

STEPS = 12


@contextmanager
def ahead(made: Loader, workers: int, steps: int = STEPS) -> Iterator[ReadAhead]:
    """Threads that are gone afterwards."""
    reader = ReadAhead(made, steps=steps, workers=workers)
    try:
        yield reader
    finally:
        reader.close()


def tensors(batch: Batch) -> list[torch.Tensor]:
    """All that is in a batch."""
    views = [level for pool in (batch.labeled, batch.unlabeled) for clip in pool.values() for level in clip]
    return [*views, batch.label, batch.labeled_index, batch.unlabeled_index]


@settings(max_examples=25, deadline=None)
@given(
    workers=st.integers(1, 5),
    warmup=st.integers(0, 3),
    asked=st.lists(st.integers(0, STEPS + 2), min_size=1, max_size=8),
)
def test_any_number_of_threads_makes_the_same_batches_in_any_order(
    workers: int, warmup: int, asked: list[int]
) -> None:
    plain = loader(warmup=warmup)
    with ahead(loader(warmup=warmup), workers) as reader:
        for step in asked:
            one, other = tensors(plain.batch(step)), tensors(reader.batch(step))
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Watched(Noisy):
    """Clips that know who read them; one of them may be broken."""

    def __init__(self, broken: str = "") -> None:
        super().__init__(LENGTHS)
        self.broken, self.threads = broken, set[str]()
        self.read: list[str] = []

    def frames(self, key: str) -> NDArray[np.uint8]:
        self.threads.add(threading.current_thread().name)
        self.read.append(key)
        if key == self.broken:
            raise UserError(f"clip '{key}' is damaged")
        return super().frames(key)


def test_coming_batches_are_read_by_threads_and_none_after_the_last_step() -> None:
    store = Watched()
    with ahead(loader(store=store), workers=2, steps=3) as reader:
        for step in range(3):
            reader.batch(step)
    assert all(name.startswith("read-ahead") for name in store.threads)
    plain = Watched()
    made = loader(store=plain)
    for step in range(3):
        made.batch(step)
    assert sorted(store.read) == sorted(plain.read)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_what_reading_raises_is_raised_at_its_step() -> None:
    plain = loader(sizes=(1, 1, 1))
    first = next(step for step in range(STEPS) if plain.batch(step).labeled_index.tolist() == [3])
    with ahead(loader(sizes=(1, 1, 1), store=Watched(broken="3")), workers=4) as reader:
        for step in range(first):
            reader.batch(step)
        with pytest.raises(UserError, match="clip '3' is damaged"):
            reader.batch(first)
        if first + 1 < STEPS:
            reader.batch(first + 1)


def test_views_of_equal_frames_read_them_once() -> None:
    views = {
        "weak": View(SAMPLER, "weak"),
        "strong": View(SAMPLER, "strong"),
        "other": View(SAMPLER, "weak", 1),
    }
    made = loader(Recipe(labeled={"labeled": View(SAMPLER, "labeled")}, unlabeled=views)).read(0)
    assert made.unlabeled["weak"].blocks is not made.unlabeled["other"].blocks
    # `strong` is cut to a window of its own by its policy, so only a view of the same policy shares frames.
    again = {"weak": View(SAMPLER, "weak"), "weak2": View(SAMPLER, "weak")}
    same = loader(Recipe(labeled={"labeled": View(SAMPLER, "labeled")}, unlabeled=again)).read(0)
    assert same.unlabeled["weak"].blocks is same.unlabeled["weak2"].blocks


@given(count=st.integers(0, 12), workers=st.integers(1, 4), bad=st.integers(0, 20))
def test_tasks_keep_their_order_and_end_at_the_first_that_fails(count: int, workers: int, bad: int) -> None:
    begun = []

    def task(number: int) -> int:
        begun.append(number)
        if number == bad:
            raise UserError("damaged")
        return number

    found = []
    try:
        found.extend(in_order((partial(task, number) for number in range(count)), workers))
        assert bad >= count
    except UserError:
        assert bad < count
    assert found == list(range(min(bad, count)))
    assert max(begun, default=0) <= bad + workers


def test_who_stops_asking_leaves_no_thread() -> None:
    for number in in_order((lambda: 1 for _ in range(100)), 3):
        assert number == 1
        break
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
