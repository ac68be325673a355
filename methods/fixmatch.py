"""FixMatch: pseudo-labels from a weak view, kept above a threshold, train the strong view."""

from __future__ import annotations

from dataclasses import dataclass

from methods.base import Source
from methods.thresholding import FixedThreshold, Thresholding
from methods.weak_strong import WeakStrong


class FixMatch(WeakStrong):
    """L = L_s + λ_u mean_U 1[max p_w ≥ τ] H(argmax p_w, z_s).

    The defaults are the paper's: pseudo-labels from the student, no alignment.  `pseudo_labels: teacher`
    takes them from the EMA teacher in evaluation mode; `alignment` pulls their average towards uniform,
    for the weight alone (`weight`, as SoftMatch does) or for the label too (`label`).
    """

    name = "fixmatch"
    source = Source(
        "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence",
        "NeurIPS",
        2020,
        "https://arxiv.org/abs/2001.07685",
    )
    separable = True

    @dataclass(frozen=True, kw_only=True)
    class Config(WeakStrong.Config):
        """λ_u = 1 and τ = 0.95 are the paper's (section 2.2); the rest are options of this harness."""

    config: Config

    def build_thresholding(self) -> Thresholding:
        """One threshold; FlexMatch, FreeMatch, SoftMatch and Dash differ from FixMatch by theirs."""
        return FixedThreshold(self.config.threshold)
