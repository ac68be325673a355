"""Initial weights of video transformers from an image ViT: a file, or a model name of timm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from datasets.errors import UserError, first_line

_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
_CLASSIFIER = ("head.", "fc_norm.", "pre_logits.", "head_dist.", "dist_token")
_WAY_ON = "give the file of a ViT state dict (.pth or .safetensors), or go on with --init random"


class StartsAsImageNet(Protocol):
    """A net whose modules are named as those of a ViT in timm."""

    pos_embed: nn.Parameter

    def state_dict(self) -> Mapping[str, Tensor]:
        """Weights by name."""

    def start_as_image_net(self) -> None:
        """Fills what an image net lacks from what it has."""


def load_weights(net: StartsAsImageNet, weights: str) -> None:
    """Fills a net with the weights of an image ViT, in place.

    Positions are interpolated to the net's grid.  What the file lacks because it is about time starts from
    the spatial weights; a file that has it (a trained TimeSformer) keeps it.  A classifier is left out.

    Args:
        net: the net.
        weights: a file, or a model name of timm.

    Raises:
        UserError: for a missing or unreadable file, another architecture, or a download that fails.
    """
    given = _read_file(Path(weights)) if _is_file(weights) else _download(weights)
    given = {k: v for k, v in _plain(given, weights).items() if not k.startswith(_CLASSIFIER)}
    own = net.state_dict()
    if "pos_embed" in given:
        given["pos_embed"] = _fit_places(given["pos_embed"], own["pos_embed"])
    about_time = {name for name in own if "temporal" in name or name.startswith("time_embed")}
    for name, value in own.items():
        if name in given and given[name].shape != value.shape:
            raise UserError(
                f"weights '{weights}' are of another architecture: '{name}' has shape "
                f"{tuple(given[name].shape)}, this backbone needs {tuple(value.shape)}; {_WAY_ON}."
            )
        if name not in given and name not in about_time:
            raise UserError(
                f"weights '{weights}' are of another architecture: '{name}' is missing; {_WAY_ON}."
            )
    foreign = sorted(set(given) - set(own))
    if foreign:
        raise UserError(
            f"weights '{weights}' are of another architecture: '{foreign[0]}' has no place here; {_WAY_ON}."
        )
    with torch.no_grad():
        for name in own.keys() - about_time:
            own[name].copy_(given[name])
        net.start_as_image_net()
        for name in about_time & given.keys():
            own[name].copy_(given[name])


def _is_file(weights: str) -> bool:
    return weights.endswith(_SUFFIXES) or Path(weights).exists()


def _read_file(path: Path) -> object:
    if not path.is_file():
        raise UserError(f"weights '{path}': there is no such file; {_WAY_ON}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling bytes that are no state dict raises whatever they spell
        raise UserError(
            f"weights '{path}' cannot be read as a state dict ({first_line(error)}); {_WAY_ON}."
        ) from error


def _download(name: str) -> object:
    import timm  # noqa: PLC0415  # takes seconds, and only this needs it

    if not timm.is_model(name.removeprefix("timm/").split(".")[0]):
        raise UserError(f"weights '{name}': there is no such file and no such model in timm; {_WAY_ON}.")
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the boundary to a network: every client library has errors of its own
        reason = type(error).__name__
        raise UserError(
            f"weights '{name}' cannot be downloaded here ({reason}); give the file {_place(name)} as "
            "--init FILE, or go on with --init random."
        ) from error


def _place(name: str) -> str:
    """Where the weights of a model of timm are to be had, for a machine that reaches it."""
    import timm  # noqa: PLC0415

    found = timm.get_pretrained_cfg(name.removeprefix("timm/"), allow_unregistered=True)
    if found is not None and found.hf_hub_id:
        return f"https://huggingface.co/{found.hf_hub_id}/resolve/main/model.safetensors"
    return str(found.url) if found is not None and found.url else "of its weights (.pth or .safetensors)"


def _plain(given: object, weights: str) -> dict[str, Tensor]:
    """The tensors by name, out of the wrappings that training codes put around them."""
    for wrapping in ("state_dict", "model", "model_state"):
        if isinstance(given, Mapping) and isinstance(given.get(wrapping), Mapping):
            given = given[wrapping]
    if not isinstance(given, Mapping) or not all(isinstance(value, Tensor) for value in given.values()):
        raise UserError(f"weights '{weights}' hold no state dict (tensors by name); {_WAY_ON}.")
    return {str(name).removeprefix("module.").removeprefix("model."): value for name, value in given.items()}


def _fit_places(given: Tensor, own: Tensor) -> Tensor:
    """(1, 1 + G G, D) positions interpolated to the grid of `own`; another rank or width is left as it is."""
    grid = round(max(given.shape[1] - 1, 0) ** 0.5) if given.dim() == 3 else 0
    if grid < 1 or 1 + grid**2 != given.shape[1] or given.shape[2] != own.shape[2]:
        return given
    side = round((own.shape[1] - 1) ** 0.5)
    return torch.cat([given[:, :1], resize_places(given[:, 1:], side, side)], 1)


def resize_places(table: Tensor, rows: int, columns: int) -> Tensor:
    """(1, G G, D) embeddings of a square grid -> (1, rows columns, D), bicubic (ViT, ICLR 2021)."""
    grid = round(table.shape[1] ** 0.5)
    if (rows, columns) == (grid, grid):
        return table
    image = torch.unflatten(table, 1, (grid, grid)).permute(0, 3, 1, 2)
    moved = F.interpolate(image.float(), size=(rows, columns), mode="bicubic", align_corners=False)
    return moved.flatten(2).transpose(1, 2).to(table.dtype)
