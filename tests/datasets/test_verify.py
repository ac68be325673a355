import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import verify as verify_module
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
