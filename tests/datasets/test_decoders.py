"""What docs/decoding.md claims of each decoder, and that every odd video is read in full by somebody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from decoding_claims import CLAIMS, PAGE, claims
from odd_videos import CASES
from system_programs import need_decoder
from video_files import Frames

from datasets.decoders import DECODERS
from datasets.video_io import decode, read_with

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
