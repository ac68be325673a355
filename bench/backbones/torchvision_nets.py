"""The video nets of torchvision, without their classifiers.

Each takes any number of frames and any crop that its strides leave something of; all levels of a clip go
through the same weights.  `weights` is a file with a state dict, or a name of torchvision such as
`KINETICS400_V1`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

from datasets.errors import UserError, first_line, unknown_name

_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


@dataclass(frozen=True)
class Kind:
    """What the nets of one family have in common.

    `classifier`: the module that is left out.  `patch`: the grid for mixing clips, here the cells of about
    the last feature map.  `smallest`: frames, pixels and pixels of the least clip that leaves a feature.
    """

    classifier: str
    patch: tuple[int, int, int]
    smallest: tuple[int, int, int] = (1, 1, 1)


_RESNET = Kind("fc", (1, 16, 16))
_S3D = Kind("classifier", (1, 32, 32), (5, 17, 17))  # below, its last pooling has nothing left
_MVIT = Kind("head", (1, 32, 32))
_SWIN = Kind("head", (1, 32, 32))


class TorchvisionNet(nn.Module):
    """A net of torchvision whose output is the feature that its classifier would see.

    Args:
        name: torchvision's name of the net.
        kind: its family.
        weights: `random`, a file, or one of torchvision's names for the net's weights.

    Raises:
        UserError: for weights that are missing, unreadable, of another net, or that cannot be downloaded.
    """

    def __init__(self, name: str, kind: Kind, weights: str = "random") -> None:
        super().__init__()
        self.name, self.kind = name, kind
        net = get_model(name, weights=None)
        self.dim = _last_linear_width(net, kind.classifier)
        setattr(net, kind.classifier, nn.Identity())
        if hasattr(net, "avgpool"):  # S3D's own pooling takes one crop size only; the others' is this one
            net.avgpool = nn.AdaptiveAvgPool3d(1)
        self.net = net
        if weights != "random":
            _load(net, _read(name, weights), kind.classifier, f"weights '{weights}' of backbone '{name}'")

    @property
    def patch(self) -> tuple[int, int, int]:
        """The grid on which clips may be mixed."""
        return self.kind.patch

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        """(N, 3, T, H, W) -> (N, D).

        Raises:
            UserError: for clips of which the net's strides leave nothing.
        """
        size = tuple(x.shape[2:])
        if any(have < need for have, need in zip(size, self.kind.smallest, strict=True)):
            need = self.kind.smallest
            raise UserError(
                f"backbone '{self.name}' needs at least {need[0]} frames of {need[1]} x {need[2]} pixels in "
                f"every level, and this one has {size[0]} of {size[1]} x {size[2]}; give more frames, a "
                "larger crop (protocol.size) or another backbone."
            )
        positions = getattr(self.net, "pos_encoding", None)
        if positions is not None:  # MViT: its relative positions are interpolated, but it is told the sizes
            strides = self.net.conv_proj.stride
            grid = tuple(-(-have // stride) for have, stride in zip(size, strides, strict=True))
            positions.temporal_size, positions.spatial_size = grid[0], (grid[1], grid[2])
        return cast(Tensor, self.net(x)).flatten(1)


def _last_linear_width(net: nn.Module, classifier: str) -> int:
    """Width of the features that a classifier sees."""
    layers = [m for m in net.get_submodule(classifier).modules() if isinstance(m, nn.Linear | nn.Conv3d)]
    last = layers[-1]
    return last.in_features if isinstance(last, nn.Linear) else last.in_channels


def _read(name: str, weights: str) -> object:
    path = Path(weights)
    if not weights.endswith(_SUFFIXES) and not path.exists():
        return _download(name, weights)
    where = f"weights '{weights}' of backbone '{name}'"
    if not path.is_file():
        raise UserError(f"{where}: there is no such file; {_way_on(name)}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling bytes that are no state dict raises whatever they spell
        raise UserError(
            f"{where} cannot be read as a state dict ({first_line(error)}); {_way_on(name)}."
        ) from error


def _download(name: str, weights: str) -> object:
    known = get_model_weights(name)
    members = {member.name: member for member in known} | {"DEFAULT": known["DEFAULT"]}
    wanted = weights.rpartition(".")[2]
    if wanted not in members:
        raise unknown_name("weights", weights, members, f"backbone '{name}' (no such file, and no such name)")
    try:
        return members[wanted].get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # the boundary to a network: proxies and certificates have errors of their own
        reason = type(error).__name__
        raise UserError(
            f"weights '{weights}' of backbone '{name}' cannot be downloaded here ({reason}); {_way_on(name)}."
        ) from error


def _way_on(name: str) -> str:
    url = get_model_weights(name)["DEFAULT"].url
    return f"give the file of {url}, or start from random weights with --init random"


def _load(net: nn.Module, given: object, classifier: str, where: str) -> None:
    """Fills a net in place; the classifier of the file is left out."""
    for wrapping in ("state_dict", "model", "model_state"):
        if isinstance(given, Mapping) and isinstance(given.get(wrapping), Mapping):
            given = given[wrapping]
    if not isinstance(given, Mapping) or not all(isinstance(value, Tensor) for value in given.values()):
        raise UserError(f"{where} hold no state dict (tensors by name); give another file, or --init random.")
    plain = {str(name).removeprefix("module.").removeprefix("net."): value for name, value in given.items()}
    plain = {name: value for name, value in plain.items() if not name.startswith(f"{classifier}.")}
    for name, value in net.state_dict().items():
        if name not in plain or plain[name].shape != value.shape:
            found = f"has shape {tuple(plain[name].shape)}" if name in plain else "is missing"
            raise UserError(
                f"{where} are of another architecture: '{name}' {found}, and {tuple(value.shape)} is needed; "
                "give another file, or --init random."
            )
    foreign = sorted(set(plain) - set(net.state_dict()))
    if foreign:
        raise UserError(
            f"{where} are of another architecture: '{foreign[0]}' has no place here; give another file, or "
            "--init random."
        )
    net.load_state_dict(plain)


def _builder(name: str, kind: Kind, text: str) -> Callable[..., TorchvisionNet]:
    def build(weights: str = "random") -> TorchvisionNet:
        return TorchvisionNet(name, kind, weights)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = text
    return build


r3d_18 = _builder("r3d_18", _RESNET, "3-D ResNet-18 (Tran et al., CVPR 2018), 33.2 million parameters.")
mc3_18 = _builder(
    "mc3_18", _RESNET, "ResNet-18, 3-D in its first stage (CVPR 2018), 11.5 million parameters."
)
r2plus1d_18 = _builder("r2plus1d_18", _RESNET, "R(2+1)D-18 (Tran, CVPR 2018), 31.3 million parameters.")
s3d = _builder("s3d", _S3D, "S3D (Xie et al., ECCV 2018), 7.9 million parameters; from 5 frames on.")
mvit_v2_s = _builder("mvit_v2_s", _MVIT, "MViTv2-S (Li et al., CVPR 2022), 34.2 million parameters.")
swin3d_t = _builder("swin3d_t", _SWIN, "Video Swin-T (Liu et al., CVPR 2022), 27.9 million parameters.")
swin3d_s = _builder("swin3d_s", _SWIN, "Video Swin-S (Liu et al., CVPR 2022), 49.5 million parameters.")
swin3d_b = _builder("swin3d_b", _SWIN, "Video Swin-B (Liu et al., CVPR 2022), 87.6 million parameters.")
