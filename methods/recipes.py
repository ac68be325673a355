"""The views that several methods ask for; the default, weak and strong, is `Method.recipe`."""

from __future__ import annotations

from datasets.types import ClipSampler, Recipe, View


def one_weak(sampler: ClipSampler) -> Recipe:
    """One weak view of each unlabeled clip."""
    return Recipe(labeled={"labeled": View(sampler, "labeled")}, unlabeled={"weak": View(sampler, "weak")})


def two_weak(sampler: ClipSampler) -> Recipe:
    """Two weak views of each unlabeled clip, which differ in frames and augmentation."""
    return Recipe(
        labeled={"labeled": View(sampler, "labeled")},
        unlabeled={"weak": View(sampler, "weak"), "weak2": View(sampler, "weak", draw=1)},
    )


def two_strong(sampler: ClipSampler) -> Recipe:
    """A weak view of each unlabeled clip and two strong ones, which differ in frames and augmentation."""
    return Recipe(
        labeled={"labeled": View(sampler, "labeled")},
        unlabeled={
            "weak": View(sampler, "weak"),
            "strong": View(sampler, "strong", draw=1),
            "strong2": View(sampler, "strong", draw=2),
        },
    )
