"""The one source of a method's own random draws, which a test can replace by fixed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from datasets.draws import generator

T = TypeVar("T")


class Draws:
    """Random draws of one training step, each derived from (seed, step, purpose).

    Every call names its purpose, so that adding a draw moves no other one.  Subclass it to fix draws.
    """

    def __init__(self, seed: int, step: int) -> None:
        self._seed = seed
        self._step = step

    def _generator(self, purpose: str) -> np.random.Generator:
        return generator(self._seed, f"method/{purpose}", index=self._step)

    def beta(self, a: float, b: float, purpose: str = "mix") -> float:
        """One number from Beta(a, b)."""
        return float(self._generator(f"beta/{purpose}").beta(a, b))

    def permutation(self, n: int, purpose: str = "mix") -> Tensor:
        """A permutation of 0..n-1, shape (n,) int64."""
        return torch.from_numpy(self._generator(f"permutation/{purpose}").permutation(n))

    def subset(self, n: int, k: int, purpose: str) -> Tensor:
        """K sorted distinct numbers of 0..n-1, shape (k,) int64."""
        chosen = self._generator(f"subset/{purpose}").choice(n, k, replace=False)
        return torch.from_numpy(np.sort(chosen))

    def integer(self, low: int, high: int, purpose: str) -> int:
        """A uniform integer in [low, high], both included."""
        return int(self._generator(f"integer/{purpose}").integers(low, high + 1))

    def choice(self, options: Sequence[T], purpose: str) -> T:
        """One of the options, all equally likely."""
        return options[self.integer(0, len(options) - 1, f"choice/{purpose}")]

    def dropout(self, shape: tuple[int, ...], p: float, purpose: str) -> Tensor:
        """Multipliers of inverted dropout, float32 of `shape`: 0 with probability p, else 1 / (1 - p)."""
        kept = self._generator(f"dropout/{purpose}").random(shape, dtype=np.float32) >= p
        return torch.from_numpy(kept.astype(np.float32)) / (1 - p)

    def normal(self, shape: tuple[int, ...], purpose: str) -> Tensor:
        """Standard normal numbers, float32 of `shape`."""
        drawn = self._generator(f"normal/{purpose}").standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(drawn)
