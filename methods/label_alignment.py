"""Distribution alignment to the class frequencies of the labeled clips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from methods.alignment import UniformAlignment, align


class LabelAlignment(UniformAlignment):
    """Probs · frequency of the labels / average prediction, renormalised (ReMixMatch, section 3.1).

    The average moves as in `UniformAlignment`: the first batch sets it, later ones move it before it is
    used.  The frequencies are those of all labeled clips, so they need no average.
    """

    frequency: Tensor

    def __init__(self, class_counts: Sequence[int], momentum: float) -> None:
        super().__init__(len(class_counts), momentum)
        counts = torch.tensor(class_counts, dtype=torch.get_default_dtype())
        self.register_buffer("frequency", counts / counts.sum())

    @torch.no_grad()
    def forward(self, probs: Tensor) -> Tensor:
        """Updates the average with (U, C) probabilities and returns them aligned."""
        super().forward(probs)
        return align(probs, self.marginal, self.frequency)
