"""Where persons are in a view: a frozen detector from a file, and boxes as masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from datasets.errors import unknown_name
from methods.extra_inputs import Frozen, fill, pixels, read_state_dict

PERSON = 1
"""The class of persons in COCO, on which torchvision's detectors are trained."""


def rasterize(boxes: Tensor, height: int, width: int) -> Tensor:
    """(M, 4) boxes (x1, y1, x2, y2) in pixels -> (height, width) bool: pixels with their center in a box."""
    x = torch.arange(width, device=boxes.device) + 0.5
    y = torch.arange(height, device=boxes.device) + 0.5
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    inside = ((y >= y1) & (y < y2))[:, :, None] & ((x >= x1) & (x < x2))[:, None, :]
    return inside.any(0)


class PersonDetector:
    """Masks of the persons in a clip, from a frozen detector.

    Args:
        net: a detector of torchvision: a list of (3, H, W) images in [0, 1] -> boxes, labels, scores of each.
        score: detections from this score on count.
        every: one frame in `every` is looked at; the frames up to the next one share its boxes.
    """

    def __init__(self, net: nn.Module, score: float, every: int) -> None:
        self._net = Frozen(net)
        self._score, self._every = score, every

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """(U, 3, T, H, W) view -> (U, T, H, W) bool, True where a person is."""
        seen = pixels(x[:, :, :: self._every]).transpose(1, 2)
        with torch.autocast(x.device.type, enabled=False):  # suppression of overlapping boxes wants float32
            found: Sequence[dict[str, Tensor]] = self._net.on(x.device)(list(seen.flatten(0, 1)))
        masks = [rasterize(self._persons(one), x.shape[-2], x.shape[-1]) for one in found]
        kept = torch.unflatten(torch.stack(masks), 0, (len(x), -1))
        return kept.repeat_interleave(self._every, dim=1)[:, : x.shape[2]]

    def _persons(self, found: dict[str, Tensor]) -> Tensor:
        return found["boxes"][(found["labels"] == PERSON) & (found["scores"] > self._score)]


def load_person_detector(name: str, weights: str, score: float, every: int) -> PersonDetector:
    """A detector of torchvision with the weights of a file.

    Args:
        name: the model's name in torchvision, for example "fasterrcnn_mobilenet_v3_large_320_fpn".
        weights: the file of its state dict, trained on COCO.
        score: as for `PersonDetector`.
        every: as for `PersonDetector`.

    Raises:
        UserError: for a name that torchvision does not know, or weights of another net.
    """
    from torchvision import models  # noqa: PLC0415  # only this needs it

    known = models.list_models(module=models.detection)
    if name not in known:
        raise unknown_name("detector of torchvision", name, known, "config field 'detector'")
    net = models.get_model(name, weights=None, weights_backbone=None)
    fill(
        net,
        read_state_dict(weights, "config field 'detector_weights'"),
        f"config field 'detector_weights' ('{weights}', for '{name}')",
    )
    return PersonDetector(net, score, every)


class _MiddleBox(nn.Module):
    """Finds a person in the middle half of every image; a stand-in without weights."""

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        found = []
        for image in images:
            height, width = image.shape[1:]
            box = image.new_tensor([[width / 4, height / 4, 3 * width / 4, 3 * height / 4]])
            found.append({"boxes": box, "labels": torch.tensor([PERSON]), "scores": torch.ones(1)})
        return found


def pretended_person_detector() -> PersonDetector:
    """A detector that finds a person in the middle of everything."""
    return PersonDetector(_MiddleBox(), 0.4, 1)
