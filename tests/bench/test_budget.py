"""The cost of a step as the record states it: frames, clips and operations, counted by hand here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules import module

from bench import budget, trial
from bench.budget import frames_decoded, step_cost
from bench.experiment import Scene
from bench.plan import Choice, plan_section
from bench.spec import Protocol
from bench.store import TrialFolder
from bench.suite import load_suite
from datasets.sampling import Segments
from datasets.splits import Split
from datasets.synthgym import SynthGymTiny
from datasets.types import Batch, ClipRef, Recipe, TaskInfo, View
from datasets.views import ViewSettings
from methods.base import Method, Progress, Step
from methods.extra_inputs import rehearsed
from methods.fixmatch import FixMatch
from methods.supervised import Supervised
from methods.timebalance import TimeBalance
from sefar.method import SeFAR

FRAMES, SIZE, B, U, CLASSES = 8, 32, 2, 5, 3
SUITE = load_suite("smoke").suite.sections["embedded"]


class Flat(nn.Module):
    """One matrix product per clip: 2 · N · (3 T S S) · 7 operations."""

    dim, patch = 7, (1, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Linear(3 * SIZE * SIZE, 7, bias=False)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        return torch.tanh(self.weight(x.transpose(1, 2).flatten(2))).mean(1)


@dataclass
class Noise:
    """Clips of noise."""

    errors: dict[str, str]

    def frames(self, key: str) -> NDArray[np.uint8]:
        return np.random.default_rng(len(key)).integers(0, 255, (20, 40, 40, 3), dtype=np.uint8)

    def frame_count(self, key: str) -> int:
        return 20


def _scene() -> Scene:
    refs = tuple(ClipRef(f"clip{i}", Path(f"clip{i}"), i % CLASSES, f"g{i}") for i in range(12))
    split = Split(labeled=refs[:6], unlabeled=refs, validation=(), test=refs, hash="x")
    task = TaskInfo(classes=CLASSES, labeled=6, unlabeled=12, class_counts=(2, 2, 2), frames=FRAMES)
    settings = ViewSettings(policies=SUITE.protocol.augmentations, size=SIZE, normalize="clip", mirror=False)
    return Scene(split, refs, Noise({}), task, settings, torch.device("cpu"))


def _protocol(accumulate: int = 1) -> Protocol:
    sizes = SUITE.protocol.batch.model_copy(
        update={"labeled": B, "unlabeled": U, "warmup": 4, "accumulate": accumulate}
    )
    return SUITE.protocol.model_copy(update={"batch": sizes, "steps": 10, "frames": FRAMES})


def _method(cls: type[Method], **config: object) -> Method:
    torch.manual_seed(0)
    return cls(cls.Config(**config), _scene().task, Flat)


def _flops(clips_forward: int, clips_backward: int, outputs: int, classes: int) -> int:
    """Products of `Flat` and of the last layer; a weight's gradient costs one product, an input's another."""
    forward = 2 * FRAMES * 3 * SIZE * SIZE * 7
    return clips_forward * forward + clips_backward * forward + outputs * 2 * 7 * classes


def test_labels_alone() -> None:
    made = step_cost(_method(Supervised), _scene(), _protocol(), 0)
    assert (made.frames_decoded, made.frames_forward) == (B * FRAMES, B * FRAMES)
    assert (made.clips_forward, made.clips_backward) == (B, B)
    assert made.flops == _flops(B, B, 3 * B, CLASSES)


def test_a_weak_and_a_strong_view() -> None:
    made = step_cost(_method(FixMatch), _scene(), _protocol(), 0)
    assert made.frames_decoded == (B + 2 * U) * FRAMES
    assert made.clips_forward == B + 2 * U
    assert made.clips_backward == B + U


def test_sefar_sends_a_teacher_and_three_student_passes_whatever_k() -> None:
    costs = [
        step_cost(_method(SeFAR, teacher_passes=k, head="linear", dropout=0.5), _scene(), _protocol(), 0)
        for k in (2, 20)
    ]
    for made in costs:
        assert made.frames_decoded == (B + 2 * U) * FRAMES
        assert (made.clips_forward, made.clips_backward) == (B + 3 * U, B + 2 * U)
    assert costs[0].flops is not None and costs[1].flops is not None
    assert costs[1].flops - costs[0].flops == 18 * U * 2 * (3 * 7) * CLASSES  # heads alone


def test_frozen_teachers_that_are_no_modules_of_the_method_count() -> None:
    made = step_cost(_method(rehearsed(TimeBalance)), _scene(), _protocol(), 0)
    # The student once; of the teachers one both whole and in windows, the other whole.
    assert (made.clips_forward, made.clips_backward) == (4 * (B + U), B + U)
    with pytest.raises(ZeroDivisionError):
        step_cost(_method(Failing), _scene(), _protocol(), 0)
    assert not module._global_forward_hooks


class Failing(Supervised):
    def step(self, batch: Batch, progress: Progress) -> Step:
        raise ZeroDivisionError


def test_micro_batches_add_up() -> None:
    once, twice = (step_cost(_method(FixMatch), _scene(), _protocol(n), 0) for n in (1, 2))
    assert twice.frames_decoded == 2 * once.frames_decoded
    assert twice.clips_forward == 2 * once.clips_forward
    assert twice.flops == 2 * (once.flops or 0)


def test_views_of_the_same_frames_are_read_once() -> None:
    same, other = View(Segments(4), "weak"), View(Segments(4), "strong", draw=1)
    recipe = Recipe(
        labeled={"labeled": View(Segments(8), "labeled")},
        unlabeled={"weak": same, "medium": View(Segments(4), "strong"), "strong": other},
    )
    assert frames_decoded(recipe, 3, 10) == 3 * 8 + 10 * (4 + 4)


def test_counting_changes_neither_method_nor_noise() -> None:
    method = _method(SeFAR, head="linear")
    before = {name: value.clone() for name, value in method.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    step_cost(method, _scene(), _protocol(), 0)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    assert all(p.grad is None for p in method.parameters())
    assert not any(module._forward_hooks for module in method.modules())


def test_a_method_that_cannot_be_rehearsed_costs_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    method = _method(FixMatch)
    monkeypatch.setattr(FixMatch, "step", lambda *args: 1 / 0)
    assert budget.recorded(method, _scene(), _protocol(), 0) is None


def test_the_record_of_a_trial_states_it(
    shared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(shared_home))
    SynthGymTiny().prepare()
    planned = plan_section(load_suite("smoke"), "embedded", Choice(methods=["fixmatch"], seeds=(3,)))
    spec = next(each.spec for each in planned if each.entry == "fixmatch")
    spec = spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"steps": 2})})
    cost = trial.run_trial(spec, TrialFolder(tmp_path / "trial"))["step_cost"]
    sizes = spec.protocol.batch
    assert cost["frames_decoded"] == (sizes.labeled + 2 * sizes.unlabeled) * spec.protocol.frames
    assert cost["clips_forward"] == sizes.labeled + 2 * sizes.unlabeled
    assert cost["flops"] > 1e6
