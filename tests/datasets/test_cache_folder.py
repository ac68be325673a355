import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datasets import cache_folder, clip_build, clip_packs, video_io
from datasets.clip_cache import ClipCache
from datasets.errors import UserError
from datasets.types import ClipRef

Make = Callable[..., ClipRef]
CLIP_BYTES = 12 * 32 * 48 * 3


def open_cache(clips: list[ClipRef], name: str, home: Path) -> ClipCache:
    return ClipCache.open(clips, name, 32, home=home, workers=0, progress=False)


def limit(monkeypatch: pytest.MonkeyPatch, clips: float) -> int:
    """A cache for so many clips, index included."""
    size = int(clips * (CLIP_BYTES + 1000))
    monkeypatch.setenv(cache_folder.LIMIT, repr(size / 2**30))
    return size


def stored(home: Path) -> int:
    return sum(path.stat().st_size for path in cache_folder.pack_files(home / "cache"))


def test_the_longest_unused_clips_make_room(clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {name: [clip(f"{name}.mp4", seed=place)] for place, name in enumerate("abcd")}
    most = limit(monkeypatch, 3.2)
    for place, name in enumerate("abc"):
        open_cache(sets[name], name, home)
        newest = max(home.rglob("*.pack"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (place, place))
    open_cache(sets["a"], "a", home)  # a is used again: now b is the oldest
    open_cache(sets["d"], "d", home)
    there = [name for name in "abcd" if ClipCache.complete(sets[name], name, 32, home)]
    assert there == ["a", "c", "d"]
    assert stored(home) <= most


def test_who_reads_keeps_reading_what_is_removed(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 1.5)
    a, b = clip("a.mp4", seed=1), clip("b.mp4", seed=2)
    reader = open_cache([a], "first", home)
    open_cache([b], "second", home)
    assert not ClipCache.complete([a], "first", 32, home)
    np.testing.assert_array_equal(reader.frames("a.mp4"), video_io.decode(a.path, 32).frames)
    assert open_cache([a], "first", home).frame_count("a.mp4") == 12  # decoded again


def test_a_data_set_that_does_not_fit_is_refused_and_keeps_what_fitted(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = limit(monkeypatch, 2.5)
    clips = [clip(f"{name}.mp4", seed=place) for place, name in enumerate("abcd")]
    with pytest.raises(UserError, match=r"'mine' do not fit into the .* GiB .*--cache-gib"):
        open_cache(clips, "mine", home)
    assert stored(home) <= most
    assert ClipCache.complete(clips[:2], "mine", 32, home)


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf"])
def test_a_limit_is_a_number(clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(cache_folder.LIMIT, text)
    with pytest.raises(UserError, match=r"SEFAR_BENCH_CACHE_GIB is '.*'; it must be a positive number"):
        open_cache([clip("a.mp4")], "mine", home)


def test_the_cache_may_lie_elsewhere(
    clip: Make, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache_folder.HOME, str(tmp_path / "disk of this node"))
    ClipCache.open([clip("a.mp4")], "mine", 32, workers=0, progress=False)
    assert list((tmp_path / "disk of this node").rglob("*.pack"))
    assert not list(home.rglob("*.pack"))


class FullDisk:
    """A file of which only so many bytes fit."""

    def __init__(self, file: object, room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: memoryview) -> int:
        left = self._room - self._file.tell()
        if left <= 0:
            raise OSError(28, "No space left on device")
        return self._file.write(data[:left])

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_on_a_full_disk_the_last_clip_makes_room_for_the_index(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [clip(f"{name}.mp4", seed=place) for place, name in enumerate("abcd")]
    make = clip_packs.PackWriter.__init__

    def small(writer: clip_packs.PackWriter, *given: object) -> None:
        make(writer, *given)
        writer._file = FullDisk(writer._file, 3 * CLIP_BYTES + 10)

    monkeypatch.setattr(clip_packs.PackWriter, "__init__", small)
    with pytest.raises(UserError, match=r"disk of .* is full; .*what is cached stays usable"):
        open_cache(clips, "mine", home)
    monkeypatch.undo()
    assert ClipCache.complete(clips[:2], "mine", 32, home)
    assert not ClipCache.complete(clips[:3], "mine", 32, home)
    assert open_cache(clips, "mine", home).frame_count("d.mp4") == 12


def test_processes_that_build_and_evict_at_once_all_get_their_frames(
    clip: Make, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 5)
    clips = [clip(f"{place}.mp4", seed=place) for place in range(6)]
    code = (
        "import sys, numpy as np; from pathlib import Path; from datasets import video_io\n"
        "from datasets.clip_cache import ClipCache; from datasets.types import ClipRef\n"
        "paths = [Path(p) for p in sys.argv[2:]]\n"
        "clips = [ClipRef(p.name, p, 0, '') for p in paths]\n"
        "for turn in range(2):\n"
        "    for part in (clips[:2], clips[2:4], clips[4:]):\n"
        "        cache = ClipCache.open(part, sys.argv[1] + part[0].key, 32, workers=0, progress=False)\n"
        "        for clip in part:\n"
        "            expected = video_io.decode(clip.path, 32).frames\n"
        "            assert np.array_equal(cache.frames(clip.key), expected)\n"
    )
    paths = [str(one.path) for one in clips]
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, name, *paths]) for name in ("one", "two")
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert not list(home.rglob("*.part"))


def test_an_estimate_is_near_what_is_then_written(clip: Make, home: Path) -> None:
    clips = [clip(f"{place}.mp4", seed=place, count=10 + place) for place in range(9)]
    storage = cache_folder.Storage(32)
    guess = clip_build.estimate([one.path for one in clips], storage, sample=3)
    open_cache(clips, "mine", home)
    assert guess.tried == 3
    assert guess.bytes == pytest.approx(stored(home), rel=0.2)
    assert guess.seconds > 0


def test_two_names_never_share_a_file() -> None:
    names = ["a/b", "a_b", "../a", "A B", ".hidden", "a"]
    words = [cache_folder.safe(name) for name in names]
    assert len(set(words)) == len(names)
    assert not [word for word in words if "/" in word or word.startswith(".")]
