"""What an augmentation may do, as data: part of a trial's specification, readable without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval
from pydantic import Field

MOST_OPS = 4
"""Operations of RandAugment that a policy can ask for."""


Share = Annotated[float, Interval(ge=0, le=1)]
"""A probability, or a part of a whole."""
Side = Annotated[float, Interval(gt=0, le=4)]
"""Of a crop, relative to the frame; above 1 it repeats border pixels."""
Size = Annotated[float, Interval(ge=0, le=4)]


@dataclass(frozen=True, kw_only=True)
class RandAugmentPolicy:
    """How many operations of RandAugment a clip goes through, and how strong they are (30 is the most)."""

    ops: Annotated[int, Interval(ge=1, le=MOST_OPS)] = 2
    magnitude: Annotated[float, Interval(ge=0, le=30)] = 9.0


@dataclass(frozen=True, kw_only=True)
class AugmentPolicy:
    """Ranges of one augmentation; the defaults do nothing but take the central crop.

    `scale`: side of the square crop as a share of the frame's short side.  `translate`: None puts the
    crop anywhere inside the frame; a number moves its centre by up to that share of half the short
    side, repeating border pixels.  `rotate` in degrees.  `window`: largest share of the clip's length
    cut off in time.  `color_mix`: sd of the noise on the 3 x 3 color matrix.  `permute`, `gray`,
    `flip`, `cutout`: probabilities.  `contrast`: half-range of the contrast and brightness factors.
    `noise`: largest sd of pixel noise.  `cutout_size`: smallest and largest side as shares of the crop.
    `rand_augment`: operations that follow the crop; none by default.
    """

    scale: tuple[Side, Side] = (1.0, 1.0)
    aspect: Size = 0.0
    rotate: Annotated[float, Interval(ge=0, le=180)] = 0.0
    translate: Size | None = 0.0
    flip: Share = 0.0
    window: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    color_mix: Size = 0.0
    permute: Share = 0.0
    gray: Share = 0.0
    contrast: Share = 0.0
    noise: Size = 0.0
    cutout: Share = 0.0
    cutout_size: tuple[Share, Share] = (0.125, 0.375)
    # Left out where it is None, so that trials of before have their ids.
    rand_augment: Annotated[RandAugmentPolicy | None, Field(exclude_if=lambda given: given is None)] = None

    def __post_init__(self) -> None:
        """Raises ValueError for ranges upside down and for probabilities of one coin above 1."""
        for name in ("scale", "cutout_size"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"'{name}' is [{low:g}, {high:g}]; write the smaller number first")
        if self.permute + self.gray > 1:
            raise ValueError(f"'permute' and 'gray' add up to {self.permute + self.gray:g}; 1 is the most")

    @property
    def photometric(self) -> bool:
        """Whether colors change at all."""
        return any((self.color_mix, self.permute, self.gray, self.contrast, self.noise, self.cutout))
