"""Fixtures of the data path: a clip on the disk, an empty data home, a folder of odd files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from video_files import moving_frames

from datasets import video_io
from datasets.types import ClipRef


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., ClipRef]:
    """Writes a small H.264 clip below `tmp_path` and returns its reference."""

    def make(key: str, label: int = 0, group: str = "", **look: int) -> ClipRef:
        path = tmp_path / "videos" / key
        video_io.write_video(path, moving_frames(**look))
        return ClipRef(key, path, label, group or key)

    return make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data home that `SEFAR_BENCH_HOME` names."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(folder))
    return folder


@pytest.fixture
def extra_clips() -> Path:
    """A folder of real and odd files, `../shared/clips` or another one; tests of it are a bonus."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "clips"
    folder = Path(os.environ.get("SEFAR_BENCH_EXTRA_CLIPS") or beside)
    if not (folder / "odd").is_dir():
        pytest.skip(f"there are no odd video files in {folder}; SEFAR_BENCH_EXTRA_CLIPS names another folder")
    return folder
