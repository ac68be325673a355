"""Batches follow from the step alone: order, frames and views; labels stay hidden."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from datasets.loader import BatchSizes, Loader, Stream
from datasets.policy import AugmentPolicy
from datasets.sampling import Segments
from datasets.types import Batch, ClipRef, Recipe, View
from datasets.views import ViewSettings, evaluation_clips
from sefar.sampling import DualLevel

PLAIN = AugmentPolicy()
SOFT = AugmentPolicy(scale=(0.6, 1.0), translate=0.3, flip=0.5)
STRONG = dataclasses.replace(SOFT, window=0.3, color_mix=0.2, noise=0.2, cutout=0.5)
POLICIES = {"labeled": SOFT, "weak": SOFT, "strong": STRONG, "plain": PLAIN, "test": PLAIN}


class Numbered:
    """Clips whose pixels say which frame of which clip they are: 20 x clip + frame."""

    def __init__(self, lengths: dict[str, int], sizes: dict[str, tuple[int, int]] | None = None) -> None:
        self._lengths, self._sizes = lengths, sizes or {}

    def frames(self, key: str) -> NDArray[np.uint8]:
        height, width = self._sizes.get(key, (24, 24))
        number = 20 * int(key) + np.arange(self._lengths[key])
        shape = (len(number), height, width, 3)
        return np.broadcast_to(number[:, None, None, None], shape).astype(np.uint8)

    def frame_count(self, key: str) -> int:
        return self._lengths[key]


class Noisy(Numbered):
    """Clips of random pixels."""

    def frames(self, key: str) -> NDArray[np.uint8]:
        return np.random.default_rng(int(key)).integers(0, 256, super().frames(key).shape, np.uint8)


def clips(first: int, last: int) -> list[ClipRef]:
    return [ClipRef(str(i), Path(str(i)), i % 3, str(i)) for i in range(first, last)]


LENGTHS = {str(i): 9 + i for i in range(10)}
SAMPLER = Segments(4)
RECIPE = Recipe(
    labeled={"labeled": View(SAMPLER, "labeled")},
    unlabeled={"weak": View(SAMPLER, "weak"), "strong": View(SAMPLER, "strong", draw=1)},
)


def loader(
    recipe: Recipe = RECIPE,
    sizes: tuple[int, int, int] = (2, 3, 4),
    warmup: int = 0,
    seed: int = 0,
    **more: Any,
) -> Loader:
    labeled, unlabeled, warm = sizes
    settings: dict[str, Any] = {
        "store": Noisy(LENGTHS),
        "labeled": clips(0, 4),
        "unlabeled": clips(4, 10),
        "settings": ViewSettings(policies=POLICIES, size=16, normalize="kinetics", mirror=True),
    }
    return Loader(
        recipe=recipe,
        sizes=BatchSizes(labeled=labeled, unlabeled=unlabeled, warmup=warm),
        warmup_steps=warmup,
        seed=seed,
        device=torch.device("cpu"),
        **{**settings, **more},
    )


def shown(batch: Batch, pool: str, view: str) -> list[list[tuple[int, int]]]:
    """Per clip, (clip, frame) of each frame that a view of `Numbered` clips shows, over all levels."""
    levels = getattr(batch, pool)[view]
    pixels = torch.cat([level.mean((1, 3, 4)) for level in levels], 1) * 0.225 + 0.45
    return [[divmod(round(value), 20) for value in row] for row in (pixels * 255).tolist()]


@given(size=st.integers(1, 12), seed=st.integers(0, 99), start=st.integers(0, 60), count=st.integers(0, 40))
def test_a_stream_is_a_permutation_per_epoch_and_has_no_state(
    size: int, seed: int, start: int, count: int
) -> None:
    stream = Stream(size, seed, "labeled")
    whole, epochs = stream.take(0, 10 * size)
    assert all(sorted(whole[i * size : (i + 1) * size]) == list(range(size)) for i in range(10))
    assert epochs.tolist() == [place // size for place in range(10 * size)]
    part, part_epochs = stream.take(start, count)
    single = [int(stream.take(place, 1)[0][0]) for place in range(start, start + count)]
    assert part.tolist() == single
    assert part_epochs.tolist() == [place // size for place in range(start, start + count)]


def test_streams_differ_by_seed_purpose_and_epoch() -> None:
    orders = {
        tuple(Stream(20, seed, purpose).take(start, 20)[0].tolist())
        for seed, purpose, start in ((0, "a", 0), (0, "a", 20), (0, "b", 0), (1, "a", 0))
    }
    assert len(orders) == 4


def test_batches_have_the_sizes_indices_and_labels_they_say() -> None:
    batch = loader(store=Numbered(LENGTHS)).batch(3)
    assert batch.labeled["labeled"][0].shape == (2, 3, 4, 16, 16)
    assert {name: view[0].shape[0] for name, view in batch.unlabeled.items()} == {"weak": 3, "strong": 3}
    assert batch.label.tolist() == [i % 3 for i in batch.labeled_index.tolist()]
    for pool, index, first in (("labeled", batch.labeled_index, 0), ("unlabeled", batch.unlabeled_index, 4)):
        view = "labeled" if pool == "labeled" else "weak"
        assert [row[0][0] for row in shown(batch, pool, view)] == [first + i for i in index.tolist()]


def test_a_batch_knows_no_label_of_an_unlabeled_clip() -> None:
    hidden = [dataclasses.replace(clip, label=-1) for clip in clips(4, 10)]
    told, untold = loader().batch(5), loader(unlabeled=hidden).batch(5)
    assert {field.name for field in dataclasses.fields(Batch)} == {
        "labeled", "label", "labeled_index", "unlabeled", "unlabeled_index", "persons",
    }  # fmt: skip
    assert torch.equal(told.unlabeled_index, untold.unlabeled_index)
    assert all(torch.equal(told.unlabeled[v][0], untold.unlabeled[v][0]) for v in told.unlabeled)


def test_the_warm_up_has_labeled_clips_alone_and_loses_none() -> None:
    made = loader(warmup=2)
    warm, first = made.batch(1), made.batch(2)
    assert (len(warm.label), warm.unlabeled, len(warm.unlabeled_index)) == (4, {}, 0)
    assert len(first.label) == 2
    assert first.unlabeled_index.tolist() == loader().batch(0).unlabeled_index.tolist()
    seen = [i for step in range(6) for i in made.batch(step).labeled_index.tolist()]
    assert seen == Stream(4, 0, "labeled").take(0, 2 * 4 + 4 * 2)[0].tolist()


def test_any_step_can_be_made_at_any_time() -> None:
    one, other = loader(), loader()
    late = one.batch(7)
    for step in range(8):
        again = other.batch(step)
    assert torch.equal(late.labeled["labeled"][0], again.labeled["labeled"][0])
    assert torch.equal(late.unlabeled["strong"][0], again.unlabeled["strong"][0])


def test_a_clip_looks_the_same_in_batches_of_any_size() -> None:
    large = loader(sizes=(4, 6, 4)).batch(0)
    small = [loader(sizes=(2, 2, 4)).batch(step) for step in range(3)]
    for name in ("weak", "strong"):
        parts = torch.cat([batch.unlabeled[name][0] for batch in small])
        torch.testing.assert_close(large.unlabeled[name][0], parts, atol=1e-4, rtol=1e-4)
    parts = torch.cat([batch.labeled["labeled"][0] for batch in small[:2]])
    torch.testing.assert_close(large.labeled["labeled"][0], parts, atol=1e-4, rtol=1e-4)


def test_a_clip_looks_different_in_each_epoch_and_for_each_seed() -> None:
    first, second = loader(sizes=(4, 6, 4)).batch(0), loader(sizes=(4, 6, 4)).batch(1)
    other = loader(sizes=(4, 6, 4), seed=1).batch(0)
    for batch in (second, other):
        for i, clip in enumerate(first.unlabeled_index.tolist()):
            j = batch.unlabeled_index.tolist().index(clip)
            assert not torch.allclose(first.unlabeled["weak"][0][i], batch.unlabeled["weak"][0][j])


def test_views_with_equal_draws_show_equal_frames_and_others_do_not() -> None:
    recipe = Recipe(
        labeled={"labeled": View(SAMPLER, "plain")},
        unlabeled={
            "weak": View(SAMPLER, "weak"),
            "weak2": View(SAMPLER, "weak"),
            "strong": View(SAMPLER, "weak", 1),
        },
    )
    batch = loader(recipe, store=Numbered(LENGTHS)).batch(0)
    assert shown(batch, "unlabeled", "weak") == shown(batch, "unlabeled", "weak2")
    assert shown(batch, "unlabeled", "weak") != shown(batch, "unlabeled", "strong")
    noisy = loader(recipe).batch(0)
    assert not torch.allclose(noisy.unlabeled["weak"][0], noisy.unlabeled["weak2"][0])  # crops of their own


def test_levels_come_out_in_the_samplers_order() -> None:
    recipe = Recipe(labeled={"labeled": View(DualLevel((2, 2, 4)), "plain")}, unlabeled={})
    batch = loader(recipe, sizes=(1, 1, 1), store=Numbered({str(i): 8 for i in range(10)})).batch(0)
    assert [level.shape[2] for level in batch.labeled["labeled"]] == [2, 2, 4]
    assert [frame for _, frame in shown(batch, "labeled", "labeled")[0]] == [3, 7, 1, 5, 0, 2, 4, 6]


def test_clips_of_different_sizes_share_a_batch() -> None:
    sizes = {"0": (24, 40), "1": (32, 24), "2": (24, 40)}
    recipe = Recipe(labeled={"labeled": View(SAMPLER, "plain")}, unlabeled={})
    batch = loader(recipe, sizes=(4, 1, 4), store=Numbered(LENGTHS, sizes)).batch(0)
    assert [row[0][0] for row in shown(batch, "labeled", "labeled")] == batch.labeled_index.tolist()


def test_evaluation_shows_the_middle_frames_in_order_in_any_batches() -> None:
    settings = ViewSettings(policies=POLICIES, size=16, normalize="kinetics", mirror=True)
    keys = [str(i) for i in range(10)]

    def views(store: Numbered, batch: int) -> torch.Tensor:
        made = evaluation_clips(store, keys, SAMPLER, settings, batch, torch.device("cpu"))
        return torch.cat([clip[0] for clip in made])

    torch.testing.assert_close(views(Noisy(LENGTHS), 3), views(Noisy(LENGTHS), 10), atol=1e-5, rtol=1e-5)
    pixels = (views(Numbered(LENGTHS), 4).mean((1, 3, 4)) * 0.225 + 0.45) * 255
    assert pixels.round().int().tolist() == [
        [20 * i + int(frame) for frame in SAMPLER.indices(9 + i, None)[0]] for i in range(10)
    ]


def test_an_unknown_augmentation_is_an_error_at_the_first_batch() -> None:
    recipe = Recipe(labeled={"labeled": View(SAMPLER, "fancy")}, unlabeled={})
    with pytest.raises(KeyError, match="fancy"):
        loader(recipe).batch(0)
