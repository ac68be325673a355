"""For all tests: programs outside of Python, see `system_programs.py`, and a server that speaks S3."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

import s3_server
import system_programs

# A busy machine is no failure: examples have no time limit.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def system_program() -> Callable[[str], Path]:
    """`system_program("chromium")` is its path; without it the test is skipped, or fails in CI."""
    return system_programs.need


@pytest.fixture(scope="session")
def s3_of_all() -> Iterator[s3_server.S3]:
    """One server for all tests."""
    yield from s3_server.serve()


@pytest.fixture
def s3(s3_of_all: s3_server.S3, monkeypatch: pytest.MonkeyPatch) -> s3_server.S3:
    """An object store, with credentials for it in the environment."""
    for name, value in s3_of_all.credentials.items():
        monkeypatch.setenv(name, value)
    return s3_of_all


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in system_programs.summary():
        terminalreporter.write_line(f"WARNING: {line}", yellow=True, bold=True)
