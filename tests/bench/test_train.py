"""What the training loop logs of a step that has several micro-batches, and when it stops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.evaluate import DivergedError
from bench.train import _losses

STATE: Any = SimpleNamespace(method=SimpleNamespace(name="fixmatch"), step=7)


def _part(**terms: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in terms.items()}


def test_the_log_has_the_terms_of_the_last_micro_batch_as_they_are() -> None:
    parts = [_part(supervised=1.0, unsupervised=2.0), _part(supervised=0.1, unsupervised=0.3)]
    assert _losses(parts, STATE) == {
        "loss/supervised": float(torch.tensor(0.1)),
        "loss/unsupervised": float(torch.tensor(0.3)),
    }


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_a_term_that_is_not_finite_in_any_micro_batch_is_named_with_its_step(place: int, bad: str) -> None:
    parts = [_part(supervised=1.0, mix=2.0), _part(supervised=1.0, mix=2.0)]
    parts[place]["mix"] = torch.tensor(float(bad))
    with pytest.raises(DivergedError, match=f"loss term 'mix' of method 'fixmatch' became {bad} at step 7"):
        _losses(parts, STATE)
