"""Ramps of loss weights over training; pure functions of progress in [0, 1]."""

from __future__ import annotations

import math


def linear(fraction: float, length: float) -> float:
    """0 -> 1 linearly over the first `length` of training, then 1; `length` 0 means no ramp (USB)."""
    return 1.0 if length <= 0 else min(max(fraction / length, 0.0), 1.0)


def sigmoid(fraction: float, length: float = 1.0) -> float:
    """exp(-5 (1 - t)^2), the "sigmoid-shaped" ramp of Laine & Aila (ICLR 2017) and mean teacher."""
    t = 1.0 if length <= 0 else min(max(fraction / length, 0.0), 1.0)
    return math.exp(-5 * (1 - t) ** 2)


def sine(done: float, total: float) -> float:
    """sin(pi/2 · done / total): SeFAR's xi, with `done` counted from 1 after the warm-up."""
    return math.sin(0.5 * math.pi * min(max(done / total, 0.0), 1.0))
