"""Trials of one split that saw different frames are named where they stand together."""

from __future__ import annotations

from dataclasses import replace

from test_failures import PLANNED

from bench.mixing import mixtures
from bench.records import Record


def test_other_frames_of_one_split_are_said() -> None:
    one = Record(PLANNED, "done", done={"code_hash": "c", "data_hash": "a"})
    assert mixtures([one, one]) == []
    assert mixtures([one, replace(one, done={"code_hash": "c"})]) == []
    (said,) = mixtures([one, replace(one, done={"code_hash": "c", "data_hash": "b"})])
    assert "synthgym_tiny saw different frames" in said
