"""The small net's batch normalization: one for all levels, or each level's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.backbones.shiftnet import ShiftNet, shiftnet
from datasets.errors import UserError


def _clips(scale: float) -> Tensor:
    return scale * torch.randn(4, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))


def _trained(levels: int, lively: bool = True) -> ShiftNet:
    """A net that has seen quiet clips at level 0 and, if `lively`, lively ones at level 1."""
    torch.manual_seed(0)
    net = shiftnet(8, 24, levels).train()
    for _ in range(30):
        net(_clips(1.0), 0)
        if lively:
            net(_clips(5.0), 1)
    return net.eval()


def test_a_level_of_its_own_is_normalized_by_what_that_level_has_shown() -> None:
    own, quiet = _trained(levels=2), _clips(1.0)
    assert torch.equal(own(quiet, 0), _trained(levels=1, lively=False)(quiet))
    assert not torch.allclose(own(quiet, 0), own(quiet, 1), rtol=0.05, atol=0.02)


def test_all_levels_share_one_unless_the_net_is_made_for_several() -> None:
    shared = _trained(levels=1)
    assert torch.equal(shared(_clips(1.0), 0), shared(_clips(1.0), 2))
    assert not torch.allclose(shared(_clips(1.0)), _trained(levels=2)(_clips(1.0)), rtol=0.05, atol=0.02)


def test_a_wrong_number_of_levels_is_refused_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"'levels' is 0; it must be at least 1"):
        shiftnet(levels=0)
    with pytest.raises(UserError, match=r"for 2 levels, but clips have a level 3; give its config field"):
        shiftnet(8, 24, 2)(_clips(1.0), 2)
