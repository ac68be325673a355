"""Small video files, whole and broken, that the tests of the data path write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


def moving_frames(count: int = 12, height: int = 64, width: int = 96, seed: int = 0) -> Frames:
    """A bright square that wanders over a smooth background: no two neighboring frames are equal."""
    rows, columns = np.mgrid[0:height, 0:width]
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[..., 0] = (rows * 160 // height + 13 * seed) % 256
    frames[..., 1] = columns * 160 // width
    frames[..., 2] = 60
    side = max(2, min(height, width) // 4)
    for place, frame in enumerate(frames):
        top, left = (3 * place + 5 * seed) % (height - side), (4 * place) % (width - side)
        frame[top : top + side, left : left + side] = (240, 230, 40)
    return frames


def write_with(
    path: Path, frames: Frames, codec: str, pix_fmt: str, container_format: str | None = None
) -> None:
    """Writes a file in any codec and container, for the forms that `video_io.write_video` does not write."""
    _, height, width, _ = frames.shape
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_audio(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


BROKEN: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "text": lambda path: path.write_text("this is no video\n" * 40) and None,
    "pointer": lambda path: (
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n") and None
    ),
    "folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
}
