"""What every method must keep to, ours and anybody's plugin: the checks behind fair comparison.

Each check is a function that takes the method's class and raises `ConformanceError` with one sentence.
`CHECKS` lists them; they use a small net and random clips, need no data set, and take a second each.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.conformance import contract, training
from bench.conformance.setting import ConformanceError, NeedsInputError, Setting, configured
from methods.base import Method

__all__ = ["CHECKS", "ConformanceError", "NeedsInputError", "Setting", "configured", "failure", "failures"]

CHECKS: dict[str, Callable[[type[Method]], None]] = {
    "source": contract.check_source,
    "config": contract.check_config,
    "frames": contract.check_frames,
    "labeled view": contract.check_labeled_view,
    "hidden labels": training.check_hidden_labels,
    "losses": contract.check_losses,
    "gradients": contract.check_gradients,
    "state": training.check_state,
    "resume": training.check_resume,
    "seed": training.check_seed,
    "views": training.check_views,
    "workers": training.check_workers,
    "batch untouched": contract.check_batch_untouched,
    "batch of one": training.check_batch_of_one,
    "bfloat16": training.check_bfloat16,
    "separable": training.check_separable,
    "predictions": training.check_predictions,
    "evaluated model": training.check_evaluated_model,
}
"""All checks by name, in the order in which a report lists them."""


def failure(check: str, method: type[Method]) -> str | None:
    """Runs one check: the sentence of its failure, or None."""
    try:
        CHECKS[check](method)
    except ConformanceError as error:
        return str(error)
    except Exception as error:  # the boundary to foreign code: an exception of its own is a failure too
        return f"{type(error).__name__}: {error}"
    return None


def failures(method: type[Method]) -> dict[str, str]:
    """Runs every check on a method; the sentence of each one that it fails."""
    found = {name: failure(name, method) for name in CHECKS}
    return {name: sentence for name, sentence in found.items() if sentence is not None}
