"""Torchvision's video nets as backbones: the features, the clips they take, and where weights come from."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

from bench import plugins
from bench.backbones import timesformer, torchvision_nets
from bench.experiment import build_backbone
from bench.spec import Net
from datasets.errors import UserError
from datasets.types import TaskInfo
from sefar.method import SeFAR

DIMS = {
    "r3d_18": 512,
    "mc3_18": 512,
    "r2plus1d_18": 512,
    "s3d": 1024,
    "mvit_v2_s": 768,
    "swin3d_t": 768,
    "swin3d_s": 768,
    "swin3d_b": 1024,
}
ANY = ["r3d_18", "mc3_18", "r2plus1d_18", "mvit_v2_s", "swin3d_t"]


def without_values(name: str) -> nn.Module:
    """The net on the meta device: shapes are computed, numbers are not, so that it costs nothing."""
    with torch.device("meta"):
        return plugins.backbone_builder(name)().eval()


@pytest.mark.parametrize("name", DIMS)
def test_each_is_registered_and_gives_the_feature_its_classifier_would_see(name: str) -> None:
    net = without_values(name)
    assert net.dim == DIMS[name]
    assert net(torch.empty(2, 3, 8, 224, 224, device="meta"), 1).shape == (2, net.dim)
    with torch.device("meta"):
        whole = get_model(name, weights=None)
    classifier = whole.get_submodule(net.kind.classifier)  # type: ignore[union-attr, arg-type]
    left_out = sum(p.numel() for p in classifier.parameters())
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in whole.parameters()) - left_out


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize("size", [(1, 32, 32), (3, 50, 90), (32, 112, 112)])
def test_any_number_of_frames_and_any_crop(name: str, size: tuple[int, int, int]) -> None:
    net = without_values(name)
    assert net(torch.empty(2, 3, *size, device="meta")).shape == (2, net.dim)


def test_features_and_classifier_are_torchvisions_net() -> None:
    torch.manual_seed(0)
    whole = get_model("r3d_18", weights=None).eval()
    net = torchvision_nets.r3d_18().eval()
    net.net.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("fc.")})
    clip = torch.randn(2, 3, 4, 32, 32)
    torch.testing.assert_close(whole.fc(net(clip)), whole(clip))


def test_s3d_says_how_much_it_needs_and_takes_that() -> None:
    net = without_values("s3d")
    assert net(torch.empty(1, 3, 5, 17, 17, device="meta")).shape == (1, 1024)
    for size in [(4, 32, 32), (8, 16, 32)]:
        with pytest.raises(UserError, match=r"'s3d' needs at least 5 frames of 17 x 17 .*protocol\.size"):
            net(torch.empty(1, 3, *size, device="meta"))
        with pytest.raises(RuntimeError):  # the guard refuses no clip that the net could take
            net.net(torch.empty(1, 3, *size, device="meta"))


def test_mvit_is_told_the_size_of_each_clip() -> None:
    net = torchvision_nets.mvit_v2_s().eval()
    with torch.no_grad():
        few, many = net(torch.ones(1, 3, 2, 32, 32)), net(torch.ones(1, 3, 4, 64, 32))
        assert torch.equal(net(torch.ones(1, 3, 2, 32, 32)), few)  # not what the clip before it left behind
    assert few.shape == many.shape


def test_weights_come_from_files_with_or_without_a_classifier(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = get_model("mc3_18", weights=None)
    torch.save({"model": whole.state_dict()}, tmp_path / "whole.pth")
    bare = {k: v.contiguous() for k, v in whole.state_dict().items() if not k.startswith("fc.")}
    save_file(bare, tmp_path / "bare.safetensors")
    for file in ("whole.pth", "bare.safetensors"):
        net = build_backbone(Net(name="mc3_18", weights=str(tmp_path / file)))
        for name, value in net.net.state_dict().items():  # type: ignore[union-attr]
            assert torch.equal(value, whole.state_dict()[name]), name


def test_weights_of_another_net_are_refused_in_one_sentence(tmp_path: Path) -> None:
    torch.save(get_model("r3d_18", weights=None).state_dict(), tmp_path / "r3d.pth")
    with pytest.raises(UserError, match=r"r3d\.pth' of backbone 'mc3_18' are of another architecture: '.*'"):
        torchvision_nets.mc3_18(str(tmp_path / "r3d.pth"))
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match=r"broken\.pth.*cannot be read.*--init random"):
        torchvision_nets.mc3_18(str(tmp_path / "broken.pth"))
    with pytest.raises(UserError, match=r"no such file; give the file of https://.*--init random"):
        torchvision_nets.mc3_18("nowhere.pth")


def test_without_a_network_one_line_names_the_file_and_the_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError("no route\nto host")

    weights = torchvision_nets.get_model_weights("s3d")
    monkeypatch.setattr(weights, "get_state_dict", refuse)
    with pytest.raises(UserError) as caught:
        torchvision_nets.s3d("KINETICS400_V1")
    assert str(caught.value) == (
        "weights 'KINETICS400_V1' of backbone 's3d' cannot be downloaded here (OSError); give the file of "
        "https://download.pytorch.org/models/s3d-d76dad2f.pth, or start from random "
        "weights with --init random."
    )
    with pytest.raises(UserError, match=r"KINETICS400_V2.*Did you mean 'KINETICS400_V1'"):
        torchvision_nets.s3d("KINETICS400_V2")


@pytest.mark.parametrize(("size", "parameters"), [("small", 31_264_227), ("base", 122_269_539)])
def test_the_papers_net_has_the_parameters_of_the_release(size: str, parameters: int) -> None:
    task = TaskInfo(classes=99, labeled=99, unlabeled=99, class_counts=(1,) * 99, frames=8)
    with torch.device("meta"):
        net = partial(getattr(timesformer, size), (2, 2, 4))
        student = SeFAR(SeFAR.Config(), task, net).student
    assert sum(p.numel() for p in student.parameters()) == parameters
