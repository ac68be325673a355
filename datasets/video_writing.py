"""Pictures to files: H.264 by PyAV's encoder, which is asked nowhere else.

A file appears under its name only when it is complete.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""Height and width in pixels."""

MADE: Mapping[str, str] = {"crf": "18"}
"""Settings of x264 for clips that are made of others: nearly without loss."""


def write_video(path: Path, frames: NDArray[np.uint8], fps: int = 25, crf: int = 18) -> None:
    """Writes frames (T, H, W, 3) RGB uint8; the same frames give the same bytes.

    Odd sizes are stored without chroma subsampling, which needs even ones.  x264 works without look-ahead:
    with it, one file in ten to some hundreds differs (16 of 150 measured).
    """
    import av  # noqa: PLC0415

    _, height, width, _ = frames.shape
    form = "yuv420p" if width % 2 == 0 and height % 2 == 0 else "yuv444p"
    pictures = (av.VideoFrame.from_ndarray(np.ascontiguousarray(each), format="rgb24") for each in frames)
    encode(path, pictures, Fraction(fps), form=form, options={"crf": str(crf), "rc-lookahead": "0"})


def encode(
    path: Path,
    pictures: Iterable[Any],
    rate: Fraction,
    size: Callable[[Size], Size] = lambda size: size,
    form: str = "yuv420p",
    options: Mapping[str, str] = MADE,
) -> int:
    """Writes pictures, all in the size of the first one; returns how many.  Without any there is no file.

    Args:
        path: the file; its folder is made.
        pictures: `av.VideoFrame`s.
        rate: frames per second.
        size: from the size of the first picture to that of the video.
        form: pixel format of the video.
        options: of x264.
    """
    import av  # noqa: PLC0415

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    count = 0
    try:
        with av.open(str(temporary), "w") as container:
            stream: Any = None
            scaler = av.video.reformatter.VideoReformatter()
            for picture in pictures:
                if stream is None:
                    stream = container.add_stream("libx264", rate=rate)
                    stream.height, stream.width = size((picture.height, picture.width))
                    stream.pix_fmt, stream.options = form, {**options, "threads": "1"}
                scaled = scaler.reformat(
                    picture, width=stream.width, height=stream.height, format=form, threads=1
                )
                scaled.pts, scaled.time_base = count, 1 / rate
                container.mux(stream.encode(scaled))
                count += 1
            if stream is not None:
                container.mux(stream.encode())
        if count:
            temporary.replace(path)
        return count
    finally:
        temporary.unlink(missing_ok=True)


def planes_to_mp4(
    planes: Iterable[NDArray[np.uint8]], size: Size, fps: int, options: Mapping[str, str]
) -> bytes:
    """An MP4 file (H.264, yuv420p) in memory; its bytes follow from the pictures if `options` allow it.

    Args:
        planes: YUV I420 pictures, (H * 3 / 2, W) each.
        size: of the video.
        fps: frames per second.
        options: of x264.
    """
    import av  # noqa: PLC0415

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=fps, options=dict(options))
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, plane in enumerate(planes):
            picture = av.VideoFrame.from_ndarray(plane, format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return buffer.getvalue()


def picture_of(bgr: NDArray[np.uint8]) -> Any:
    """An `av.VideoFrame` of a BGR picture (H, W, 3), as OpenCV reads them."""
    import av  # noqa: PLC0415

    return av.VideoFrame.from_ndarray(bgr, format="bgr24")
