"""Distillation from a frozen image net: the video net also predicts the image net's classes."""

from __future__ import annotations

import difflib
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.errors import UserError
from datasets.types import Clip
from methods.base import Classifier, Head
from methods.draws import Draws
from methods.extra_inputs import Frozen, fill, pixels, read_state_dict


class ImageTeacher:
    """Class probabilities of single frames, from a frozen image classifier.

    Args:
        net: (N, 3, side, side) normalized images -> (N, classes) logits.
        classes: number of image classes.
        side: image side that the net was trained with; frames are resized to it.
        mean: of each color channel, subtracted before the net.
        sd: of each color channel, divided by before the net.
    """

    def __init__(
        self, net: nn.Module, classes: int, side: int, mean: tuple[float, ...], sd: tuple[float, ...]
    ) -> None:
        self._net = Frozen(net)
        self._side, self._mean, self._sd = side, mean, sd
        self.classes = classes

    @torch.no_grad()
    def __call__(self, frames: Tensor) -> Tensor:
        """(U, 3, H, W) frames of a view -> (U, classes) probabilities."""
        size = (self._side, self._side)
        images = F.interpolate(pixels(frames), size=size, mode="bilinear", align_corners=False)
        mean, sd = (images.new_tensor(each)[:, None, None] for each in (self._mean, self._sd))
        logits: Tensor = self._net.on(frames.device)((images - mean) / sd)
        return logits.float().softmax(1)


def load_image_teacher(name: str, weights: str) -> ImageTeacher:
    """A classifier of timm with the weights of a file; as many classes as the file has.

    Args:
        name: the model's name in timm, for example "resnet18".
        weights: the file of its state dict.

    Raises:
        UserError: for a name that timm does not know, or weights of another net.
    """
    import timm  # noqa: PLC0415  # takes seconds, and only this needs it

    if not timm.is_model(name.split(".", maxsplit=1)[0]):
        close = difflib.get_close_matches(name, timm.list_models(), n=1, cutoff=0.5)
        hint = f" did you mean '{close[0]}'?" if close else ""
        raise UserError(
            f"config field 'image_net': timm has no model '{name}';{hint} see timm.list_models()."
        )
    given = read_state_dict(weights, "config field 'image_weights'")
    net: Any = timm.create_model(name, pretrained=False)
    last = net.pretrained_cfg.get("classifier")
    bias = given.get(f"{last}.bias")
    if bias is not None and len(bias) != net.num_classes:
        net.reset_classifier(len(bias))
    fill(net, given, f"config field 'image_weights' ('{weights}', for '{name}')")
    trained = net.pretrained_cfg
    return ImageTeacher(net, net.num_classes, trained["input_size"][-1], trained["mean"], trained["std"])


def pretended_image_teacher() -> ImageTeacher:
    """A linear net of random weights in the place of an image net, 5 classes, 8 x 8 pixels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    return ImageTeacher(net, 5, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


class DistilledClassifier(Classifier):
    """A classifier with a second, linear head for the image net's classes on the same features."""

    def __init__(self, backbone: nn.Module, head: Head, image_classes: int) -> None:
        super().__init__(backbone, head)
        self.image_head = nn.Linear(cast(int, backbone.dim), image_classes)

    def joint(self, labeled: Clip, unlabeled: Clip) -> tuple[Tensor, Tensor, Tensor]:
        """One forward pass: class logits (B, C) and (U, C), and the unlabeled clips' image logits (U, K)."""
        together = tuple(torch.cat(levels) for levels in zip(labeled, unlabeled, strict=True))
        features, first = self.features(together), labeled[0].shape[0]
        logits: Tensor = self.head(features)
        return logits[:first], logits[first:], self.image_head(torch.cat(features, 1)[first:])


def random_frames(clip: Clip, draws: Draws) -> Tensor:
    """One frame of each clip, at random: (U, 3, T, H, W) -> (U, 3, H, W)."""
    x = clip[0]
    chosen = [draws.integer(0, x.shape[2] - 1, f"image frame/{i}") for i in range(len(x))]
    return x[torch.arange(len(x)), :, torch.tensor(chosen)]


def distillation(logits: Tensor, target: Tensor) -> Tensor:
    """mean_U H(target, logits) of (U, K) logits with (U, K) probabilities of the image net."""
    return F.cross_entropy(logits, target)
