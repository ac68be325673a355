"""Random draws that depend on what they are for, never on when or where they are made.

Every draw of the data path comes from a counter-based generator (Philox, Salmon et al., SC 2011) whose
key is (seed, purpose, epoch, index).  So a sample gets the same frames and the same augmentation for
any batch composition, any number of workers, and after any interruption.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray


class _Key(ISeedSequence):
    """Hands a ready key to Philox: `Philox(key=...)` would first draw system entropy, most of its time."""

    def __init__(self, *words: int) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint64) -> NDArray[np.uint64]:
        """The key itself; Philox asks for two words of 64 bits."""
        return np.array(self._words, dtype=np.uint64)


@lru_cache(maxsize=4096)
def derive(seed: int, purpose: str) -> int:
    """A 64-bit key for a seed and a purpose, stable across machines and versions."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little")


def generator(seed: int, purpose: str, epoch: int = 0, index: int = 0) -> np.random.Generator:
    """The generator of (seed, purpose, epoch, index); `epoch` and `index` must fit in 32 bits."""
    key = _Key(derive(seed, purpose), (epoch << 32) | index)
    return np.random.Generator(np.random.Philox(key))  # type: ignore[arg-type]  # any ISeedSequence will do
