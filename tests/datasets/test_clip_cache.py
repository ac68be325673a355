import errno
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import clip_build, clip_packs, jpeg_frames, video_io
from datasets.cache_folder import Form
from datasets.clip_cache import ClipCache
from datasets.errors import UserError
from datasets.file_hashes import fingerprint
from datasets.types import ClipRef

Make = Callable[..., ClipRef]


def open_cache(clips: list[ClipRef], home: Path, **options: object) -> ClipCache:
    """In this process, which starts faster, unless `workers` says otherwise."""
    how: dict[str, Any] = {"workers": 0, **options}
    return ClipCache.open(clips, "mine", 32, home=home, progress=False, **how)


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    return lambda: monkeypatch.setattr(video_io, "decode", refuse)


def test_cached_frames_are_the_decoded_ones(clip: Make, home: Path) -> None:
    clips = [clip("a.mp4", seed=1), clip("sub/b.mp4", seed=2, count=5, height=80)]
    cache = open_cache(clips, home)
    for one in clips:
        expected = video_io.decode(one.path, 32).frames
        np.testing.assert_array_equal(cache.frames(one.key), expected)
        assert cache.frame_count(one.key) == len(expected)
        assert one.key in cache


def test_frames_cannot_be_changed(clip: Make, home: Path) -> None:
    cache = open_cache([clip("a.mp4")], home)
    with pytest.raises(ValueError, match="read-only"):
        cache.frames("a.mp4")[0] = 0


def test_a_complete_cache_needs_neither_decoder_nor_files(
    clip: Make, home: Path, tmp_path: Path, no_decoding: Callable[[], None]
) -> None:
    clips = [clip("a.mp4"), clip("b.mp4", seed=3)]
    assert not ClipCache.complete(clips, "mine", 32, home)
    frames = open_cache(clips, home).frames("b.mp4").copy()
    no_decoding()
    shutil.rmtree(tmp_path / "videos")
    assert ClipCache.complete(clips, "mine", 32, home)
    np.testing.assert_array_equal(open_cache(clips, home).frames("b.mp4"), frames)


def test_opening_a_complete_cache_imports_no_decoder(clip: Make, home: Path) -> None:
    one = clip("a.mp4")
    open_cache([one], home)
    code = (
        "import sys; from pathlib import Path; from datasets.clip_cache import ClipCache\n"
        "from datasets.types import ClipRef\n"
        f"cache = ClipCache.open([ClipRef('a.mp4', Path({str(one.path)!r}), 0, '')], 'mine', 32)\n"
        "print(cache.frame_count('a.mp4'), {'av', 'decord', 'cv2'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["12", "set()"]


def test_only_new_and_changed_clips_are_decoded(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = clip("a.mp4", seed=1), clip("b.mp4", seed=2)
    before = open_cache([a, b], home).frames("a.mp4").copy()
    decoded: list[str] = []
    real = video_io.decode
    monkeypatch.setattr(
        video_io, "decode", lambda path, *rest: decoded.append(path.name) or real(path, *rest)
    )
    b, c = clip("b.mp4", seed=7, count=4), clip("c.mp4")
    os.utime(a.path, (1, 1))  # the same content with another time is not decoded again
    cache = open_cache([a, b, c], home)
    assert sorted(decoded) == ["b.mp4", "c.mp4"]
    assert cache.frame_count("b.mp4") == 4
    np.testing.assert_array_equal(cache.frames("a.mp4"), before)


def test_two_sets_of_clips_share_a_cache_without_decoding_in_turns(
    clip: Make, home: Path, no_decoding: Callable[[], None]
) -> None:
    a, b = clip("a.mp4"), clip("b.mp4")
    open_cache([a], home)
    open_cache([b], home)
    no_decoding()
    open_cache([a], home)
    with pytest.raises(UserError, match="not among the clips"):
        open_cache([b], home).frames("a.mp4")


def test_another_size_is_another_cache(clip: Make, home: Path) -> None:
    one = clip("a.mp4")
    assert open_cache([one], home).frames("a.mp4").shape[1] == 32
    assert ClipCache.open([one], "mine", 48, home, workers=0, progress=False).frames("a.mp4").shape[1] == 48


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_files_are_recorded_with_their_reason(
    clip: Make, home: Path, tmp_path: Path, workers: int
) -> None:
    good = clip("good.mp4")
    bad = ClipRef("bad.mp4", tmp_path / "bad.mp4", 0, "")
    bad.path.write_text("no video")
    missing = ClipRef("missing.mp4", tmp_path / "missing.mp4", 0, "")
    cache = open_cache([good, bad, missing], home, workers=workers)
    assert cache.frame_count("good.mp4") == 12
    assert set(cache.errors) == {"bad.mp4", "missing.mp4"}
    assert "readable video" in cache.errors["bad.mp4"]
    assert cache.errors["missing.mp4"] == "the file does not exist"
    with pytest.raises(UserError, match=r"'bad.mp4' of 'mine' cannot be decoded: .*readable"):
        cache.frames("bad.mp4")


def test_a_bad_file_that_was_replaced_is_decoded(clip: Make, home: Path, tmp_path: Path) -> None:
    bad = ClipRef("a.mp4", tmp_path / "videos" / "a.mp4", 0, "")
    bad.path.parent.mkdir()
    bad.path.write_text("no video")
    assert open_cache([bad], home).errors
    clip("a.mp4")
    assert not open_cache([bad], home).errors


def crash_on_bad(job: clip_build.Job) -> clip_build.Outcome:
    """Stands for a decoder that takes its process down; runs in a child."""
    if job.path.name == "bad.mp4":
        os._exit(11)
    return clip_build.decode(job)


def test_a_decoder_that_crashes_while_a_damaged_copy_is_mended_ends_nothing(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = clip("bad.mp4")
    open_cache([one], home)
    flip(next(home.rglob("*.pack")), 1000)
    monkeypatch.setattr(clip_build, "decode", crash_on_bad)
    with pytest.raises(UserError, match=r"'bad.mp4' of 'mine' in .* is damaged"):
        open_cache([one], home).frames("bad.mp4")


def test_a_crashing_decoder_costs_one_clip(clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [clip(f"{name}.mp4", seed=place) for place, name in enumerate(("a", "bad", "c", "d"))]
    monkeypatch.setattr(clip_build, "decode", crash_on_bad)
    cache = open_cache(clips, home, workers=1)
    (reason,) = cache.errors.values()
    assert set(cache.errors) == {"bad.mp4"} and "its decoder crashed (exit code 11)" in reason
    assert all(cache.frame_count(f"{name}.mp4") == 12 for name in "acd")


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_was_written_before_an_interruption_stays_usable(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    clips = [clip(f"{name}.mp4", seed=place) for place, name in enumerate("abcd")]
    first = open_cache(clips[:1], home).frames("a.mp4").copy()
    add = clip_packs.PackWriter.add

    def add_until(writer: clip_packs.PackWriter, entry: clip_packs.Entry, block: clip_build.Block) -> None:
        if entry.sha256 == fingerprint(clips[3].path).sha256:
            raise stop
        add(writer, entry, block)

    monkeypatch.setattr(clip_packs.PackWriter, "add", add_until)
    if isinstance(stop, OSError):
        with pytest.raises(UserError, match=r"disk of .* is full"):
            open_cache(clips, home)
    else:
        with pytest.raises(KeyboardInterrupt):
            open_cache(clips, home)
    assert ClipCache.complete(clips[:3], "mine", 32, home)
    np.testing.assert_array_equal(open_cache(clips[:3], home).frames("a.mp4"), first)
    monkeypatch.undo()
    assert open_cache(clips, home).frame_count("d.mp4") == 12
    assert not list(home.rglob("*.part"))


@pytest.mark.parametrize("damage", ["table", "index", "short", "gone"])
def test_a_damaged_cache_is_made_again(clip: Make, home: Path, damage: str) -> None:
    one = clip("a.mp4")
    frames = np.array(open_cache([one], home).frames("a.mp4"))
    pack = next(home.rglob("*.pack"))
    if damage == "table":
        next(home.rglob("mine.json")).write_text('{"a.mp4": ["12')
    elif damage == "index":
        flip(pack, -30)
    elif damage == "short":
        pack.write_bytes(pack.read_bytes()[:100])
    else:
        pack.unlink()
    np.testing.assert_array_equal(open_cache([one], home).frames("a.mp4"), frames)
    assert len(list(home.rglob("*.pack"))) == 1  # a pack that nobody can read is gone


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("form", ["raw", "jpeg"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_flipped_byte_changes_no_result(clip: Make, home: Path, form: Form, share: float) -> None:
    clips = [clip("a.mp4", seed=1), clip("b.mp4", seed=2)]
    shutil.rmtree(home, ignore_errors=True)
    before = open_cache(clips, home, form=form)
    frames = {one.key: np.array(before.frames(one.key)) for one in clips}
    pack = next(home.rglob("*.pack"))
    flip(pack, int(share * sum(entry.bytes for entry in clip_packs.load_entries(pack.parent).values())))
    warned = []
    for _ in range(2):
        cache = open_cache(clips, home, form=form)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for key, expected in frames.items():
                np.testing.assert_array_equal(cache.frames(key), expected)
                np.testing.assert_array_equal(cache.frames(key), expected)
        assert cache.pixel_hash(list(frames)) == before.pixel_hash(list(frames))
        warned.append(len(said))
    assert warned == [1, 0]  # it was cached again


def test_a_damaged_clip_without_its_file_is_refused(clip: Make, home: Path) -> None:
    one = clip("a.mp4")
    open_cache([one], home)
    flip(next(home.rglob("*.pack")), 1000)
    one.path.unlink()
    cache = open_cache([one], home)
    with pytest.raises(UserError, match=r"'a.mp4' of 'mine' in .* is damaged, and .* cannot be read"):
        cache.frames("a.mp4")


def other_version(job: clip_build.Job) -> clip_build.Outcome:
    """Stands for another version of the decoder; runs in a child."""
    found = clip_build.decode(job)
    assert found.block is not None
    return replace(found, block=np.frombuffer(found.block, np.uint8) ^ 1)


def test_a_mended_clip_must_have_the_pixels_that_the_index_promises(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = clip("a.mp4")
    open_cache([one], home)
    flip(next(home.rglob("*.pack")), 1000)
    monkeypatch.setattr(clip_build, "decode", other_version)
    with pytest.raises(UserError, match="other pixels"):
        open_cache([one], home).frames("a.mp4")


def test_jpeg_is_small_close_and_decodes_what_is_asked_for(clip: Make, home: Path) -> None:
    one = clip("a.mp4", count=30, height=120, width=160)
    raw = open_cache([one], home, form="raw")
    jpeg = open_cache([one], home, form="jpeg")
    exact, frames = np.array(raw.frames("a.mp4")), jpeg.frames("a.mp4")
    every = np.array(frames)
    assert jpeg.frame_count("a.mp4") == 30
    assert every.shape == exact.shape
    error = np.square(every.astype(float) - exact).mean()
    assert 10 * np.log10(255**2 / error) > 30
    asked = np.array([7, 7, 0, 29, 3])
    np.testing.assert_array_equal(frames[asked], every[asked])
    assert frames[asked].flags.c_contiguous
    assert raw.content_hash(["a.mp4"]) != jpeg.content_hash(["a.mp4"])
    assert raw.pixel_hash(["a.mp4"]) != jpeg.pixel_hash(["a.mp4"])
    sizes = {path.parent.name: path.stat().st_size for path in home.rglob("*.pack")}
    assert sizes[f"jpeg{jpeg_frames.QUALITY}-32"] < 0.7 * sizes["raw-32"]


def test_whole_frames_keep_their_size(clip: Make, home: Path) -> None:
    clips = [clip("a.mp4", height=40, width=64), clip("b.mp4", height=66, width=50)]
    cache = ClipCache.open(clips, "mine", None, home=home, workers=0, progress=False)
    assert [cache.frames(one.key).shape[1:3] for one in clips] == [(40, 64), (66, 50)]


def test_the_same_video_in_two_data_sets_is_decoded_once(
    clip: Make, home: Path, tmp_path: Path, no_decoding: Callable[[], None]
) -> None:
    one = clip("a.mp4")
    frames = np.array(open_cache([one], home).frames("a.mp4"))
    copy = ClipRef("other/name.mp4", tmp_path / "copy.mp4", 3, "")
    shutil.copyfile(one.path, copy.path)
    no_decoding()
    other = ClipCache.open([copy], "theirs", 32, home=home, workers=0, progress=False)
    np.testing.assert_array_equal(other.frames(copy.key), frames)


def test_the_pixel_hash_names_pixels_not_files(clip: Make, home: Path) -> None:
    a, b = clip("a.mp4", seed=1), clip("b.mp4", seed=2)
    cache = open_cache([a, b], home)
    first = cache.pixel_hash(["a.mp4", "b.mp4"])
    assert cache.pixel_hash(["b.mp4", "a.mp4", "a.mp4"]) == first
    assert cache.pixel_hash(["a.mp4"]) != first
    video = b.path.read_bytes()
    b.path.write_bytes(video + b"\0\0\0\x08free")  # another file with the same pictures
    again = open_cache([a, b], home)
    assert again.pixel_hash(["a.mp4", "b.mp4"]) == first
    assert again.content_hash(["a.mp4", "b.mp4"]) != cache.content_hash(["a.mp4", "b.mp4"])
    clip("b.mp4", seed=3)
    assert open_cache([a, b], home).pixel_hash(["a.mp4", "b.mp4"]) != first


def test_large_builds_are_published_in_parts(clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_build, "PACK_BYTES", 12 * 32 * 48 * 3)
    clips = [clip(f"{name}.mp4", seed=place) for place, name in enumerate("abc")]
    cache = open_cache(clips, home)
    assert len(list(home.rglob("*.pack"))) == 3
    for one in clips:
        np.testing.assert_array_equal(cache.frames(one.key), video_io.decode(one.path, 32).frames)


def test_a_name_cannot_leave_the_data_home(clip: Make, home: Path, tmp_path: Path) -> None:
    ClipCache.open([clip("a.mp4")], "../../escape", 32, home, workers=0, progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "videos"}


def test_a_pipe_is_no_clip_and_nobody_waits_for_it(clip: Make, home: Path, tmp_path: Path) -> None:
    good, pipe, folder = clip("a.mp4"), tmp_path / "videos/b.mp4", tmp_path / "videos/c.mp4"
    os.mkfifo(pipe)
    folder.mkdir()
    # Whoever waits for the pipe is let go, reads nothing, and gives another reason.
    writer = threading.Timer(5.0, lambda: os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    writer.start()
    cache = open_cache([good, ClipRef("b.mp4", pipe, 0, ""), ClipRef("c.mp4", folder, 0, "")], home)
    writer.cancel()
    assert cache.errors == dict.fromkeys(["b.mp4", "c.mp4"], "it is not a file")
    assert "a.mp4" in cache
