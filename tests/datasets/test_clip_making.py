"""Clips cut out of full videos, or joined from frames."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from video_files import moving_frames

from datasets import video_io
from datasets.clip_making import Cut, Join, made_folder, make, make_clips
from datasets.clip_recipes import RECIPES, Recipe, Recipes
from datasets.errors import UserError


def brightness(path: Path) -> list[int]:
    return [round(float(frame.mean())) for frame in video_io.decode(path).frames]


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """Fifty frames at 25 fps, frame i with the gray level 5 i."""
    frames = np.repeat(np.arange(50, dtype=np.uint8) * 5, 64 * 48 * 3).reshape(50, 48, 64, 3)
    video_io.write_video(tmp_path / "full.mp4", frames, fps=25, crf=0)
    return tmp_path / "full.mp4"


def test_a_cut_has_the_frames_of_its_span(steps: Path, tmp_path: Path) -> None:
    # Frame i is shown at i / 25 s: those of [0.39, 0.61] are 10 to 15.
    assert make(Cut(steps, tmp_path / "out/cut.mp4", 0.39, 0.61)) == ""
    assert brightness(tmp_path / "out/cut.mp4") == pytest.approx([50, 55, 60, 65, 70, 75], abs=2)


def test_a_span_behind_the_end_makes_no_file(steps: Path, tmp_path: Path) -> None:
    assert "no frame" in make(Cut(steps, tmp_path / "cut.mp4", 7.0, 8.0))
    assert not (tmp_path / "cut.mp4").exists()
    assert list(tmp_path.glob(".cut*")) == []


def test_frames_are_joined_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    import cv2

    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(95, 105):  # 00095.jpg ... 00104.jpg
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), np.full((48, 64, 3), (number - 90) * 10, np.uint8))
    assert make(Join(folder, tmp_path / "all.mp4")) == ""
    assert brightness(tmp_path / "all.mp4") == pytest.approx([50 + 10 * i for i in range(10)], abs=5)
    assert make(Join(folder, tmp_path / "part.mp4", first=99, count=3)) == ""
    assert brightness(tmp_path / "part.mp4") == pytest.approx([90, 100, 110], abs=5)
    assert make(Join(folder, tmp_path / "behind.mp4", count=2, skipped=3)) == ""
    assert brightness(tmp_path / "behind.mp4") == pytest.approx([80, 90], abs=5)


def test_large_pictures_are_scaled_down_and_odd_sizes_made_even(tmp_path: Path) -> None:
    video_io.write_video(tmp_path / "large.mp4", moving_frames(count=3, height=401, width=603))
    assert make(Cut(tmp_path / "large.mp4", tmp_path / "small.mp4", 0.0, 1.0)) == ""
    assert video_io.decode(tmp_path / "small.mp4").frames.shape[1:3] == (320, 482)


def test_one_bad_video_costs_its_own_clips_and_all_bad_ones_are_an_error(
    home: Path, steps: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is no video")
    good = Cut(steps, tmp_path / "a.mp4", 0.0, 0.5)
    assert "b.mp4" in make_clips(
        [good, Cut(bad, tmp_path / "b.mp4", 0.0, 1.0)], "x", workers=1, progress=False
    )
    assert (tmp_path / "a.mp4").is_file() and not (tmp_path / "b.mp4").exists()
    with pytest.raises(UserError, match=r"none of the 1 missing clips of data set 'x' .*'b\.mp4'"):
        make_clips([Cut(bad, tmp_path / "b.mp4", 0.0, 1.0)], "x", workers=1, progress=False)


def remade(job: Cut | Join) -> bool:
    """Whether the clip of a job is made (again)."""
    before = job.target.stat().st_mtime_ns if job.target.is_file() else None
    assert make_clips([job], "x", workers=1, progress=False) == {}
    return not job.target.is_file() or job.target.stat().st_mtime_ns != before


def test_a_cut_whose_span_or_video_changed_is_made_again(home: Path, steps: Path) -> None:
    target = made_folder("x") / "sub/a.mp4"
    job = Cut(steps, target, 0.39, 0.61)
    assert remade(job) and not remade(job)
    later = replace(job, start=0.59, end=0.81)
    assert remade(later) and not remade(later)
    assert brightness(target)[0] == pytest.approx(75, abs=2)
    os.utime(steps, (1, 1))
    assert remade(later) and not remade(later)
    (target.parent.parent / RECIPES).unlink()  # of an earlier version, or torn
    assert remade(later) and not remade(later)


def test_a_made_clip_outlives_its_video_but_not_another_span(home: Path, steps: Path) -> None:
    job = Cut(steps, made_folder("x") / "a.mp4", 0.0, 0.5)
    assert remade(job)
    steps.unlink()
    assert not remade(job)
    make_clips([replace(job, end=0.7)], "x", workers=1, progress=False)
    assert not job.target.exists(), "it would show what is not meant"


def test_a_join_whose_offset_count_or_pictures_changed_is_made_again(home: Path, tmp_path: Path) -> None:
    import cv2

    for number in range(6):
        picture = np.full((48, 64, 3), 40 * number, np.uint8)
        (tmp_path / "frames").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "frames" / f"{number:05d}.jpg"), picture)
    job = Join(tmp_path / "frames", made_folder("x") / "a.mp4", first=1, count=3)
    assert remade(job) and not remade(job)
    assert remade(replace(job, first=2)) and remade(replace(job, count=2)) and remade(replace(job, skipped=1))
    assert remade(job) and not remade(job)
    cv2.imwrite(str(tmp_path / "frames/00002.jpg"), np.full((48, 64, 3), 250, np.uint8))
    assert remade(job)
    assert brightness(job.target)[1] == pytest.approx(250, abs=5)


class _OnAFullDisk(Join):
    """A join that finds no room; at the top of a module, for child processes import it."""

    def pictures(self) -> list[Path]:
        if self.target.name == "b.mp4" and self.skipped:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().pictures()

    def recipe(self) -> Recipe:
        return Recipe("here", "all")


def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(home: Path, tmp_path: Path) -> None:
    import cv2

    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames/1.jpg"), np.full((48, 64, 3), 90, np.uint8))

    def jobs(skipped: int) -> list[Join]:
        return [
            _OnAFullDisk(
                tmp_path / "frames", made_folder("x") / f"{name}.mp4", skipped=skipped * (name == "b")
            )
            for name in "abcd"
        ]

    with pytest.raises(UserError, match=r"disk is full: .*made/x; free some space.* same command again"):
        make_clips(jobs(1), "x", workers=1, progress=False)
    assert (made_folder("x") / "a.mp4").is_file() and not (made_folder("x") / "b.mp4").exists()
    assert make_clips(jobs(0), "x", workers=1, progress=False) == {}
    assert len(list(made_folder("x").glob("*.mp4"))) == 4


def test_a_disk_that_fills_up_while_a_clip_is_noted(
    home: Path, steps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(self: Recipes, target: Path, recipe: Recipe) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Recipes, "note", note)
    with pytest.raises(UserError, match="disk is full"):
        make_clips([Cut(steps, made_folder("x") / "a.mp4", 0.0, 0.2)], "x", workers=1, progress=False)
