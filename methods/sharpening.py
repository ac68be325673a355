"""Sharpening: lower the entropy of soft pseudo-labels."""

from __future__ import annotations

from torch import Tensor


def sharpen(probs: Tensor, temperature: float) -> Tensor:
    """p^(1/T) / Σ p^(1/T), which for p = softmax(z) is softmax(z / T).

    Args:
        probs: (U, C) probabilities, float32 or better.
        temperature: T > 0; below 1 sharpens, 1 changes nothing.

    Returns:
        (U, C) probabilities (MixMatch, Berthelot et al., NeurIPS 2019, eq. 7; UDA, Xie et al., NeurIPS 2020).
    """
    # The largest becomes 1 first: powers of small numbers would all vanish at a low temperature.
    powers = (probs / probs.amax(1, keepdim=True)).pow(1 / temperature)
    return powers / powers.sum(1, keepdim=True)
