"""For all tests: programs outside of Python, see `system_programs.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

import system_programs

# A busy machine is no failure: examples have no time limit.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def system_program() -> Callable[[str], Path]:
    """`system_program("chromium")` is its path; without it the test is skipped, or fails in CI."""
    return system_programs.need


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in system_programs.summary():
        terminalreporter.write_line(f"WARNING: {line}", yellow=True, bold=True)
