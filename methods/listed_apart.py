"""What the catalogue lists beside the methods: bounds, and published methods that are not here."""

from __future__ import annotations

from typing import NamedTuple

from methods.base import Source


class Apart(NamedTuple):
    """A name of the literature that is no registered method, and why."""

    name: str
    source: Source
    reason: str


BOUNDS = (
    Apart(
        "fully_supervised",
        Source(
            "Fully supervised training, a row in: USB: A Unified Semi-supervised Learning Benchmark for "
            "Classification",
            "NeurIPS",
            2022,
            "https://arxiv.org/abs/2208.07204",
        ),
        "the method 'supervised' with all labels and as many steps; in suites an entry with 'role: bound'",
    ),
)
"""Rows that are no competitors: they see labels that the others do not."""

NOT_IMPLEMENTABLE = (
    Apart(
        "tacl",
        Source(
            "Semi-Supervised Action Recognition From Temporal Augmentation Using Curriculum Learning",
            "TCSVT",
            2023,
            "https://doi.org/10.1109/TCSVT.2022.3210271",
        ),
        "public are its abstract and no code: FixMatch with a temporal augmentation of coarse and fine "
        "representations and a dynamic threshold per class, but neither the augmentation nor the formula of "
        "the threshold; what we would invent for both must not carry its name (nearest here: svformer's "
        "temporal warping, flexmatch's thresholds)",
    ),
    Apart(
        "l2a",
        Source(
            "Learn2Augment: Learning to Composite Videos for Data Augmentation in Action Recognition",
            "ECCV",
            2022,
            "https://arxiv.org/abs/2206.04790",
        ),
        "needs masks of persons, backgrounds with the persons painted over, and a selector network whose "
        "training no public code shows; its rule of compositing (foreground, background, mask) is actorcm's",
    ),
)
"""Methods of the published tables that nobody can run from public facts alone."""
