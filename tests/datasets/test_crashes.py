"""A file on which decoders crash: a real abort of the process, in the children that read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import crashing
import pytest

from datasets import audit_files, clip_build
from datasets import verify as verify_module
from datasets.cache_folder import Storage
from datasets.clip_cache import ClipCache
from datasets.decoders import DECODERS
from datasets.manifest import pins
from datasets.types import ClipRef
from datasets.verify import verify
from datasets.video_list import ListEntry, VideoListSet

FATAL = "_".join(DECODERS)


@pytest.fixture
def dataset(tmp_path: Path, clip: Callable[..., ClipRef]) -> VideoListSet:
    """Clips that crash nobody, decord, and everybody."""
    for name in ("calm.mp4", "decord.mp4", f"{FATAL}.mp4", "other.mp4"):
        clip(name, count=6, seed=len(name))
    return _listed(tmp_path, f"calm.mp4 0\ndecord.mp4 1\n{FATAL}.mp4 1\n", "other.mp4 1\n")


def _listed(folder: Path, train: str, test: str) -> VideoListSet:
    lists = {"train": folder / "train.txt", "test": folder / "test.txt"}
    lists["train"].write_text(train)
    lists["test"].write_text(test)
    return VideoListSet(ListEntry(name="mine", root=folder / "videos", **lists))


def test_verify_goes_on_and_no_clip_is_lost_that_somebody_reads(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "examine", crashing.examine)
    report = verify(dataset, workers=2, progress=False)
    rows = json.loads(report.manifest.read_text())["clips"]
    assert {key: (row["decoder"], row["frames"]) for key, row in rows.items()} == {
        "calm.mp4": ("decord", 6),
        "decord.mp4": ("pyav", 6),
        "other.mp4": ("decord", 6),
        f"{FATAL}.mp4": (None, 0),
    }
    assert {finding.key: finding.kind for finding in report.findings} == {
        "decord.mp4": "flawed",
        f"{FATAL}.mp4": "undecodable",
    }
    assert "decord fails on it: its decoder crashed (exit code -6)" in rows["decord.mp4"]["flaw"]
    assert "crashed" in rows[f"{FATAL}.mp4"]["error"]


def test_the_clip_cache_takes_the_pinned_decoder_and_leaves_out_what_nobody_reads(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "examine", crashing.examine)
    verify(dataset, workers=2, progress=False)
    assert pins("mine")["decord.mp4"].decoder == "pyav"
    # In this process and with the usual decoders: only the pins know of the crashes.
    cache = ClipCache.open(dataset.table().clips(), "mine", 32, workers=0, progress=False)
    assert set(cache.errors) == {f"{FATAL}.mp4"}
    assert "decord fails" in cache.flaws["decord.mp4"]


def test_the_clip_cache_survives_crashes_without_a_manifest(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_build, "decode", crashing.decode)
    cache = ClipCache.open(dataset.table().clips(), "mine", 32, workers=2, progress=False)
    assert set(cache.errors) == {f"{FATAL}.mp4"}
    assert cache.frame_count("decord.mp4") == 6


def test_a_clip_that_nobody_could_read_is_cached_once_somebody_can(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_build, "decode", crashing.decode)
    clips = dataset.table().clips()
    assert ClipCache.open(clips, "mine", 32, workers=2, progress=False).errors
    monkeypatch.undo()
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(home))
    assert ClipCache.open(clips, "mine", 32, workers=2, progress=False).errors
    verify(dataset, progress=False)
    assert not ClipCache.open(clips, "mine", 32, progress=False).errors


def test_the_estimate_survives_crashes(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_build, "trial_decode", crashing.trial_decode)
    guess = clip_build.estimate([clip.path for clip in dataset.table().clips()], Storage(32))
    assert guess.tried == 4
    assert guess.bytes > 0


def test_the_audit_compares_what_others_read_where_a_decoder_crashes(
    home: Path, dataset: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_files, "signature_or_none", crashing.signature_or_none)
    (found,) = audit_files.audit_footage(dataset.table(), progress=False)
    assert "1 cannot be read" in found.sentence


@pytest.fixture
def killed(tmp_path: Path, clip: Callable[..., ClipRef]) -> VideoListSet:
    """Clips whose process is killed never, once and the first two times."""
    for name in ("kill0-a.mp4", "kill1-b.mp4", "kill2-c.mp4"):
        clip(name, count=6, seed=ord(name[6]))
    return _listed(tmp_path, "kill0-a.mp4 0\nkill1-b.mp4 1\n", "kill2-c.mp4 1\n")


def test_verify_keeps_nothing_of_a_process_that_others_killed(
    home: Path, killed: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "examine", crashing.examine_killed)
    (found,) = verify(killed, progress=False).findings
    assert found.key == "kill2-c.mp4"
    assert "killed from outside (exit code -9), twice; this is not kept" in found.reason
    assert set(pins("mine")) == {"kill0-a.mp4", "kill1-b.mp4"}
    assert pins("mine")["kill1-b.mp4"].decoder == "decord", "one kill chooses no other decoder"
    again = verify(killed, progress=False)
    assert (again.decoded, again.findings) == (1, ())


def test_the_clip_cache_keeps_nothing_of_a_process_that_others_killed(
    home: Path, killed: VideoListSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_build, "decode", crashing.decode_killed)
    clips = killed.table().clips()
    cache = ClipCache.open(clips, "mine", 32, progress=False)
    assert list(cache.errors) == ["kill2-c.mp4"]
    assert "tries it again" in cache.errors["kill2-c.mp4"] and not cache.flaws
    assert not ClipCache.open(clips, "mine", 32, progress=False).errors
