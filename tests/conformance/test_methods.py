"""Every registered method keeps the contract, and the checks notice one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import conformance, plugins
from bench.conformance import CHECKS, ConformanceError
from datasets.sampling import Segments
from datasets.types import Batch, Recipe, View
from methods.base import Method, Progress, Source, Step
from methods.fixmatch import FixMatch
from methods.softmatch import SoftMatch
from methods.supervised import Supervised


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", plugins.methods().names())
def test_method_conforms(name: str, check: str) -> None:
    CHECKS[check](plugins.method_class(name))


class Unnamed(Supervised):
    source = Source("", "", 0, "http://example.org")


class LooseConfig(Supervised):
    @dataclass
    class Config:
        dropout: float = 0.0


class ManyFrames(Supervised):
    def sampler(self) -> Segments:
        return Segments(9)


class OwnAugmentation(Supervised):
    def recipe(self) -> Recipe:
        return Recipe(labeled={"labeled": View(self.sampler(), "strong")}, unlabeled={})


class NotANumber(Supervised):
    def step(self, batch: Batch, progress: Progress) -> Step:
        return Step({"supervised": super().step(batch, progress).losses["supervised"] * float("nan")})


class IdleWeights(Supervised):
    def build_model(self, build_backbone: Any) -> Any:
        model = super().build_model(build_backbone)
        model.spare = torch.nn.Linear(2, 2)
        return model


class Forgetful(SoftMatch):
    """Keeps its running mean outside of the state."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.thresholding.register_buffer("mean", self.thresholding.mean, persistent=False)

    def step(self, batch: Batch, progress: Progress) -> Step:
        made = super().step(batch, progress)
        return Step({**made.losses, "mean": self.thresholding.mean + 0 * made.losses["supervised"]})


class OwnDice(Supervised):
    count = 0

    def step(self, batch: Batch, progress: Progress) -> Step:
        OwnDice.count += 1
        return Step({"supervised": super().step(batch, progress).losses["supervised"] * OwnDice.count})


class Vandal(FixMatch):
    def step(self, batch: Batch, progress: Progress) -> Step:
        batch.unlabeled["strong"][0].mul_(2)
        return super().step(batch, progress)


class OnlyForCrowds(Supervised):
    def step(self, batch: Batch, progress: Progress) -> Step:
        spread: Tensor = batch.labeled["labeled"][0].std(0, correction=1).mean()
        return Step({"supervised": super().step(batch, progress).losses["supervised"] + spread})


class Overflow(Supervised):
    def step(self, batch: Batch, progress: Progress) -> Step:
        loss = super().step(batch, progress).losses["supervised"]
        narrow = torch.is_autocast_enabled("cpu")
        return Step({"supervised": loss / (0 if narrow else 1)})


class Gossip(FixMatch):
    """Weights with a gradient."""

    def step(self, batch: Batch, progress: Progress) -> Step:
        made = super().step(batch, progress)
        assert made.weight is not None
        return Step(made.losses, made.pseudo_label, made.weight + made.losses["supervised"])


@pytest.mark.parametrize(
    ("method", "check"),
    [
        (Unnamed, "source"),
        (LooseConfig, "config"),
        (ManyFrames, "frames"),
        (OwnAugmentation, "labeled view"),
        (NotANumber, "losses"),
        (Gossip, "losses"),
        (IdleWeights, "gradients"),
        (Forgetful, "state"),
        (OwnDice, "seed"),
        (Vandal, "batch untouched"),
        (OnlyForCrowds, "batch of one"),
        (Overflow, "bfloat16"),
    ],
)
def test_a_method_that_breaks_the_contract_is_noticed(method: type[Method], check: str) -> None:
    found: Callable[[type[Method]], None] = CHECKS[check]
    with pytest.raises((ConformanceError, ZeroDivisionError)):
        found(method)


def test_hidden_labels_that_leak_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    original = conformance.Setting.__init__

    def remember(self: Any, *arguments: Any, **settings: Any) -> None:
        told.append(settings.get("hidden", -1))
        original(self, *arguments, **settings)

    class Peeking(Supervised):
        def step(self, batch: Batch, progress: Progress) -> Step:
            return Step({"supervised": super().step(batch, progress).losses["supervised"] + told[-1]})

    monkeypatch.setattr(conformance.Setting, "__init__", remember)
    with pytest.raises(ConformanceError, match="hidden labels"):
        CHECKS["hidden labels"](Peeking)


def test_failures_lists_the_sentence_of_each_failed_check() -> None:
    found = conformance.failures(OwnAugmentation)
    assert list(found) == ["labeled view"]
    assert "'strong'" in found["labeled view"]
