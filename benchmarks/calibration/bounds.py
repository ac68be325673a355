"""What the protocol allows (section 12) and what is asked for: where the simulated boards break it."""

from __future__ import annotations

from collections.abc import Mapping

from calibration.boards import Setting
from calibration.outcomes import Outcome
from calibration.settings import BOUNDED

MARKS_A, MARKS_B, MARKS_PAIR = 0.07, 0.08, 0.07
"""Largest shares of boards with a false mark that the protocol allows (section 12)."""
LEAST_PAIR, LEAST_A = 0.70, 0.90
"""Of 5 points by two methods and of 10 points by family A, at `BOUNDED`, the sd as scores show it."""


def too_many(found: dict[Setting, Outcome]) -> list[str]:
    """Settings whose false marks exceed what the protocol allows."""
    said = []
    for setting, result in found.items():
        pairs = [("family A", result.marks_a, MARKS_A), ("family B", result.marks_b, MARKS_B)]
        if setting.methods == 2:
            pairs = [("two methods", result.marks_a, MARKS_PAIR)]
        said += [
            f"{name}, {_where(setting)}: {share:.3f} of {setting.boards} boards, more than {most}"
            for name, share, most in pairs
            if share > most
        ]
    return said


def too_weak(seen: Mapping[Setting, Outcome]) -> list[str]:
    """Power at the sd that scores show, where it is below what is asked for."""
    said = []
    for setting, result in seen.items():
        if setting.seeds != BOUNDED[2]:
            continue
        least = {(2, 5.0): LEAST_PAIR, (8, 10.0): LEAST_A}.get((setting.methods, setting.lead), 0.0)
        if result.found_a < least:
            said.append(f"{setting.lead:g} points, {_where(setting)}: {result.found_a:.2f}, not {least:.2f}")
    return said


def _where(setting: Setting) -> str:
    return f"{setting.shape}, {setting.methods} methods, {setting.seeds} seeds, {setting.clips} clips"
