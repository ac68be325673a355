"""Which clips are here, and which are closed to us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from closed_folders import close

from datasets.clip_cache import ClipCache
from datasets.clip_files import absent, check_present
from datasets.errors import UserError
from datasets.types import ClipRef
from datasets.video_io import UndecodableError, decode

CLOSED = "the file cannot be read (Permission denied)"


@pytest.fixture
def clips(clip: Callable[..., ClipRef], monkeypatch: pytest.MonkeyPatch) -> list[ClipRef]:
    """One clip in an open folder, two in a closed one."""
    made = [clip("open/a.mp4"), clip("shut/b.mp4", seed=1), clip("shut/c.mp4", seed=2)]
    close(monkeypatch, made[1].path.parent)
    return made


def test_missing_and_closed_clips_are_counted_apart(clips: list[ClipRef]) -> None:
    assert absent(clips[:1]) is None
    assert absent(clips) == "2 of 3 clips cannot be read (Permission denied) (first: shut/b.mp4)"
    gone = replace(clips[0], key="gone.mp4", path=clips[0].path.with_name("gone.mp4"))
    assert absent([*clips, gone]) == (
        "1 of 4 clips are missing (first: gone.mp4); "
        "2 of 4 clips cannot be read (Permission denied) (first: shut/b.mp4)"
    )


def test_a_closed_folder_is_not_taken_for_the_wrong_one(clips: list[ClipRef], tmp_path: Path) -> None:
    check_present("x", tmp_path / "videos", clips, "say where", "say where")
    check_present("x", tmp_path / "videos/shut", clips, "say where", "say where")
    for place in (tmp_path / "nowhere", clips[0].path):
        with pytest.raises(UserError, match="does not exist; say where"):
            check_present("x", place, clips, "say where", "say which")
    gone = [replace(each, path=each.path.parent.with_name("gone")) for each in clips]
    with pytest.raises(UserError, match="3 of 3 clips of data set 'x' are not in"):
        check_present("x", tmp_path / "videos", gone, "say where", "say which")


def test_clips_of_a_closed_folder_are_undecodable_with_their_reason(clips: list[ClipRef], home: Path) -> None:
    with pytest.raises(UndecodableError, match="Permission denied"):
        decode(clips[1].path)
    assert [clip.key for clip in ClipCache.lacking(clips, "x", 32)] == ["open/a.mp4"]
    cache = ClipCache.open(clips, "x", 32, workers=0, progress=False)
    assert cache.errors == {"shut/b.mp4": CLOSED, "shut/c.mp4": CLOSED}
    assert cache.frame_count("open/a.mp4") == 12


def test_what_was_cached_is_used_when_its_folder_is_closed_later(
    clip: Callable[..., ClipRef], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clip("shut/a.mp4")
    ClipCache.open([made], "x", 32, workers=0, progress=False)
    close(monkeypatch, made.path.parent)
    assert ClipCache.open([made], "x", 32, progress=False).errors == {}
    assert ClipCache.open([made], "x", 48, progress=False).errors == {"shut/a.mp4": CLOSED}
