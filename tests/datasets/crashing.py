"""Decoders that end their process, as a bug in a C library does: for child processes, which import this."""

from __future__ import annotations

import os
import re
import signal
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


def killed(path: Path) -> None:
    """Ends this process as others would, the first N times that it reads a file that is called `killN-`."""
    found = re.match(r"kill(\d)-", path.name)
    for number in range(int(found[1]) if found else 0):
        mark = path.with_name(f"{path.name}.{number}")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def examine_killed(job: Reading) -> dict[str, Any]:
    """`verify.examine`, killed by others."""
    killed(job.path)
    return verify.examine(job)


def decode_killed(job: clip_build.Job) -> clip_build.Outcome:
    """`clip_build.decode`, killed by others."""
    killed(job.path)
    return REAL_DECODE(job)


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
