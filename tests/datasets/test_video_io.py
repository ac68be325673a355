import subprocess
import sys
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from system_programs import need_decoder
from video_files import BROKEN, moving_frames, write_audio, write_with

from datasets import decoders, video_io
from datasets.decoders import DECODERS
from datasets.decoders.interface import Decoder
from datasets.video_io import UndecodableError, decode, probe, read_with, write_video


def close(a: np.ndarray, b: np.ndarray, mean: float = 4.0) -> bool:
    return a.shape == b.shape and float(np.abs(a.astype(int) - b.astype(int)).mean()) < mean


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("size", [(64, 96), (121, 161)])
def test_written_frames_come_back_in_order_and_in_full(
    tmp_path: Path, decoder: str, size: tuple[int, int]
) -> None:
    need_decoder(decoder)
    frames = moving_frames(10, *size)
    write_video(tmp_path / "a.mp4", frames)
    found = decode(tmp_path / "a.mp4", decoders=decoder)
    assert found.decoder == decoder
    assert found.flaw is None
    assert close(found.frames, frames)
    for place in range(9):  # each frame is nearer to its own original than to the next one
        error = [
            np.abs(found.frames[place].astype(int) - frames[i].astype(int)).mean() for i in (place, place + 1)
        ]
        assert error[0] < error[1]


def test_both_decoders_give_the_same_pixels(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_frames())
    one, other = (decode(tmp_path / "a.mp4", 48, name).frames for name in ("decord", "pyav"))
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 2


@pytest.mark.parametrize("shape", [(64, 96), (96, 64), (121, 161), (30, 20)])
def test_the_short_side_is_exact_and_the_aspect_ratio_stays(tmp_path: Path, shape: tuple[int, int]) -> None:
    write_video(tmp_path / "a.mp4", moving_frames(3, *shape))
    height, width = decode(tmp_path / "a.mp4", 48).frames.shape[1:3]
    assert min(height, width) == 48
    assert height / width == pytest.approx(shape[0] / shape[1], rel=0.02)


def test_scaling_down_averages_pixels(tmp_path: Path) -> None:
    checker = np.zeros((2, 64, 64, 3), np.uint8)
    checker[:, ::2, ::2] = checker[:, 1::2, 1::2] = 200
    checker[1] = 200 - checker[1]
    write_with(tmp_path / "a.mkv", checker, "ffv1", "bgr0")
    assert np.abs(decode(tmp_path / "a.mkv", 32).frames.astype(int) - 100).max() <= 2


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_frames(1))
    assert decode(tmp_path / "a.mp4").frames.shape == (1, 64, 96, 3)


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_broken_file_is_refused_in_one_sentence(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.mp4"
    BROKEN[kind](path)
    with pytest.raises(UndecodableError) as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count("\n") == 0
    assert capfd.readouterr() == ("", "")  # no decoder talks to the terminal


def test_a_file_without_pictures_is_refused(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav")
    with pytest.raises(UndecodableError, match="no video stream"):
        decode(tmp_path / "a.wav")


def index_first(path: Path, frames: np.ndarray) -> bytes:
    """The bytes of an MP4 file whose index stands in front, so that it can be opened when it is cut."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_a_truncated_file_gives_the_frames_it_has_and_says_so(tmp_path: Path) -> None:
    content = index_first(tmp_path / "a.mp4", moving_frames(40))
    (tmp_path / "b.mp4").write_bytes(content[: len(content) * 8 // 10])
    found = decode(tmp_path / "b.mp4")
    assert 10 < len(found.frames) < 40
    assert found.flaw is not None
    assert "promises 40 frames" in found.flaw
    np.testing.assert_array_equal(found.frames[:10], decode(tmp_path / "a.mp4").frames[:10])


def test_a_file_with_a_hole_says_how_many_frames_are_left(tmp_path: Path) -> None:
    content = bytearray(index_first(tmp_path / "a.mp4", moving_frames(40)))
    middle = (content.index(b"mdat") + len(content)) // 2
    content[middle : middle + 300] = bytes(300)
    (tmp_path / "b.mp4").write_bytes(content)
    found = decode(tmp_path / "b.mp4")
    assert found.flaw == f"{len(found.frames)} of its 40 frames can be decoded"


def test_a_file_cut_before_its_index_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_frames())
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UndecodableError):
        decode(tmp_path / "b.mp4")


@pytest.mark.parametrize("form", [("a.ts", "mpegts"), ("a.h264", "h264"), ("a.mkv", "matroska")])
def test_containers_without_a_frame_count_are_read_in_full(tmp_path: Path, form: tuple[str, str]) -> None:
    frames = moving_frames(15)
    write_with(tmp_path / form[0], frames, "libx264", "yuv420p", form[1])
    assert close(decode(tmp_path / form[0]).frames, frames, 8.0)


def test_a_tiny_video_that_decord_refuses_is_read_by_pyav(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_frames(5, 16, 16))
    found = decode(tmp_path / "a.mp4")
    assert (found.decoder, found.frames.shape) == ("pyav", (5, 16, 16, 3))


def rotate(path: Path, target: Path) -> None:
    """Sets the display matrix of an MP4 file's track header to a quarter turn clockwise."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    unit = (1 << 16).to_bytes(4, "big")
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    zero = bytes(4)
    content[matrix : matrix + 24] = zero + unit + zero + minus + zero + zero
    target.write_bytes(content)


@pytest.mark.parametrize("decoder", DECODERS)
def test_rotation_is_honored(tmp_path: Path, decoder: str) -> None:
    need_decoder(decoder)
    frames = moving_frames(4)
    write_video(tmp_path / "a.mp4", frames)
    rotate(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert close(decode(tmp_path / "b.mp4", decoders=decoder).frames, np.rot90(frames, -1, axes=(1, 2)))


def liar(frames: np.ndarray, batch: int) -> Generator[np.ndarray]:
    yield from (frames[start : start + batch] for start in range(0, len(frames), batch))


@pytest.mark.parametrize("batch", [1, 3, 100])
@pytest.mark.parametrize("lie", ["repeats", "drops", "invents"])
def test_a_decoder_that_repeats_or_drops_frames_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str, batch: int
) -> None:
    frames = moving_frames(8)
    write_video(tmp_path / "a.mp4", frames)
    told = {
        "repeats": frames[[0, 1, 2, 3, 4, 5, 5, 5]],
        "drops": frames[:6],
        "invents": frames[[0, *range(8)]],
    }[lie]
    lying = Decoder("decord", lambda path, most: liar(told, batch), lambda: None)
    monkeypatch.setattr(decoders, "DECODERS", {**DECODERS, "decord": lying})
    monkeypatch.setattr(video_io, "DECODERS", decoders.DECODERS)
    found = decode(tmp_path / "a.mp4")
    assert found.decoder == "pyav"
    assert close(found.frames, frames)


def test_a_really_static_clip_keeps_all_its_frames(tmp_path: Path) -> None:
    still = np.repeat(moving_frames(1), 9, axis=0)
    write_video(tmp_path / "a.mp4", still)
    found = decode(tmp_path / "a.mp4")
    assert len(found.frames) == 9
    assert found.flaw is None


def test_frames_that_an_edit_list_hides_are_not_frames(tmp_path: Path) -> None:
    # Players start at the sixth frame.  decord 0.6 counts the hidden ones and fills up with repeats.
    frames = moving_frames(20)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = Fraction(1, 25)
        for place, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = place - 5, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    found = probe(tmp_path / "a.mp4")
    assert (found.packets, found.shown) == (20, 15)
    assert close(decode(tmp_path / "a.mp4").frames, frames[5:])
    assert decode(tmp_path / "a.mp4").flaw is None


def test_probe_tells_what_the_file_says(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_frames(7), fps=10)
    found = probe(tmp_path / "a.mp4")
    assert (found.codec, found.width, found.height, found.fps) == ("h264", 96, 64, 10.0)
    assert (found.packets, found.shown, found.header_frames) == (7, 7, 7)


def test_writing_is_deterministic_and_leaves_nothing_else(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, moving_frames())
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4"}


def test_importing_the_data_path_imports_no_decoder() -> None:
    names = "video_io, decoders, clip_making, clip_cache, video_list, catalog, splits, verify"
    heavy = {"av", "decord", "torchcodec", "cv2"}
    code = f"import sys; from datasets import {names}; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_a_clip_that_pyav_cannot_open_is_read_by_whoever_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, most: int) -> Generator[np.ndarray]:
        raise UndecodableError(path, "it is no readable video")
        yield

    frames = moving_frames()
    write_video(tmp_path / "a.mp4", frames)
    monkeypatch.setattr(video_io, "probe", refuse_to_probe)
    monkeypatch.setattr(video_io, "DECODERS", {**DECODERS, "pyav": Decoder("pyav", refuse, lambda: None)})
    found = decode(tmp_path / "a.mp4")
    assert found.decoder == ("torchcodec" if DECODERS["torchcodec"].missing() is None else "decord")
    assert close(found.frames, frames)


def refuse_to_probe(path: Path) -> None:
    raise UndecodableError(path, "it is no readable video")


def test_odd_files_of_the_world(extra_clips: Path) -> None:
    """Every file that PyAV reads is used, with as many frames as PyAV reads."""
    for path in sorted((extra_clips / "odd").iterdir()):
        try:
            alone = read_with(path, "pyav", 32)
        except UndecodableError:
            with pytest.raises(UndecodableError):
                decode(path, 32)
        else:
            assert decode(path, 32).frames.shape == alone.shape, path.name
