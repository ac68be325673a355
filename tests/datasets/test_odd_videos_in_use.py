"""Odd videos from lists to batches: what somebody reads in full is used in full."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from odd_videos import CASES

from datasets.clip_cache import ClipCache
from datasets.manifest import pins
from datasets.policy import AugmentPolicy
from datasets.sampling import Segments
from datasets.verify import verify
from datasets.video_io import UndecodableError, read_with
from datasets.video_list import ListEntry, VideoListSet
from datasets.views import ViewSettings, evaluation_clips

SIDE = 32
SETTINGS = ViewSettings(policies={"test": AugmentPolicy()}, size=SIDE, normalize="kinetics", mirror=False)


def used(root: Path, names: list[str], folder: Path) -> dict[str, int]:
    """Frames of every clip that is used, after verify, cache and loader; each of these must agree."""
    half = len(names) // 2
    for role, part in (("train", names[:half]), ("test", names[half:])):
        rows = [f"{name}\t{place % 2}\n" for place, name in enumerate(part)]
        (folder / f"{role}.txt").write_text("".join(rows))
    lists = {"train": folder / "train.txt", "test": folder / "test.txt"}
    dataset = VideoListSet(ListEntry(name="odd", root=root, **lists))
    verify(dataset, workers=2, progress=False)
    pinned = {key: pin.frames for key, pin in pins("odd").items() if pin.error is None}
    cache = ClipCache.open(dataset.table().clips(), "odd", SIDE, progress=False)
    keys = [name for name in names if name in cache]
    assert {key: cache.frame_count(key) for key in keys} == pinned
    shown = evaluation_clips(cache, keys, Segments(4), SETTINGS, 1, torch.device("cpu"))
    for key, (clip,) in zip(keys, shown, strict=True):
        assert clip.shape == (1, 3, 4, SIDE, SIDE), key
        assert float(clip.std()) > 0, key
    return pinned


@pytest.mark.slow
def test_videos_of_every_odd_shape(home: Path, tmp_path: Path) -> None:
    expected = {}
    (tmp_path / "videos").mkdir()
    for place, make in enumerate(CASES.values()):
        folder = tmp_path / "made" / str(place)
        folder.mkdir(parents=True)
        path, frames = make(folder)
        path.rename(tmp_path / "videos" / f"{place}-{path.name}")
        expected[f"{place}-{path.name}"] = len(frames)
    assert used(tmp_path / "videos", list(expected), tmp_path) == expected


@pytest.mark.slow
def test_odd_files_of_the_world(home: Path, tmp_path: Path, extra_clips: Path) -> None:
    """Every file that PyAV reads is used, with as many frames as PyAV reads."""
    expected = {}
    for path in sorted((extra_clips / "odd").iterdir()):
        with contextlib.suppress(UndecodableError):
            expected[path.name] = len(read_with(path, "pyav", SIDE))
    names = [path.name for path in sorted((extra_clips / "odd").iterdir())]
    found = used(extra_clips / "odd", names, tmp_path)
    assert found == expected
    assert len(found) >= 18
