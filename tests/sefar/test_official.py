"""The released SeFAR: every departure from the paper is a toggle that does what it says, and no more."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from bench.backbones.shiftnet import shiftnet
from datasets.types import Batch, Clip, TaskInfo
from methods import ema
from methods.base import Progress
from methods.draws import Draws
from sefar.method import SeFAR
from sefar.official import SeFAROfficial, drop_frame_channels, flip_colors

LEVELS = (2, 2, 4)
TASK = TaskInfo(classes=3, labeled=2, unlabeled=6, class_counts=(1, 1, 0), frames=8)
PAPER = {"reversal": "time", "partners": "shared", "ema_moves": 1, "ema_warm": True}
"""What makes the release `sefar`, which shares its other departures."""


def _clip(n: int, seed: int) -> Clip:
    numbers = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, 3, frames, 32, 32, generator=numbers) for frames in LEVELS)


def _batch() -> Batch:
    return Batch(
        labeled={"labeled": _clip(2, 0)},
        label=torch.tensor([0, 1]),
        labeled_index=torch.arange(2),
        unlabeled={"weak": _clip(6, 1), "strong": _clip(6, 2)},
        unlabeled_index=torch.arange(6),
    )


def _here(step: int = 4) -> Progress:
    return Progress(step=step, total_steps=10, warmup_steps=0, draws=Draws(1, step))


def _made(**config: Any) -> SeFAROfficial:
    torch.manual_seed(0)
    return SeFAROfficial(SeFAROfficial.Config(**config), TASK, partial(shiftnet, 8, 24)).train()


def _losses(**config: Any) -> dict[str, float]:
    torch.manual_seed(0)
    return {k: float(v.detach()) for k, v in _made(**config).step(_batch(), _here()).losses.items()}


def test_with_its_departures_turned_it_is_sefar_bit_for_bit() -> None:
    torch.manual_seed(0)
    sefar = SeFAR(SeFAR.Config(), TASK, partial(shiftnet, 8, 24)).train()
    official = _made(**PAPER)
    for step in range(3):
        losses = []
        for method in (sefar, official):
            torch.manual_seed(step)  # of the dropout inside the nets
            made = method.step(_batch(), _here(step))
            losses.append({name: float(value.detach()) for name, value in made.losses.items()})
            method.after_step(_here(step))
        assert losses[0] == losses[1]
    ours, theirs = official.state_dict(), sefar.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("toggle", "moved"),
    [
        ({"reversal": "time"}, {"unsupervised", "mix"}),
        ({"partners": "shared"}, {"mix"}),
        ({"channels": "frame"}, {"unsupervised", "mix"}),
        ({"partner_dropout": True}, {"mix"}),
        ({"mix_prediction": "probabilities"}, {"mix"}),
        ({"ema_moves": 1}, set()),  # moves the teacher of later steps
    ],
)
def test_each_toggle_moves_the_losses_that_it_is_about(toggle: dict[str, Any], moved: set[str]) -> None:
    # Batch statistics are shared by all clips of the pass, so a changed clip moves a little of everything.
    released, other = _losses(), _losses(**toggle)
    differs = {name for name, value in released.items() if abs(other[name] / value - 1) > 1e-3}
    assert moved <= differs
    if toggle.keys() <= {"mix_prediction", "ema_moves"}:
        assert differs == moved


def test_the_flip_exchanges_red_and_blue_of_the_fine_levels() -> None:
    clip = _clip(2, 5)
    flipped = flip_colors(clip, context_too=False)
    for before, after in zip(clip[:-1], flipped[:-1], strict=True):
        assert torch.equal(after[:, 0], before[:, 2])
        assert torch.equal(after[:, 1], before[:, 1])
        assert torch.equal(after[:, 2], before[:, 0])
    assert torch.equal(flipped[-1], clip[-1])
    assert torch.equal(flip_colors(clip, context_too=True)[-1], clip[-1].flip(1))


def test_each_level_has_partners_of_its_own_and_targets_follow_the_last() -> None:
    clip = _clip(6, 5)
    order = torch.tensor([1, 2, 3, 4, 5, 0])
    partner = _made().partner(clip, clip, order, Draws(0, 0))
    assert torch.equal(partner[-1], clip[-1][order])
    chosen = [
        [int((level == one).flatten(1).all(1).nonzero()) for one in shown]
        for level, shown in zip(clip, partner, strict=True)
    ]
    assert all(sorted(each) == list(range(6)) for each in chosen)
    assert chosen[0] != chosen[1] != chosen[2]
    shared = _made(partners="shared").partner(clip, clip, order, Draws(0, 0))
    assert all(torch.equal(shown, level[order]) for level, shown in zip(clip, shared, strict=True))


def test_a_partner_with_dropout_is_the_dropped_view() -> None:
    clip, dropped = _clip(6, 5), tuple(x * 0 for x in _clip(6, 5))
    order = torch.arange(6)
    assert torch.equal(_made().partner(clip, dropped, order, Draws(0, 0))[-1], clip[-1])
    assert not _made(partner_dropout=True).partner(clip, dropped, order, Draws(0, 0))[-1].any()


def test_channels_of_a_frame_or_of_a_clip() -> None:
    ones = tuple(torch.ones(64, 3, frames, 2, 2) for frames in LEVELS)
    whole = _made().drop_channels(ones, Draws(0, 0))
    frames = _made(channels="frame").drop_channels(ones, Draws(0, 0))
    for level in whole:
        assert (level == level[:, :, :1]).all()  # alike in all frames
    for level in frames:
        assert (level != level[:, :, :1]).any()
        assert set(level.unique().tolist()) == {0.0, 1.25}
        assert abs(float((level == 0).float().mean()) - 0.2) < 0.05
        assert (level == level[..., :1, :1]).all()
    assert drop_frame_channels(ones, 0.0, Draws(0, 0), "x") is ones


def _teacher_after(accumulate: int, moves: int) -> tuple[torch.Tensor, float]:
    """A weight of the teacher after one optimizer step 0 -> 1 in `accumulate` micro-batches; d is 0.9."""
    method = _made(ema_moves=moves, ema_decay=0.9)
    batch, weight = _batch(), "backbone.conv1.weight"
    method.student.state_dict()[weight].fill_(0.0)
    method.teacher.state_dict()[weight].fill_(1.0)
    for _ in range(accumulate):
        method.step(batch, _here())
    method.student.state_dict()[weight].fill_(0.5)
    method.after_step(_here())
    found = method.teacher.state_dict()[weight]
    return found, float(found.flatten()[0])


@pytest.mark.parametrize(
    ("accumulate", "moves", "expected"),
    [
        (1, 1, 0.9 * 1 + 0.1 * 0.5),
        (1, 3, 0.9**3 * 1 + (1 - 0.9**3) * 0.5),
        (3, 3, 0.9 * (0.9**2 * 1) + 0.1 * 0.5),  # twice towards the old student, once towards the new
        (3, 1, 0.9 * 1 + 0.1 * 0.5),
    ],
)
def test_the_teacher_moves_with_every_micro_batch(accumulate: int, moves: int, expected: float) -> None:
    found, value = _teacher_after(accumulate, moves)
    assert value == pytest.approx(expected, abs=1e-6)
    assert (found == value).all()


def test_the_release_has_no_warm_decay_and_starts_as_a_copy_after_the_warm_up() -> None:
    config = SeFAROfficial.Config()
    assert (config.ema_warm, config.ema_decay, config.ema_start) == (False, 0.9999, "after_warmup")
    assert ema.decay_at(config.ema_decay, 0, config.ema_warm) == 0.9999
    method = _made()
    method.student.state_dict()["backbone.conv1.weight"].fill_(3.0)
    method.after_step(Progress(step=0, total_steps=10, warmup_steps=2, draws=Draws(0, 0)))
    assert (method.teacher.state_dict()["backbone.conv1.weight"] == 3.0).all()
