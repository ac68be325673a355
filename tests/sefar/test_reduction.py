"""SeFAR with its own parts switched off is SVFormer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from bench.backbones.shiftnet import shiftnet
from datasets.types import Batch, TaskInfo
from methods.base import Progress
from methods.draws import Draws
from methods.svformer import SVFormer
from sefar.method import SeFAR

FRAMES = 8
TASK = TaskInfo(classes=3, labeled=2, unlabeled=5, class_counts=(1, 1, 0), frames=FRAMES)
SHARED = {"channel_dropout": 0.2, "beta": 10.0, "dropout": 0.0}
OFF = {
    "levels": (2, 2, 4),
    "dual_level": False,
    "perturbation": "warping",
    "regulation": "fixed",
    "head": "linear",
    "teacher_passes": 1,
    "mix": "hard",
    "ramp": False,
}


def _batch() -> Batch:
    numbers = torch.Generator().manual_seed(3)

    def clip(n: int) -> tuple[torch.Tensor, ...]:
        return (torch.randn(n, 3, FRAMES, 32, 32, generator=numbers),)

    return Batch(
        labeled={"labeled": clip(2)},
        label=torch.tensor([0, 1]),
        labeled_index=torch.arange(2),
        unlabeled={"weak": clip(5), "strong": clip(5)},
        unlabeled_index=torch.arange(5),
    )


def _svformer() -> SVFormer:
    """With a threshold that some of the teacher's predictions pass and others do not."""
    torch.manual_seed(0)
    method = SVFormer(SVFormer.Config(**SHARED), TASK, partial(shiftnet, 8, 24)).train()
    with torch.no_grad():
        for model in (method.student, method.teacher):
            model.head.classify.weight.mul_(8)
        confidence = method.teacher(_batch().unlabeled["weak"]).softmax(1).amax(1).sort().values
    method.config = replace(method.config, threshold=float(confidence[1:3].mean()))
    return method


def test_sefar_without_its_parts_has_the_losses_of_svformer() -> None:
    svformer = _svformer()
    threshold = svformer.config.threshold
    config = SeFAR.Config(**SHARED, **OFF, threshold=threshold)
    defaults = {
        "channel_dropout",
        "beta",
        "ema_decay",
        "ema_start",
        "mix_weight",
        "unlabeled_weight",
        "warmup",
    }
    assert all(getattr(SeFAR.Config(), name) == getattr(SVFormer.Config(), name) for name in defaults)
    assert (SVFormer.Config().threshold, SVFormer.Config().dropout) == (0.3, 0.0)  # as docs/sefar.md says
    sefar = SeFAR(config, TASK, partial(shiftnet, 8, 24)).train()
    missing, unexpected = sefar.load_state_dict(svformer.state_dict(), strict=False)
    assert unexpected == []
    assert all(name.startswith("aligned.") for name in missing)
    assert sefar.sampler() == svformer.sampler() and sefar.recipe() == svformer.recipe()
    for step in range(3):
        here = Progress(step=step, total_steps=10, warmup_steps=0, draws=Draws(1, step))
        expected, reduced = svformer.step(_batch(), here), sefar.step(_batch(), here)
        assert expected.weight is not None
        assert 0 < expected.weight.sum() < 5  # both sides of the threshold
        assert list(reduced.losses) == list(expected.losses) == ["supervised", "unsupervised", "mix"]
        for name, value in expected.losses.items():
            assert float(value.detach()) > 0
            torch.testing.assert_close(reduced.losses[name], value, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "switch",
    [{"perturbation": "spatial_only"}, {"mix": "soft"}, {"regulation": "adaptive"}, {"ramp": True}],
)
def test_each_part_that_is_switched_on_changes_the_losses(switch: dict[str, object]) -> None:
    svformer = _svformer()
    threshold = svformer.config.threshold
    config = SeFAR.Config(**{**SHARED, **OFF, **switch, "threshold": threshold})
    sefar = SeFAR(config, TASK, partial(shiftnet, 8, 24)).train()
    sefar.load_state_dict(svformer.state_dict(), strict=False)
    here = Progress(step=1, total_steps=10, warmup_steps=0, draws=Draws(1, 1))
    expected, changed = svformer.step(_batch(), here), sefar.step(_batch(), here)
    differences = [float(((changed.losses[n] - v).abs() / v).detach()) for n, v in expected.losses.items()]
    assert max(differences) > 1e-4
