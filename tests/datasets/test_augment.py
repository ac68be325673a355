"""Augmentation: geometry and color of a clip never flicker, neighbors do not matter, defaults do nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets import augment
from datasets.augment import Draw, central, crop, draw, normalize, recolor
from datasets.policy import AugmentPolicy

STRONG = AugmentPolicy(
    scale=(0.5, 1.0), aspect=0.2, rotate=30, translate=None, flip=0.5, color_mix=0.3, permute=0.3, gray=0.3,
    contrast=0.4, noise=0.2, cutout=0.7,
)  # fmt: skip
EFFECTS = ("flip", "color_mix", "permute", "gray", "contrast", "noise", "cutout", "rotate", "aspect")


def clips(n: int = 4, frames: int = 3, height: int = 24, width: int = 32) -> Tensor:
    return torch.rand(n, frames, 3, height, width, generator=torch.Generator().manual_seed(0))


def numbers(n: int = 4, seed: int = 0) -> Draw:
    return draw([np.random.default_rng([seed, i]) for i in range(n)])


def strong(frames: Tensor, given: Draw, policy: AugmentPolicy = STRONG, mirror: bool = True) -> Tensor:
    return recolor(crop(frames, policy, given, 16, mirror), policy, given)


def test_the_default_policy_is_the_central_crop() -> None:
    x = clips(height=16, width=24)
    for given in (numbers(), central(4)):
        torch.testing.assert_close(crop(x, AugmentPolicy(), given, 16, True), x[..., 4:20], atol=1e-5, rtol=0)
    assert not AugmentPolicy().photometric


def test_frames_of_one_clip_get_the_same_treatment() -> None:
    policy = dataclasses.replace(STRONG, noise=0.0)
    still = clips(frames=1).expand(-1, 5, -1, -1, -1)
    out = strong(still, numbers(), policy)
    torch.testing.assert_close(out, out[:, :1].expand_as(out), atol=1e-5, rtol=0)


def test_noise_differs_from_frame_to_frame_and_clip_to_clip() -> None:
    policy = AugmentPolicy(noise=0.2)
    added = recolor(torch.zeros(3, 4, 3, 8, 8), policy, numbers(3))
    assert not torch.allclose(added[:, 0], added[:, 1])
    assert not torch.allclose(added[0], added[1])
    assert float(added.std()) < 0.2


def test_a_clip_looks_the_same_in_any_batch() -> None:
    x, given = clips(), numbers()
    together = strong(x, given)
    for i in range(4):
        alone = strong(x[i : i + 1], given.of([i]))
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("effect", EFFECTS)
def test_switching_one_effect_off_moves_no_other(effect: str) -> None:
    """Each effect alone changes some clip, and clips whose coin failed are as without it."""
    x, given = clips(12), numbers(12)
    only = AugmentPolicy(**{effect: 30 if effect == "rotate" else 0.5})
    plain, changed = strong(x, given, AugmentPolicy()), strong(x, given, only)
    differs = (plain - changed).abs().amax((1, 2, 3, 4)) > 1e-4
    assert differs.any()
    if effect in ("flip", "permute", "gray", "cutout"):
        assert not differs.all()


def test_mirroring_needs_the_data_sets_consent() -> None:
    x, policy = clips(height=16, width=16), AugmentPolicy(flip=1.0)
    torch.testing.assert_close(crop(x, policy, numbers(), 16, True), x.flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(crop(x, policy, numbers(), 16, False), x, atol=1e-5, rtol=0)


def test_evaluation_tosses_no_coin_whatever_its_probability() -> None:
    x = clips(height=16, width=16)
    policy = AugmentPolicy(flip=0.9, permute=0.4, gray=0.5, cutout=1.0)
    out = recolor(crop(x, policy, central(4), 16, True), policy, central(4))
    torch.testing.assert_close(out, x, atol=1e-5, rtol=0)


def test_random_crops_stay_inside_the_frame() -> None:
    ramp = torch.linspace(0, 1, 64).view(1, 1, 1, 1, 64).expand(200, 1, 3, 40, 64)
    out = crop(ramp, AugmentPolicy(scale=(0.4, 0.6), translate=None), numbers(200), 16, False)
    steps = out[:, 0, 0, 8].diff(dim=1)
    assert (steps > 1e-3).all()  # a repeated border would be flat
    assert float(out.min()) < 0.1
    assert float(out.max()) > 0.9


def test_permuted_colors_are_the_same_colors_and_gray_has_one() -> None:
    x = clips(30)
    permuted = recolor(x, AugmentPolicy(permute=1.0), numbers(30))
    torch.testing.assert_close(permuted.sort(2).values, x.sort(2).values, atol=1e-5, rtol=0)
    assert (permuted - x).abs().max() > 0.1
    gray = recolor(x, AugmentPolicy(gray=1.0), numbers(30))
    torch.testing.assert_close(gray, x.mean(2, keepdim=True).expand_as(x), atol=1e-5, rtol=0)


def test_a_cut_tube_is_one_rectangle_of_one_value_in_all_frames() -> None:
    x = clips(40, height=32, width=32) + 2
    policy = AugmentPolicy(cutout=1.0, cutout_size=(0.25, 0.5))
    cut = (recolor(x, policy, numbers(40)) - x).abs().amax(2) > 1e-6
    assert (cut == cut[:, :1]).all()
    for mask in cut[:, 0]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
        assert 1 <= int(rows.sum()) <= 17
    assert 0.04 < float(cut.float().mean()) < 0.25


def test_normalization() -> None:
    x = clips()
    torch.testing.assert_close(normalize(x, "kinetics"), (x - 0.45) / 0.225)
    centered = normalize(x, "clip")
    torch.testing.assert_close(centered.mean(1), torch.zeros_like(x[:, 0]), atol=1e-6, rtol=0)
    assert normalize(torch.full((1, 3, 3, 8, 8), 0.5), "clip").isfinite().all()
    with pytest.raises(ValueError, match="'clip' or 'kinetics'"):
        normalize(x, "imagenet")


def test_a_draw_has_a_row_per_clip_from_its_own_generator() -> None:
    given = numbers(5)
    assert given.uniform.shape == (5, augment._UNIFORMS)
    assert given.normal.shape == (5, augment._NORMALS)
    torch.testing.assert_close(numbers(3).uniform, given.uniform[:3])
    assert bool(((given.uniform >= 0) & (given.uniform < 1)).all())
