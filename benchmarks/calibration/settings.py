"""Which boards are simulated: the settings that the protocol names, and some beyond them."""

from __future__ import annotations

from collections.abc import Iterator

from calibration.boards import SHAPES, Setting, true_sd

BOUNDED = (3.0, 500, 5)
"""sd in points, clips and seeds of the row whose power has lower bounds."""
LEADS = ((2, 5.0), (2, 10.0), (8, 5.0), (8, 10.0))
"""Numbers of methods, and by how many points the last of them leads."""


def null_settings(boards: int) -> Iterator[Setting]:
    """Methods that are equal by construction, in every setting that the protocol names."""
    for seeds in (3, 5, 10):
        for clips in (100, 500):
            for shape in ("equal", "noisy rival"):
                yield Setting(shape, 2, seeds, clips, 3.0, 0.0, boards)
    for seeds in (3, 5, 10):
        for shape in SHAPES:
            yield Setting(shape, 8, seeds, 500, 3.0, 0.0, boards)


def diverging_settings(boards: int) -> Iterator[Setting]:
    """Methods whose runs diverge, all with one probability: their rows are tested without borrowing."""
    for seeds in (3, 5, 10):
        for methods in (2, 8):
            yield Setting("diverging", methods, seeds, 500, 3.0, 0.0, boards)


def further_settings(boards: int) -> Iterator[Setting]:
    """Boards of eight equal methods on larger and smaller test sets than the 500 clips of `null_settings`."""
    for clips in (2000, 100):
        for seeds in (3, 5, 10):
            for shape in ("noisy baseline", "noisy rival", "equal", "two families"):
                yield Setting(shape, 8, seeds, clips, 3.0, 0.0, boards)


def seen_settings(boards: int) -> Iterator[Setting]:
    """A leader where the scores of the seeds, as a reader sees them, differ with the sd of `BOUNDED`."""
    sd, clips, _ = BOUNDED
    for seeds in (5, 10, 3):
        for methods, lead in LEADS:
            yield Setting("equal", methods, seeds, clips, true_sd(sd, clips), lead, boards)


def power_settings(boards: int) -> Iterator[Setting]:
    """One method leads by 5 or 10 points: the grid of section 12, for two methods and for eight."""
    for sd in (3.0, 5.0, 2.0, 1.0):
        for clips in (500, 100, 2000):
            for seeds in (5, 10, 3):
                for methods, lead in LEADS:
                    yield Setting("equal", methods, seeds, clips, sd, lead, boards)
