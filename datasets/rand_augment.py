"""RandAugment (Cubuk et al., NeurIPS 2020) for clips: the operations are drawn once per clip, for all frames.

Operations and their strengths are those of torchvision's `RandAugment` with 31 levels, applied with its v2
functional operations to whole batches: clips that drew the same operation and sign go through it together.
No operation mirrors a clip: flips are a setting of their own, which obeys the data set.  Three
differences make them fit video: what torchvision takes from an image (the mean of `contrast`, the extremes
of `autocontrast`, the histogram of `equalize`) is taken from all frames of the clip, so that nothing
flickers; shears turn about the center; uncovered pixels become middle gray.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from datasets.policy import RandAugmentPolicy

LEVELS = 30
"""The largest magnitude; each operation reaches its full strength there."""

_GRAY = [0.5, 0.5, 0.5]

Operation = Callable[[Tensor, float, float], Tensor]
"""(N, T, 3, S, S) clips in [0, 1], strength in [0, 1], sign -1 or 1 -> the same shape."""


def rand_augment(frames: Tensor, policy: RandAugmentPolicy, numbers: Tensor) -> Tensor:
    """Applies `policy.ops` operations, one after the other, drawn anew for every clip.

    Args:
        frames: (B, T, 3, S, S) float in [0, 1].
        policy: how many operations and how strong.
        numbers: (B, 2 MOST_OPS) uniforms in [0, 1): per operation its choice and its sign.

    Returns:
        The same shape, in [0, 1].
    """
    names = list(OPERATIONS)
    strength = policy.magnitude / LEVELS
    out = frames.clamp(0, 1)
    for turn in range(policy.ops):
        chosen = (numbers[:, 2 * turn] * len(names)).long().clamp(max=len(names) - 1).tolist()
        signs = [-1.0 if coin < 0.5 else 1.0 for coin in numbers[:, 2 * turn + 1].tolist()]
        changed = out.clone()
        for which, sign in sorted(set(zip(chosen, signs, strict=True))):
            same = [pair == (which, sign) for pair in zip(chosen, signs, strict=True)]
            members = torch.tensor(same, device=frames.device)
            changed[members] = OPERATIONS[names[which]](out[members], strength, sign).clamp(0, 1)
        out = changed
    return out


def _affine(
    angle: float = 0.0, shift: tuple[float, float] = (0, 0), shear: tuple[float, float] = (0, 0)
) -> Operation:
    """A geometric operation: at full strength a rotation, a shift (shares of the side), shears (slopes)."""

    def apply(clips: Tensor, strength: float, sign: float) -> Tensor:
        # It costs a second or two to import, and most policies have no such operation.
        from torchvision.transforms.v2 import InterpolationMode, functional  # noqa: PLC0415

        amount, side = strength * sign, clips.shape[-1]
        return functional.affine_image(  # type: ignore[no-any-return]
            clips,
            angle=angle * amount,
            translate=[amount * share * side for share in shift],
            scale=1.0,
            shear=[math.degrees(math.atan(amount * slope)) for slope in shear],
            interpolation=InterpolationMode.BILINEAR,
            fill=_GRAY,
        )

    return apply


def _factor(name: str) -> Operation:
    """A photometric operation with a factor between 0.1 and 1.9, 1 changing nothing."""

    def apply(clips: Tensor, strength: float, sign: float) -> Tensor:
        from torchvision.transforms.v2 import functional  # noqa: PLC0415

        change: Callable[[Tensor, float], Tensor] = getattr(functional, name)
        return change(clips, 1 + 0.9 * strength * sign)

    return apply


def _as_one_image(operation: Operation) -> Operation:
    """The operation on the frames of a clip side by side: its statistics are those of the clip."""

    def apply(clips: Tensor, strength: float, sign: float) -> Tensor:
        n, t, c, h, w = clips.shape
        image = clips.transpose(1, 2).reshape(n, c, t * h, w)
        return operation(image, strength, sign).reshape(n, c, t, h, w).transpose(1, 2)

    return apply


def _identity(clips: Tensor, strength: float, sign: float) -> Tensor:
    return clips


def _posterize(clips: Tensor, strength: float, sign: float) -> Tensor:
    """8 bits per channel down to 4."""
    from torchvision.transforms.v2 import functional  # noqa: PLC0415

    return functional.posterize_image(clips, 8 - round(4 * strength))  # type: ignore[no-any-return]  # torchvision has no types


def _solarize(clips: Tensor, strength: float, sign: float) -> Tensor:
    """Inverts pixels from a threshold on, which falls from 1 to 0."""
    from torchvision.transforms.v2 import functional  # noqa: PLC0415

    return functional.solarize_image(clips, 1 - strength)  # type: ignore[no-any-return]  # torchvision has no types


def _autocontrast(clips: Tensor, strength: float, sign: float) -> Tensor:
    from torchvision.transforms.v2 import functional  # noqa: PLC0415

    return functional.autocontrast_image(clips)  # type: ignore[no-any-return]  # torchvision has no types


def _equalize(clips: Tensor, strength: float, sign: float) -> Tensor:
    from torchvision.transforms.v2 import functional  # noqa: PLC0415

    return functional.equalize_image(clips)  # type: ignore[no-any-return]  # torchvision has no types


OPERATIONS: dict[str, Operation] = {
    "identity": _identity,
    "shear_x": _affine(shear=(0.3, 0)),
    "shear_y": _affine(shear=(0, 0.3)),
    "translate_x": _affine(shift=(150 / 331, 0)),
    "translate_y": _affine(shift=(0, 150 / 331)),
    "rotate": _affine(angle=30.0),
    "brightness": _factor("adjust_brightness_image"),
    "color": _factor("adjust_saturation_image"),
    "contrast": _as_one_image(_factor("adjust_contrast_image")),
    "sharpness": _factor("adjust_sharpness_image"),
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _as_one_image(_autocontrast),
    "equalize": _as_one_image(_equalize),
}
"""By name, in the order in which a draw counts them; `identity` comes first, where a draw of 0 falls."""
