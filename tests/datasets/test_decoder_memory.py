"""Decoders give back what they take; the figures of 5,000 opens are in docs/decoding.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from system_programs import need_decoder

from datasets.decoders import DECODERS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "decoder_memory.py"
OPENS = 1000
FRAMES_MIB = 8 * 64 * 96 * 3 / (1 << 20)
"""Of one clip: if its frames stayed, 600 further clips would take more than 80 MiB."""


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
def test_memory_files_and_threads_do_not_grow_with_the_clips_that_were_read(decoder: str) -> None:
    need_decoder(decoder)
    command = [sys.executable, str(SCRIPT), "--decoder", decoder, "--opens", str(OPENS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1200)
    early, late, counts = json.loads(done.stdout)
    assert sum(counts.values()) == OPENS and counts["nobody"] == OPENS // 3
    assert counts[decoder] >= OPENS // 3
    assert late[0] - early[0] < OPENS * 0.6 * FRAMES_MIB / 4
    assert late[1:] == early[1:]
