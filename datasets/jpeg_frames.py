"""Frames as JPEG pictures: about a tenth of the space of raw pixels, decoded as they are read.

A clip is one block of bytes: the sizes of its pictures as little-endian uint32, then the pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUALITY = 95
"""Of OpenCV's encoder, with its chroma halved both ways, as nearly all videos have it."""


def encode(frames: NDArray[np.uint8]) -> bytes:
    """The block of a clip.

    Args:
        frames: (T, H, W, 3) RGB.
    """
    import cv2  # noqa: PLC0415

    pictures = []
    for frame in frames:
        _, picture = cv2.imencode(
            ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        )
        pictures.append(picture.tobytes())
    sizes = np.array([len(picture) for picture in pictures], "<u4")
    return b"".join([sizes.tobytes(), *pictures])


class JpegFrames:
    """The frames of a clip, of which only those are decoded that are asked for.

    Args:
        block: what `encode` made.
        shape: (T, H, W, 3) of the clip.
    """

    def __init__(self, block: NDArray[np.uint8], shape: tuple[int, int, int, int]) -> None:
        self.shape = shape
        sizes = block[: 4 * shape[0]].view("<u4").astype(np.int64)
        self._ends = 4 * shape[0] + np.cumsum(sizes)
        self._starts = self._ends - sizes
        self._block = block

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, positions: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """The frames at the given positions, (len(positions), H, W, 3); each picture is decoded once."""
        import cv2  # noqa: PLC0415

        wanted, places = np.unique(np.asarray(positions), return_inverse=True)
        out = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for place, position in enumerate(wanted):
            picture = cv2.imdecode(
                self._block[self._starts[position] : self._ends[position]], cv2.IMREAD_COLOR
            )
            assert picture is not None  # the block's checksum was right
            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=out[place])
        return out if len(wanted) == len(places) and (np.diff(places) == 1).all() else out[places]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return self[np.arange(len(self))].astype(dtype or np.uint8, copy=False)
