"""Decoders that end their process, as a bug in a C library does: for child processes, which import this."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from datasets import clip_build, decoders, near_duplicates, verify, video_io
from datasets.decoders.interface import Decoder, Frames
from datasets.decoding_rounds import Reading

USUAL = decoders.DECODERS


def crashing(name: str) -> Decoder:
    """The decoder, which aborts on files that are named after it."""

    def batches(path: Path, most: int) -> Generator[Frames]:
        if name in path.stem.split("_"):
            os.abort()
        yield from USUAL[name].batches(path, most)

    return Decoder(name, batches, USUAL[name].missing)


def examine(job: Reading) -> dict[str, Any]:
    """`verify.examine` among such decoders."""
    video_io.DECODERS = {name: crashing(name) for name in USUAL}
    return verify.examine(job)


def decode(job: clip_build.Job) -> clip_build.Outcome:
    """`clip_build.decode` among such decoders."""
    video_io.DECODERS = {name: crashing(name) for name in USUAL}
    return REAL_DECODE(job)


REAL_DECODE = clip_build.decode


def trial_decode(job: clip_build.Job) -> tuple[int, float]:
    """`clip_build.trial_decode` among such decoders."""
    video_io.DECODERS = {name: crashing(name) for name in USUAL}
    return clip_build.trial_decode(job)


def signature_or_none(job: Reading) -> near_duplicates.Signature | None:
    """`near_duplicates.signature_or_none` among such decoders."""
    video_io.DECODERS = {name: crashing(name) for name in USUAL}
    return near_duplicates.signature_or_none(job)
