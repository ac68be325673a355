"""The embedded data sets: a gymnast's saltos as real video files, made on first use.

`synthgym` asks which salto is seen, `synthgym_order` in which order two body shapes follow each other.
No class can be told from a single frame, and left-right mirroring changes the meaning.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from datasets.gymnast import Element, GymParameters, Shape
from datasets.home import data_home
from datasets.types import ClipRef, ClipTable

GENERATOR_VERSION = 1
"""To be raised with every change of the pictures or of the encoding: it is part of the folder's name."""

RENDER_SEEDS = {"train": 20_011, "validation": 20_023, "test": 20_047}
"""The roles are drawn apart: no clip of one can appear in another."""


def salto_classes() -> dict[str, Element]:
    """Twelve elements: direction × shape × twist."""
    shapes: tuple[Shape, ...] = ("tucked", "piked", "stretched")
    return {
        f"{name}_{shape}_{twists}twist": Element(direction, (shape, shape), twists)
        for name, direction in (("forward", 1), ("backward", -1))
        for shape in shapes
        for twists in (0, 1)
    }


def order_classes() -> dict[str, Element]:
    """Twelve forward saltos that change their shape in the middle: ordered pair of shapes × twist."""
    changes: tuple[tuple[Shape, Shape], ...] = (
        ("tucked", "stretched"),
        ("stretched", "tucked"),
        ("piked", "stretched"),
        ("stretched", "piked"),
        ("tucked", "piked"),
        ("piked", "tucked"),
    )
    return {
        f"{first}_{second}_{twists}twist": Element(1, (first, second), twists)
        for first, second in changes
        for twists in (0, 1)
    }


class SynthGym:
    """Saltos in 12 classes: {forward, backward} × {tucked, piked, stretched} × {no twist, one twist}.

    The gymnast faces right; a backward salto is a forward one in reverse, so that a single frame does not
    show the class.  Every clip is its own source.  Clip number i of a role has class i mod 12: the first
    n × 12 clips of a role are the same for any number of clips per class.  All 3240 files take 22 MB and
    about 25 to 30 ms of CPU time each (measured on a busy 2-core machine).

    Args:
        pool_per_class: clips per class of the training pool.
        validation_per_class: clips per class for validation.
        test_per_class: clips per class of the test.
        workers: processes that make the files; by default one per CPU, at most eight.
        quiet: show no progress.
    """

    POOL_PER_CLASS: ClassVar[int] = 200
    VALIDATION_PER_CLASS: ClassVar[int] = 20
    TEST_PER_CLASS: ClassVar[int] = 50
    PARAMETERS: ClassVar[GymParameters] = GymParameters()
    ELEMENTS: ClassVar[dict[str, Element]] = salto_classes()

    name = "synthgym"
    summary = "12 classes of rendered saltos: direction, body shape, twist (made on first use)"

    def __init__(
        self,
        pool_per_class: int | None = None,
        validation_per_class: int | None = None,
        test_per_class: int | None = None,
        *,
        workers: int | None = None,
        quiet: bool = False,
    ) -> None:
        self.per_class = {
            "train": self.POOL_PER_CLASS if pool_per_class is None else pool_per_class,
            "validation": self.VALIDATION_PER_CLASS if validation_per_class is None else validation_per_class,
            "test": self.TEST_PER_CLASS if test_per_class is None else test_per_class,
        }
        self.workers = workers or min(os.cpu_count() or 1, 8)
        self.quiet = quiet

    @property
    def folder(self) -> Path:
        """Where the files lie: named by everything that decides their content."""
        content = {
            "version": GENERATOR_VERSION,
            "classes": {name: asdict(element) for name, element in self.ELEMENTS.items()},
            "parameters": asdict(self.PARAMETERS),
            "seeds": RENDER_SEEDS,
            "per_class": self.per_class,
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
        return data_home() / f"{self.name}-{digest}"

    def present(self) -> bool:
        """Always: the files can be made here."""
        return True

    def table(self) -> ClipTable:
        """All clips by role; known without the files."""
        return ClipTable(
            name=self.name,
            classes=tuple(self.ELEMENTS),
            train=self._refs("train"),
            validation=self._refs("validation"),
            test=self._refs("test"),
            mirror=False,
        )

    def prepare(self) -> None:
        """Make the files that are missing; does nothing when all are there.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        # Encoder and OpenCV are needed only here; training reads the files or the cache.
        from datasets.gym_files import ClipJob, generate  # noqa: PLC0415

        elements = tuple(self.ELEMENTS.values())
        jobs = [
            ClipJob(clip.key, elements[clip.label], RENDER_SEEDS[role], self.name, index)
            for role in self.per_class
            for index, clip in enumerate(self._refs(role))
        ]
        generate(self.folder, jobs, self.PARAMETERS, workers=self.workers, quiet=self.quiet)

    def how_to_add(self) -> str:
        """Nothing is to be done: the first use makes the files."""
        return f"nothing to do: {self.name} is made on first use, in {self.folder}"

    def _refs(self, role: str) -> tuple[ClipRef, ...]:
        folder, names = self.folder, tuple(self.ELEMENTS)
        keys = [
            f"{role}/{index:04d}_{names[index % len(names)]}.mp4"
            for index in range(self.per_class[role] * len(names))
        ]
        return tuple(ClipRef(key, folder / key, index % len(names), key) for index, key in enumerate(keys))


class SynthGymOrder(SynthGym):
    """Forward saltos in 12 classes: six ordered pairs of body shapes × {no twist, one twist}.

    The shape changes in the middle of the salto, so that a class is told by what comes first, and the
    classes are not closed under reversal in time.
    """

    ELEMENTS: ClassVar[dict[str, Element]] = order_classes()

    name = "synthgym_order"
    summary = "12 classes of rendered forward saltos: order of two body shapes, twist (made on first use)"


class SynthGymTiny(SynthGym):
    """The saltos of `synthgym` in a size that is made and decoded within seconds, for trying things out."""

    POOL_PER_CLASS: ClassVar[int] = 6
    VALIDATION_PER_CLASS: ClassVar[int] = 2
    TEST_PER_CLASS: ClassVar[int] = 4

    name = "synthgym_tiny"
    summary = "synthgym with 12 clips per class, for trying things out (made on first use)"
