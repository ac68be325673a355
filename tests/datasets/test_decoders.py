"""What docs/decoding.md claims of each decoder, and that every odd video is read in full by somebody."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest
from decoding_claims import CLAIMS, PAGE, claims
from odd_videos import CASES
from system_programs import need_decoder
from video_files import Frames

from datasets.decoders import DECODERS
from datasets.video_io import UndecodableError, decode, read_with

FRAME_ERROR = 7.0
"""Mean error of a frame against what was encoded; neighbors of `moving_frames` differ by more."""

ROUNDING = 3.0
"""Mean difference between two decoders of one frame: conversions from YUV round and interpolate."""


def worst(frames: Frames, others: Frames) -> float:
    return float(np.abs(frames.astype(int) - others.astype(int)).mean((1, 2, 3)).max())


def test_the_page_speaks_of_every_case_and_decoder() -> None:
    told = claims(PAGE.read_text(encoding="utf-8"))
    assert set(told) == {(case, decoder) for case in CASES for decoder in DECODERS}
    assert any(told.values()) and not all(told.values())


@pytest.mark.parametrize(("case", "decoder"), CLAIMS)
def test_a_claimed_pair_gives_the_frames(tmp_path: Path, case: str, decoder: str) -> None:
    need_decoder(decoder)
    path, expected = CASES[case](tmp_path)
    found = read_with(path, decoder)
    assert found.shape == expected.shape
    assert worst(found, expected) < FRAME_ERROR
    assert worst(found, read_with(path, "pyav")) < ROUNDING


@pytest.mark.parametrize("case", CASES)
def test_every_odd_video_is_read_in_full(tmp_path: Path, case: str) -> None:
    path, expected = CASES[case](tmp_path)
    found = decode(path)
    assert found.frames.shape == expected.shape
    assert worst(found.frames, expected) < FRAME_ERROR
    assert (case, found.decoder) in CLAIMS


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the garbage collector: what is left in a cycle of references stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_below(folder: Path) -> list[str]:
    return [each.path for each in psutil.Process().open_files() if Path(each.path).is_relative_to(folder)]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "case", ["H.264 in MP4", "MPEG-TS", "header promises too many frames", "cut", "left"]
)
def test_no_decoder_outlives_its_clip(tmp_path: Path, no_collector: None, decoder: str, case: str) -> None:
    need_decoder(decoder)
    path, _ = CASES["H.264 in MP4" if case in {"cut", "left"} else case](tmp_path)
    if case == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if case == "left":  # a reader that stops in the middle
        assert len(list(islice(DECODERS[decoder].batches(path, 1), 3))) == 3
    else:
        with contextlib.suppress(UndecodableError):
            read_with(path, decoder)
    assert open_below(tmp_path) == []
