"""K predictions of the teacher: one pass and K heads are K full passes, and a noisy backbone is noticed."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.backbones.shiftnet import ShiftNet, shiftnet
from bench.backbones.timesformer import DropPath
from datasets.types import Clip, TaskInfo
from methods.base import Classifier, Progress
from methods.draws import Draws
from sefar.method import SeFAR
from sefar.model import FusionHead
from sefar.passes import full_passes, random_layers, stochastic_passes

LEVELS = (2, 2, 4)
TASK = TaskInfo(classes=5, labeled=2, unlabeled=5, class_counts=(1, 1, 0, 0, 0), frames=8)


class Masked(nn.Module):
    """A head's dropout with masks that were drawn before: the k-th call uses the k-th."""

    def __init__(self, masks: Tensor) -> None:
        super().__init__()
        self._masks = iter(masks)

    def forward(self, x: Tensor) -> Tensor:
        return x * next(self._masks)


class NoisyNet(ShiftNet):
    """The small net with dropout of its own."""

    def __init__(self, p: float) -> None:
        super().__init__(8, 24)
        self.noise = nn.Dropout(p)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        return self.noise(super().forward(x, level))


class Asking(nn.Module):
    """Attention as timm has it: it asks its own mode, not its layer's, whether to drop."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        p = self.attn_drop.p if self.training else 0.0
        return F.scaled_dot_product_attention(x, x, x, dropout_p=p)


class TokenNet(ShiftNet):
    """The small net with a layer over 12 tokens of its feature."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(8, 24)
        self.layer = layer

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        return self.layer(super().forward(x, level).unflatten(1, (12, 4))).flatten(1)


def _clip(clips: int) -> Clip:
    numbers = torch.Generator().manual_seed(clips)
    return tuple(torch.randn(clips, 3, n, 32, 32, generator=numbers) for n in LEVELS)


def _teacher(backbone: nn.Module | None = None) -> Classifier:
    torch.manual_seed(0)
    net = backbone or shiftnet(8, 24)
    return Classifier(net, FusionHead(48, len(LEVELS), 5, dropout=0.5, width=16)).eval()


def _progress() -> Progress:
    return Progress(step=3, total_steps=10, warmup_steps=1, draws=Draws(7, 3))


@pytest.mark.parametrize(("clips", "passes"), [(1, 2), (2, 10), (3, 20), (8, 5), (24, 10)])
def test_the_fast_passes_are_the_full_passes_bit_for_bit(clips: int, passes: int) -> None:
    teacher, clip = _teacher(), _clip(clips)
    with torch.no_grad():
        embedding = teacher.head.embed(teacher.features(clip))
        fast = stochastic_passes(embedding, teacher.head.classify, 0.5, passes, Draws(7, 3))
        masks = Draws(7, 3).dropout((passes, *embedding.shape), 0.5, "teacher")
        assert set(masks.unique().tolist()) == {0.0, 2.0}
        teacher.head.dropout = Masked(masks)  # type: ignore[assignment]
        slow = torch.stack([teacher(clip).softmax(1) for _ in range(passes)])
    assert fast.dtype == torch.float32
    assert torch.equal(fast, slow)
    assert float(fast.std(0).min()) > 0


def test_full_passes_of_a_quiet_backbone_are_the_fast_ones() -> None:
    teacher, clip = _teacher(), _clip(3)
    with torch.no_grad():
        full = full_passes(teacher, clip, 0.5, 6, Draws(7, 3))
        embedding = teacher.head.embed(teacher.features(clip))
        assert torch.equal(full, stochastic_passes(embedding, teacher.head.classify, 0.5, 6, Draws(7, 3)))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dropout(0.1),
        nn.Dropout3d(0.1),
        nn.AlphaDropout(0.1),
        nn.MultiheadAttention(4, 2, dropout=0.1),
        nn.GRU(4, 4, num_layers=2, dropout=0.1),
    ],
)
def test_layers_that_drop_are_noticed(layer: nn.Module) -> None:
    net = shiftnet(8, 24)
    net.extra = nn.Sequential(nn.Linear(2, 2), layer)
    assert random_layers(_teacher(net)) == [layer]


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.MultiheadAttention(4, 2), nn.BatchNorm2d(3)])
def test_layers_that_do_not_drop_are_not(layer: nn.Module) -> None:
    net = shiftnet(8, 24)
    net.extra = layer
    assert random_layers(_teacher(net)) == []


def test_a_backbone_with_dropout_gets_k_full_passes() -> None:
    runs = {}
    for p in (0.0, 0.5):
        torch.manual_seed(0)
        config = SeFAR.Config(
            teacher_passes=4, dropout=0.0
        )  # the head is quiet, so only the backbone is random
        method = SeFAR(config, TASK, partial(NoisyNet, p)).train()
        calls: list[bool] = []
        noise = method.teacher.backbone.noise
        noise.register_forward_hook(lambda m, given, out, calls=calls: calls.append(m.training))
        made = method.teacher_predictions(_clip(2), _progress())
        runs[p] = (len(calls), set(calls), float(made.std(0).max()))
        assert not any(module.training for module in method.teacher.modules())  # as it was
    assert runs[0.0] == (len(LEVELS), {False}, 0.0)
    assert runs[0.5][:2] == (4 * len(LEVELS), {True})
    assert runs[0.5][2] > 1e-3


def test_stochastic_depth_and_batch_statistics_stay_off() -> None:
    net = NoisyNet(0.5)
    net.noise = nn.Sequential(nn.Dropout(0.5), DropPath(0.9))  # type: ignore[assignment]
    modes: dict[str, set[bool]] = {}
    for layer in net.noise:
        layer.register_forward_hook(
            lambda m, given, out: modes.setdefault(type(m).__name__, set()).add(m.training)
        )
    teacher, clip = _teacher(net), _clip(4)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    with torch.no_grad():
        full_passes(teacher, clip, 0.5, 3, Draws(7, 3))
    assert modes == {"Dropout": {True}, "DropPath": {False}}
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


@pytest.mark.parametrize(
    "layer", [Asking(), nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=True)]
)
def test_layers_that_ask_their_own_mode_drop_too(layer: nn.Module) -> None:
    teacher, clip = _teacher(TokenNet(layer)), _clip(4)
    with torch.no_grad():
        passes = full_passes(teacher, clip, 0.0, 4, Draws(7, 3))
    assert float(passes.std(0).max()) > 1e-4  # the head drops nothing
    assert not any(module.training for module in teacher.modules())
