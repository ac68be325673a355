"""Programs that tests need and pip cannot install: loudly skipped where they are missing, a failure in CI.

A test that silently does not run is worse than none: the summary names every missing program and its cure.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from datasets.decoders import DECODERS

PACKAGES = {"chromium": "chromium", "ffmpeg": "ffmpeg", "ffprobe": "ffmpeg"}
"""Program -> the Debian package that has it; `.ci/run` installs these."""

OTHER_NAMES = {"chromium": ("chromium-browser", "google-chrome", "google-chrome-stable")}

lacking: dict[str, int] = {}
"""What decoders lack -> how many tests went without them in this session."""

missing: dict[str, int] = {}
"""Program -> how many tests went without it in this session."""


def need(program: str) -> Path:
    """The path of a program; without it the test is skipped, or fails where `CI` is set."""
    for name in (program, *OTHER_NAMES.get(program, ())):
        found = shutil.which(name)
        if found:
            return Path(found)
    missing[program] = missing.get(program, 0) + 1
    said = f"needs the program '{program}'; install it with: apt-get install {PACKAGES.get(program, program)}"
    if in_ci():
        pytest.fail(said, pytrace=False)
    pytest.skip(said)


def need_decoder(name: str) -> None:
    """A video decoder; without it the test is skipped, or fails where `CI` is set."""
    lack = DECODERS[name].missing()
    if lack is None:
        return
    lacking[lack] = lacking.get(lack, 0) + 1
    if in_ci():
        pytest.fail(lack, pytrace=False)
    pytest.skip(lack)


def in_ci() -> bool:
    """Whether this is a run that must not leave anything out."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def summary() -> list[str]:
    """One line per missing program, for the end of a session."""
    return [
        f"{count} test{'s' if count > 1 else ''} did not run: '{program}' is not installed "
        f"(apt-get install {PACKAGES.get(program, program)})"
        for program, count in sorted(missing.items())
    ] + [f"{count} test{'s' if count > 1 else ''} did not run: {lack}" for lack, count in lacking.items()]
