"""Images that are made from frames: temporal gradients and optical flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn

from datasets.errors import UserError
from methods.optical_flow import OpticalFlow, load_raft
from methods.temporal_gradient import gradient_clip, temporal_gradient

PIXELS = arrays.arrays(np.uint8, st.tuples(*(st.integers(1, 2) for _ in range(2)), st.integers(2, 5)))


@given(pixels=PIXELS)
def test_gradients_in_8_bits_are_those_of_the_release(pixels: np.ndarray[Any, Any]) -> None:
    found = temporal_gradient(torch.from_numpy(pixels)[..., None, None])[..., 0, 0].numpy()
    x = pixels.astype(np.float64)
    expected = ((x[..., :-1] - x[..., 1:] + 255) / 2).astype(np.uint8)
    np.testing.assert_array_equal(found[..., 1:], expected)
    np.testing.assert_array_equal(found[..., 0], expected[..., 0])


@given(pixels=PIXELS, brighter=st.floats(-2, 2))
def test_gradients_ignore_brightness_and_turn_with_time(
    pixels: np.ndarray[Any, Any], brighter: float
) -> None:
    x = torch.from_numpy(pixels).double()[..., None, None] / 255
    gradient = temporal_gradient(x)
    assert gradient.shape == x.shape
    torch.testing.assert_close(temporal_gradient(x + brighter), gradient)
    torch.testing.assert_close(temporal_gradient(x.flip(2))[:, :, 1:], -gradient[:, :, 1:].flip(2))
    assert not temporal_gradient(x[:, :, :1].expand_as(x)).any()


def test_every_level_of_a_clip_has_its_own_gradient() -> None:
    levels = (torch.randn(1, 3, 2, 4, 4), torch.randn(1, 3, 5, 4, 4))
    assert [x.shape for x in gradient_clip(levels)] == [x.shape for x in levels]
    with pytest.raises(ValueError, match="two frames"):
        gradient_clip((torch.randn(1, 3, 1, 4, 4),))


class ToTheRight(nn.Module):
    """A net that finds the same displacement everywhere, and remembers what it saw."""

    def __init__(self, pixels: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([pixels, 0.0]))
        self.seen: list[Tensor] = []

    def forward(self, first: Tensor, second: Tensor, num_flow_updates: int) -> list[Tensor]:
        self.seen += [first, second]
        flow = self.weight.view(1, 2, 1, 1).expand(len(first), 2, *first.shape[-2:])
        return [0 * flow] * (num_flow_updates - 1) + [flow]


def test_flow_images_show_displacement_in_tenths_of_the_side() -> None:
    net = ToTheRight(6.4)  # of the 128 pixels that the net is shown
    clip = (torch.randn(3, 3, 4, 32, 32),)
    (images,) = OpticalFlow(net).train()(clip)
    assert images.shape == clip[0].shape
    for channel, value in enumerate((0.5, 0.0, 0.5)):
        torch.testing.assert_close(images[:, channel], torch.full((3, 4, 32, 32), value))
    assert not images.requires_grad
    assert not net.training
    first, second = net.seen
    assert first.shape == second.shape == (9, 3, 128, 128)  # 3 pairs of each of 3 clips
    for i in range(3):
        frames = torch.cat([first[3 * i : 3 * i + 3], second[3 * i : 3 * i + 3]])
        assert -1 <= frames.min() < -0.5
        assert 0.5 < frames.max() <= 1
    torch.testing.assert_close(first[1], second[0])  # neighbors share a frame


def test_large_displacements_are_cut_and_many_pairs_go_in_parts() -> None:
    net = ToTheRight(-100.0)
    (images,) = OpticalFlow(net)((torch.zeros(12, 3, 5, 136, 130),))
    assert [len(x) for x in net.seen[::2]] == [32, 16]
    assert net.seen[0].shape[2:] == (136, 136)
    assert images.isfinite().all()
    assert (images[:, 0] == -1).all()
    assert (images[:, 2] == 1).all()


def test_raft_is_read_from_a_file(tmp_path: Path) -> None:
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    net = raft_small(weights=None)
    torch.save(net.state_dict(), tmp_path / "raft.pth")
    flow = OpticalFlow(load_raft(str(tmp_path / "raft.pth"), "flow_weights"), updates=1)
    clip = (torch.rand(1, 3, 2, 32, 32),)
    with torch.autocast("cpu", torch.bfloat16):
        (images,) = flow(clip)
    assert images.shape == clip[0].shape
    assert images.abs().max() <= 1
    assert not any(p.requires_grad for p in flow.parameters())
    pairs = zip(flow.net.parameters(), net.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("content", [b"not a checkpoint", None])
def test_a_file_that_is_not_raft_is_refused_in_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.pth"
    if content is None:
        torch.save(nn.Linear(2, 2).state_dict(), path)
    else:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"'flow_weights' names .*other\.pth', which is not the state_dict of"
    ):
        load_raft(str(path), "flow_weights")
