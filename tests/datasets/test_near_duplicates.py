"""The same footage against other takes of the same scene, on files that PyAV encodes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from datasets import near_duplicates as near
from datasets import video_io
from datasets.audit_files import audit_footage
from datasets.types import ClipRef, ClipTable

Frames = NDArray[np.uint8]
SCENES, TAKES = 4, 3


def take(scene: int, number: int, count: int = 50) -> Frames:
    """A performer (the same in all takes) moves over the background of a scene on a path of its own."""
    height, width = 96, 128
    room = np.random.default_rng(scene).integers(0, 200, (6, 8, 3), dtype=np.uint8)
    back = cv2.resize(room, (width, height), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng([scene, number, 7])
    knots = rng.uniform(0.1, 0.9, (6, 2))
    when = np.linspace(0, 5, count)
    path = np.stack([np.interp(when, np.arange(6), knots[:, axis]) for axis in (0, 1)], 1)
    frames = np.repeat(back[None], count, 0)
    for frame, (x, y) in zip(frames, path, strict=True):
        center = (int(x * width), int(y * height))
        cv2.ellipse(frame, center, (8, 16), float(x * 180), 0, 360, (250, 240, 60), -1)
    return frames


def reencoded(frames: Frames, path: Path) -> None:
    video_io.write_video(path, frames, fps=25, crf=34)


def trimmed(frames: Frames, path: Path) -> None:
    video_io.write_video(path, frames[9:-6], fps=25, crf=28)


def rescaled(frames: Frames, path: Path) -> None:
    small = np.stack([cv2.resize(frame, (92, 70), interpolation=cv2.INTER_AREA) for frame in frames[4:]])
    video_io.write_video(path, small, fps=25, crf=30)


def other_rate(frames: Frames, path: Path) -> None:
    """The same seconds at 30 frames a second."""
    places = np.minimum((np.arange(len(frames) * 30 // 25) * 25 / 30).round().astype(int), len(frames) - 1)
    video_io.write_video(path, frames[places], fps=30, crf=28)


COPIES = (reencoded, trimmed, rescaled, other_rate)


@pytest.fixture(scope="module")
def originals() -> dict[str, near.Signature]:
    return {
        f"{scene}-{number}": near.signature_of(take(scene, number), 25.0)
        for scene in range(SCENES)
        for number in range(TAKES)
    }


def same(first: near.Signature, second: near.Signature) -> bool:
    motion, look = near.compare(first, second)
    return motion >= near.SAME_MOTION and look <= near.SAME_LOOK


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.__name__)
def test_every_copy_is_found_and_no_other_take(
    copy: object, originals: dict[str, near.Signature], tmp_path: Path
) -> None:
    assert callable(copy)
    hits, alarms = 0, 0
    for scene in range(SCENES):
        copy(take(scene, 0), tmp_path / f"{scene}.mp4")
        made = near.signature(tmp_path / f"{scene}.mp4")
        found = {name for name, each in originals.items() if same(made, each)}
        hits += f"{scene}-0" in found
        alarms += len(found - {f"{scene}-0"})
    assert (hits, alarms) == (SCENES, 0)


def test_two_takes_of_one_scene_look_alike_and_are_told_apart(originals: dict[str, near.Signature]) -> None:
    names = sorted(originals)
    pairs = [(a, b) for a in names for b in names if a < b]
    looks = [near.compare(originals[a], originals[b])[1] for a, b in pairs if a[0] == b[0]]
    assert min(looks) <= near.SAME_LOOK, "the hashes alone would raise a false alarm"
    assert [pair for pair in pairs if same(originals[pair[0]], originals[pair[1]])] == []


def test_clips_without_motion_are_not_compared() -> None:
    still = near.signature_of(np.repeat(take(0, 0)[:1], 40, 0), 25.0)
    assert still.still
    assert near.compare(still, still) == (0.0, 64.0)
    assert near.signature_of(take(0, 0)[:5], 25.0).still, "too short"


def test_the_audit_names_both_clips_and_counts_what_it_could_not_compare(tmp_path: Path) -> None:
    def ref(name: str) -> ClipRef:
        return ClipRef(name, tmp_path / name, 0, name)

    video_io.write_video(tmp_path / "a.mp4", take(0, 0), fps=25)
    video_io.write_video(tmp_path / "b.mp4", take(0, 1), fps=25)
    trimmed(take(0, 0), tmp_path / "copy.mp4")
    (tmp_path / "broken.mp4").write_text("this is no video")
    table = ClipTable(
        "x",
        ("a",),
        train=(ref("a.mp4"), ref("b.mp4")),
        test=(ref("copy.mp4"), ref("broken.mp4"), ref("gone.mp4")),
    )
    leak, note = audit_footage(table, workers=1, progress=False)
    assert (leak.severity, leak.count) == ("leak", 1)
    assert leak.examples[0].startswith("copy.mp4 ~ a.mp4")
    assert (note.severity, note.count, set(note.examples)) == ("note", 2, {"broken.mp4", "gone.mp4"})
