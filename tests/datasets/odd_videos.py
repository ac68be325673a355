"""Video files with the oddities of the world, made with PyAV: what decoders are tested and measured on.

Each case writes a file and returns the frames that a correct decoder gives, upright and in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from video_files import Frames, moving_frames, write_with

Case = Callable[[Path], tuple[Path, Frames]]
RATE = Fraction(25)


def encode(
    path: Path,
    frames: Frames,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Iterable[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Writes a file; `times` are the frames' times in 1/100 s."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pix_fmt
        stream.options = options or {}
        container.metadata.update(metadata or {})
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        for frame, time in zip(frames, times or [None] * len(frames), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if time is not None:
                picture.pts, picture.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def constant(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(20)
    return encode(folder / "constant.mp4", frames), frames


def b_frames_in_avi(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(20)
    return encode(folder / "bframes.avi", frames, "mpeg4", options={"bf": "2", "qscale": "2"}), frames


def variable_rate(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(20)
    times = np.cumsum([2, 9, 4, 30, 3] * 4).tolist()
    return encode(folder / "variable.mp4", frames, times=times), frames


def odd_size(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(10, 121, 161)
    return encode(folder / "odd.mp4", frames, pix_fmt="yuv444p"), frames


def odd_size_subsampled(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(10, 121, 161)
    return encode(folder / "odd.avi", frames, "mpeg4", options={"qscale": "2"}), frames


def tiny(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(10, 16, 16)
    return encode(folder / "tiny.mp4", frames, options={"crf": "10"}), frames


def ten_bits(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(12)
    return encode(folder / "ten.mp4", frames, pix_fmt="yuv420p10le"), frames


def gray(folder: Path) -> tuple[Path, Frames]:
    frames = np.repeat(moving_frames(10)[..., :1], 3, axis=3)
    return encode(folder / "gray.mkv", frames, "ffv1", "gray"), frames


def motion_jpeg(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(10)
    return encode(folder / "motion.avi", frames, "mjpeg", "yuvj420p", options={"qscale": "2"}), frames


def vp9(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(12)
    options = {"crf": "10", "b": "0", "cpu-used": "8", "deadline": "realtime"}
    return encode(folder / "vp9.webm", frames, "libvpx-vp9", options=options), frames


def rotated(folder: Path) -> tuple[Path, Frames]:
    """A quarter turn clockwise in the track header."""
    frames = moving_frames(12)
    path = encode(folder / "rotated.mp4", frames)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    unit, minus = (1 << 16).to_bytes(4, "big"), (-(1 << 16)).to_bytes(4, "big", signed=True)
    content[matrix : matrix + 24] = bytes(4) + unit + bytes(4) + minus + bytes(8)
    path.write_bytes(content)
    return path, np.rot90(frames, -1, axes=(1, 2))


def several_streams(folder: Path) -> tuple[Path, Frames]:
    """The first one is marked as the default, which players show; the second is larger."""
    small, frames = moving_frames(12, 32, 48, seed=3), moving_frames(12)
    path = folder / "several.mp4"
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for each in (small, frames):
            stream: Any = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = each.shape[2], each.shape[1], "yuv420p"
            streams.append(stream)
        for pair in zip(small, frames, strict=True):
            for stream, frame in zip(streams, pair, strict=True):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode())
    return path, small


def count_too_high(folder: Path) -> tuple[Path, Frames]:
    """The header of an AVI promises 50 frames; there are 20."""
    path, frames = b_frames_in_avi(folder)
    content = bytearray(path.read_bytes())
    for marker, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        place = content.index(marker) + offset
        content[place : place + 4] = (50).to_bytes(4, "little")
    target = folder / "high.avi"
    target.write_bytes(content)
    return target, frames


def no_count(folder: Path) -> tuple[Path, Frames]:
    """Matroska written to a pipe: neither duration nor frame count."""
    frames = moving_frames(20)
    return encode(folder / "live.mkv", frames, container_options={"live": "1"}), frames


def fragmented(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(20)
    flags = {"movflags": "frag_keyframe+empty_moov"}
    return encode(folder / "fragmented.mp4", frames, container_options=flags, options={"g": "5"}), frames


def transport_stream(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(20)
    return encode(folder / "stream.ts", frames), frames


def raw_stream(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(20)
    write_with(folder / "raw.h264", frames, "libx264", "yuv420p", "h264")
    return folder / "raw.h264", frames


def hidden_by_edit_list(folder: Path) -> tuple[Path, Frames]:
    """The first five frames have negative times, which an edit list hides."""
    frames = moving_frames(20)
    times = [4 * place - 20 for place in range(20)]
    return encode(folder / "edit.mp4", frames, times=times, options={"bf": "0"}), frames[5:]


def _retimed(path: Path, target: Path, order: list[int]) -> Path:
    """Copies packets with other times: packet i of the stream gets the time of packet `order[i]`."""
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        times = [packet.pts for packet in packets]
        for packet, place in zip(packets, order, strict=True):
            packet.pts, packet.dts, packet.stream = times[place], packet.dts - 10**6, stream
            container.mux(packet)
    return target


def times_out_of_order(folder: Path) -> tuple[Path, Frames]:
    """Two neighbors have each other's times, in Matroska, which takes it."""
    frames = moving_frames(20)
    path = encode(folder / "plain.mkv", frames, options={"bf": "0"})
    order = list(range(20))
    order[7], order[8] = 8, 7
    return _retimed(path, folder / "disordered.mkv", order), frames


def times_repeated(folder: Path) -> tuple[Path, Frames]:
    """Three frames with one time."""
    frames = moving_frames(20)
    path = encode(folder / "plain.mkv", frames, options={"bf": "0"})
    order = list(range(20))
    order[10] = order[11] = 9
    return _retimed(path, folder / "repeated.mkv", order), frames


def foreign_metadata(folder: Path) -> tuple[Path, Frames]:
    """A title in Latin-1 where UTF-8 belongs."""
    frames = moving_frames(10)
    path = encode(folder / "title.mp4", frames, metadata={"title": "Pas de deux XX"})
    content = path.read_bytes()
    assert b"XX" in content
    path.write_bytes(content.replace(b"deux XX", b"deux \xe9\xff"))
    return path, frames


def one_frame(folder: Path) -> tuple[Path, Frames]:
    frames = moving_frames(1)
    return encode(folder / "one.mp4", frames), frames


CASES: dict[str, Case] = {
    "H.264 in MP4": constant,
    "B-frames in AVI (MPEG-4)": b_frames_in_avi,
    "variable frame rate": variable_rate,
    "odd size, 4:4:4": odd_size,
    "odd size, 4:2:0": odd_size_subsampled,
    "16 x 16 pixels": tiny,
    "10 bits per color": ten_bits,
    "gray (FFV1)": gray,
    "motion JPEG": motion_jpeg,
    "VP9 in WebM": vp9,
    "rotated by the header": rotated,
    "several video streams": several_streams,
    "header promises too many frames": count_too_high,
    "no duration, no frame count": no_count,
    "fragmented MP4": fragmented,
    "MPEG-TS": transport_stream,
    "raw H.264 stream": raw_stream,
    "negative times, edit list": hidden_by_edit_list,
    "times out of order": times_out_of_order,
    "several frames at one time": times_repeated,
    "metadata that is not UTF-8": foreign_metadata,
    "one frame": one_frame,
}
"""Name in the documentation -> how to make the file."""
