import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from closed_folders import close
from odd_videos import CASES
from video_files import moving_frames

from datasets import verify as verify_module
from datasets import video_io
from datasets.types import ClipRef
from datasets.verify import verify
from datasets.video_list import ListEntry, VideoListSet


@pytest.fixture
def dataset(tmp_path: Path, clip: Callable[..., ClipRef]) -> VideoListSet:
    clip("a.mp4")
    clip("b.mp4", count=5, height=80)
    clip("c.mp4")
    (tmp_path / "train.txt").write_text("a.mp4 0\nb.mp4 1\nbad.mp4 1\n")
    (tmp_path / "test.txt").write_text("c.mp4 1\ngone.mp4 0\n")
    (tmp_path / "videos" / "bad.mp4").write_text("no video")
    lists = {"train": tmp_path / "train.txt", "test": tmp_path / "test.txt"}
    return VideoListSet(ListEntry(name="mine", root=tmp_path / "videos", **lists))


def test_every_clip_is_described_and_every_bad_one_listed(home: Path, dataset: VideoListSet) -> None:
    report = verify(dataset, workers=2, progress=False)
    assert (report.clips, report.decoded) == (5, 4)
    assert [(finding.key, finding.kind) for finding in report.findings] == [
        ("bad.mp4", "undecodable"),
        ("gone.mp4", "missing"),
    ]
    rows = json.loads(report.manifest.read_text())["clips"]
    assert set(rows) == {"a.mp4", "b.mp4", "c.mp4", "bad.mp4", "gone.mp4"}
    assert rows["gone.mp4"]["error"] == "the file does not exist"
    row = rows["b.mp4"]
    assert [row[field] for field in ("frames", "width", "height", "fps", "codec", "decoder")] == [
        5, 96, 80, 25.0, "h264", "decord",
    ]  # fmt: skip
    assert row["error"] is None
    assert len(row["sha256"]) == 64
    assert rows["bad.mp4"]["error"]


def test_only_what_changed_is_decoded_again(
    home: Path, dataset: VideoListSet, clip: Callable[..., ClipRef]
) -> None:
    verify(dataset, progress=False)
    assert verify(dataset, progress=False).decoded == 0
    clip("bad.mp4", count=7)
    report = verify(dataset, progress=False)
    assert report.decoded == 1
    assert [finding.key for finding in report.findings] == ["gone.mp4"]


def test_an_interrupted_call_is_resumed(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verify_module.decoded_in_rounds

    def interrupted(*job: object) -> object:
        yield next(real(*job))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(verify_module, "decoded_in_rounds", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(dataset, progress=False)
    monkeypatch.undo()
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(home))
    assert verify(dataset, progress=False).decoded == 3


def test_a_flawed_clip_is_listed_as_one(home: Path, dataset: VideoListSet, tmp_path: Path) -> None:
    report = verify(dataset, progress=False)
    stored = json.loads(report.manifest.read_text())
    stored["clips"]["a.mp4"]["flaw"] = "the header promises 20 frames, the file holds 12"
    report.manifest.write_text(json.dumps(stored))
    kinds = {finding.key: finding.kind for finding in verify(dataset, progress=False).findings}
    assert kinds["a.mp4"] == "flawed"


def test_a_damaged_manifest_is_made_again(home: Path, dataset: VideoListSet) -> None:
    manifest = verify(dataset, progress=False).manifest
    manifest.write_text("{")
    assert verify(dataset, progress=False).decoded == 4


def flip(path: Path, bits: int, seed: int) -> None:
    """Flips bits of the media data of an MP4, as a bad disk does."""
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    size = int.from_bytes(content[start - 8 : start - 4]) - 8
    for place in np.random.default_rng(seed).integers(0, size * 8, bits):
        content[start + place // 8] ^= 1 << (place % 8)
    path.write_bytes(content)


def reasons(dataset: VideoListSet) -> dict[str, tuple[str, str]]:
    return {each.key: (each.kind, each.reason) for each in verify(dataset, progress=False).findings}


def test_damage_that_decoders_paint_over_is_found(home: Path, dataset: VideoListSet, tmp_path: Path) -> None:
    path = tmp_path / "videos/a.mp4"
    video_io.write_video(path, moving_frames(63))
    assert "a.mp4" not in reasons(dataset)
    flip(path, 20, seed=2)
    given = video_io.decode(path, 32)
    assert (len(given.frames), given.flaw) == (63, None), "nobody would notice"
    damage = video_io.damage(path)
    assert damage.corrupt > 0
    said = f"{damage.corrupt} of its 63 frames are damaged"
    assert reasons(dataset)["a.mp4"] == ("flawed", said)
    assert reasons(dataset)["a.mp4"] == ("flawed", said), "from the manifest, too"


def test_frames_that_are_gone_are_not_counted_as_damaged_again(
    home: Path, dataset: VideoListSet, tmp_path: Path
) -> None:
    path = tmp_path / "videos/a.mp4"
    video_io.write_video(path, moving_frames(63))
    flip(path, 20, seed=0)
    damage = video_io.damage(path)
    assert damage.failed and damage.corrupt and damage.frames + damage.failed == 63
    assert reasons(dataset)["a.mp4"][1] == (
        f"{damage.frames} of its 63 frames can be decoded; {damage.corrupt} of its 63 frames are damaged"
    )


@pytest.mark.parametrize("name", CASES)
def test_no_whole_video_counts_as_damaged(name: str, tmp_path: Path) -> None:
    damage = video_io.damage(CASES[name](tmp_path)[0])
    assert (damage.corrupt, damage.failed) == (0, 0)


def test_a_manifest_from_before_damage_was_looked_for_is_made_again(
    home: Path, dataset: VideoListSet
) -> None:
    report = verify(dataset, progress=False)
    stored = json.loads(report.manifest.read_text())
    del stored["clips"]["a.mp4"]["damaged"]
    report.manifest.write_text(json.dumps(stored))
    assert verify(dataset, progress=False).decoded == 1


def test_a_video_of_one_frame_is_listed_and_used(
    home: Path, dataset: VideoListSet, clip: Callable[..., ClipRef]
) -> None:
    clip("a.mp4", count=1)
    kind, reason = reasons(dataset)["a.mp4"]
    assert kind == "flawed"
    assert reason.startswith("it has a single frame; used as a still picture") and "fetch it again" in reason
    assert len(video_io.decode(dataset.entry.root / "a.mp4").frames) == 1


def test_a_closed_folder_is_the_reason_of_its_clips(
    home: Path, dataset: VideoListSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(dataset, progress=False)
    close(monkeypatch, tmp_path / "videos/b.mp4")
    found = reasons(dataset)
    assert found["b.mp4"] == ("undecodable", "the file cannot be read (Permission denied)")
    assert found["gone.mp4"] == ("missing", "the file does not exist")
    monkeypatch.undo()
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(home))
    assert "b.mp4" not in reasons(dataset), "it is looked at again"


def test_a_full_disk_costs_no_finding(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(verify_module, "save_rows", full)
    monkeypatch.setattr(verify_module, "_SAVE_SECONDS", 0.0)
    report = verify(dataset, progress=False)
    assert [finding.key for finding in report.findings] == ["bad.mp4", "gone.mp4"]
    assert report.unsaved is not None
    assert "(No space left on device); see that its disk has space" in report.unsaved
    assert "SEFAR_BENCH_HOME" in report.unsaved and "the same command again" in report.unsaved
