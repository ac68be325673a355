"""RandAugment on clips: one draw per clip, the same for all frames, whatever else is in the batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from datasets.augment import central, draw
from datasets.loader import BatchSizes, Loader
from datasets.policy import MOST_OPS, AugmentPolicy, RandAugmentPolicy
from datasets.rand_augment import LEVELS, OPERATIONS, rand_augment
from datasets.sampling import Segments
from datasets.types import ClipRef, Recipe, View
from datasets.views import ViewSettings

POLICY = RandAugmentPolicy(ops=2, magnitude=15)

magnitudes = st.floats(0, LEVELS)
policies = st.builds(RandAugmentPolicy, ops=st.integers(1, MOST_OPS), magnitude=magnitudes)
seeds = st.integers(0, 10**6)


def clips(n: int = 4, frames: int = 3, side: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(n, frames, 3, side, side, generator=torch.Generator().manual_seed(seed))


def numbers(n: int = 4, seed: int = 0) -> Tensor:
    return draw([np.random.default_rng([seed, i]) for i in range(n)]).operation


@given(policy=policies, seed=seeds)
def test_shape_type_and_range_are_kept(policy: RandAugmentPolicy, seed: int) -> None:
    x = clips(seed=seed)
    out = rand_augment(x, policy, numbers(seed=seed))
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert bool(((out >= 0) & (out <= 1)).all())
    assert torch.equal(x, clips(seed=seed))  # the batch that came in is untouched


@given(policy=policies, seed=seeds)
def test_all_frames_of_a_clip_get_the_same_treatment(policy: RandAugmentPolicy, seed: int) -> None:
    still = clips(frames=1, seed=seed).expand(-1, 4, -1, -1, -1)
    out = rand_augment(still, policy, numbers(seed=seed))
    torch.testing.assert_close(out, out[:, :1].expand_as(out), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_a_bright_frame_among_dark_ones_stays_the_brighter_one(name: str) -> None:
    """Statistics of single frames would level out what differs between them: the clip would flicker."""
    x = torch.cat([0.2 + 0.1 * clips(frames=1), 0.6 + 0.1 * clips(frames=1)], 1)
    for sign in (-1.0, 1.0):
        out = OPERATIONS[name](x, 0.3, sign)
        assert (out[:, 1].mean((1, 2, 3)) - out[:, 0].mean((1, 2, 3)) > 0.1).all()


@settings(max_examples=20)
@given(policy=policies, seed=seeds, order=st.permutations(range(5)))
def test_a_clip_looks_the_same_in_any_batch(policy: RandAugmentPolicy, seed: int, order: list[int]) -> None:
    x, drawn = clips(5, seed=seed), numbers(5, seed)
    together = rand_augment(x, policy, drawn)
    moved = rand_augment(x[order], policy, drawn[order])
    torch.testing.assert_close(moved, together[order], atol=1e-6, rtol=0)
    alone = rand_augment(x[2:3], policy, drawn[2:3])
    torch.testing.assert_close(alone[0], together[2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_every_operation_but_identity_changes_a_clip(name: str) -> None:
    x = 0.2 + 0.5 * clips()
    changed = [float((OPERATIONS[name](x, 0.6, sign) - x).abs().max()) for sign in (-1.0, 1.0)]
    assert all(value == 0 for value in changed) if name == "identity" else all(v > 0.01 for v in changed)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("autocontrast", "equalize")])
def test_without_strength_nothing_changes(name: str) -> None:
    x = 0.02 + 0.9 * clips()
    exact = OPERATIONS[name](x, 0.0, 1.0)
    torch.testing.assert_close(exact, x, atol=1 / 255, rtol=0)  # posterizing to 8 bits rounds


def test_operations_and_signs_are_equally_likely() -> None:
    drawn = numbers(2000)
    first = (drawn[:, 0] * len(OPERATIONS)).long().bincount(minlength=len(OPERATIONS))
    assert len(first) == len(OPERATIONS)
    assert (first > 2000 / len(OPERATIONS) / 2).all()
    assert 0.4 < float((drawn[:, 1] < 0.5).float().mean()) < 0.6


def test_geometry_is_that_of_its_name() -> None:
    x = torch.full((1, 1, 3, 33, 33), 0.5)  # the gray that fills what a clip uncovers
    x[..., 10:23, 16] = 1  # a vertical bar in the middle
    column = torch.arange(33.0)

    def place(clip: Tensor, row: int) -> float:
        line = clip[0, 0, 0, row, 3:30] - 0.5  # torchvision darkens the border of what it uncovers
        return float((line * column[3:30]).sum() / line.sum())

    moved = OPERATIONS["translate_x"](x, 0.6, 1.0)
    assert place(moved, 16) - 16 == pytest.approx(0.6 * 33 * 150 / 331, abs=1)
    leaning = OPERATIONS["shear_x"](x, 1.0, 1.0)
    assert abs(place(leaning, 20) - place(leaning, 12)) == pytest.approx(8 * 0.3, abs=0.3)
    assert abs(place(leaning, 16) - 16) < 0.1  # about the center
    tilted = OPERATIONS["rotate"](x, 1.0, 1.0)
    assert abs(place(tilted, 19) - place(tilted, 13)) == pytest.approx(6 * np.tan(np.pi / 6), abs=0.5)


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_no_operation_mirrors_a_clip(name: str, sign: float) -> None:
    """A ramp from left to right still rises to the right: the data set decides about flips, and it alone."""
    x = torch.linspace(0.1, 0.4, 16).expand(1, 2, 3, 16, 16)
    out = OPERATIONS[name](x, 0.3, sign)[..., 5:11, 5:11]
    assert (out.diff(dim=-1) >= -1e-3).all() if name != "solarize" else bool(out.isfinite().all())


def test_evaluation_draws_the_identity() -> None:
    x = clips()
    assert torch.equal(rand_augment(x, RandAugmentPolicy(ops=4, magnitude=30), central(4).operation), x)


@pytest.mark.parametrize(("field", "value"), [("ops", 0), ("ops", 5), ("magnitude", -1), ("magnitude", 31)])
def test_a_policy_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(AugmentPolicy).validate_python({"rand_augment": {field: value}})


def test_a_policy_without_it_is_the_same_specification_as_before_there_was_one() -> None:
    policy = TypeAdapter(AugmentPolicy)
    assert "rand_augment" not in policy.dump_python(AugmentPolicy(flip=0.5))
    given = {"rand_augment": {"ops": 3, "magnitude": 10.0}}
    assert policy.dump_python(policy.validate_python(given))["rand_augment"] == given["rand_augment"]


class Store:
    """Two clips of random pixels."""

    def frames(self, key: str) -> NDArray[np.uint8]:
        return np.random.default_rng(int(key)).integers(0, 256, (12, 20, 20, 3), np.uint8)

    def frame_count(self, key: str) -> int:
        return 12


def loader(policy: AugmentPolicy, seed: int = 0, batch: int = 3, **more: Any) -> Loader:
    policies = {"labeled": AugmentPolicy(), "weak": AugmentPolicy(), "strong": policy}
    sampler = Segments(4)
    return Loader(
        store=Store(),
        labeled=[ClipRef(str(i), Path(str(i)), 0, str(i)) for i in range(2)],
        unlabeled=[ClipRef(str(i), Path(str(i)), 0, str(i)) for i in range(2, 8)],
        recipe=Recipe(
            labeled={"labeled": View(sampler, "labeled")},
            unlabeled={"weak": View(sampler, "weak"), "strong": View(sampler, "strong", draw=1)},
        ),
        settings=ViewSettings(policies=policies, size=16, normalize="kinetics", mirror=False, **more),
        sizes=BatchSizes(labeled=2, unlabeled=batch, warmup=2),
        warmup_steps=0,
        seed=seed,
        device=torch.device("cpu"),
    )


def test_the_draw_depends_on_seed_epoch_clip_and_view_alone() -> None:
    policy = AugmentPolicy(rand_augment=POLICY)
    small, large = loader(policy, batch=3), loader(policy, batch=6)
    halves = torch.cat([small.batch(step).unlabeled["strong"][0] for step in (2, 3)])
    whole = large.batch(1).unlabeled["strong"][0]
    torch.testing.assert_close(halves, whole, atol=1e-5, rtol=0)
    again, other = loader(policy, batch=6), loader(policy, seed=1, batch=6)
    assert torch.equal(again.batch(1).unlabeled["strong"][0], whole)
    views = [found.batch(step).unlabeled["strong"][0] for found, step in ((large, 0), (other, 1))]
    assert not any(torch.equal(view, whole) for view in views)


def test_it_changes_its_own_view_and_no_draw_of_another_effect() -> None:
    plain = AugmentPolicy(scale=(0.6, 1.0), color_mix=0.2, cutout=0.5)
    both = dataclasses.replace(plain, rand_augment=POLICY)
    before, after = loader(plain).batch(0), loader(both).batch(0)
    assert torch.equal(before.unlabeled["weak"][0], after.unlabeled["weak"][0])
    assert not torch.equal(before.unlabeled["strong"][0], after.unlabeled["strong"][0])
    harmless = dataclasses.replace(plain, rand_augment=RandAugmentPolicy(ops=1, magnitude=0))
    kept = loader(harmless).batch(0).unlabeled["strong"][0] - before.unlabeled["strong"][0]
    assert float(kept.abs().median()) < 0.02
