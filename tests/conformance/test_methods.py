"""Every registered method keeps the contract, and the checks notice one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import conformance, plugins
from bench.conformance import CHECKS, ConformanceError
from datasets.errors import UserError
from datasets.sampling import Segments
from datasets.types import Batch, Recipe, View
from methods.base import Method, Progress, Source, Step
from methods.extra_inputs import rehearsed
from methods.fixmatch import FixMatch
from methods.mean_teacher import MeanTeacher
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
    try:
        CHECKS[check](rehearsed(plugins.method_class(name)))
    except conformance.NeedsInputError as refusal:
        pytest.skip(str(refusal))


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


class Diary(Supervised):
    """Counts its steps where no checkpoint looks."""

    steps = 0

    def step(self, batch: Batch, progress: Progress) -> Step:
        self.steps += 1
        loss = super().step(batch, progress).losses["supervised"]
        return Step({"supervised": loss / self.steps})


class Baggage(Supervised):
    """Puts an object of its own into its checkpoint, which only running its code could restore."""

    def get_extra_state(self) -> Any:
        return Source("", "", 0, "")

    def set_extra_state(self, state: Any) -> None:
        pass


class Chatty:
    """A sampler with a generator that nobody seeds."""

    levels = (8,)

    def indices(self, frame_count: int, rng: Any) -> Any:
        return (np.sort(torch.randint(frame_count, (8,)).numpy()),)


class OwnSampler(Supervised):
    def sampler(self) -> Any:
        return Chatty()


class Entangled(FixMatch):
    """Its loss is of the batch, not of the clips."""

    def step(self, batch: Batch, progress: Progress) -> Step:
        loss = super().step(batch, progress).losses["supervised"]
        return Step({"supervised": loss.square()})


class Transductive(Supervised):
    """Centers its predictions over the clips that it is asked about."""

    def predict(self, clip: Any, model: Any = None) -> Tensor:
        logits = super().predict(clip, model)
        return logits - logits.mean(0)


class OwnModel(MeanTeacher):
    """Is scored on its teacher, whatever the suite scores."""

    def predict(self, clip: Any, model: Any = None) -> Tensor:
        return self.teacher(clip)


class OwnStudent(Supervised):
    def predict(self, clip: Any, model: Any = None) -> Tensor:
        return self.student(clip)


class Elsewhere(FixMatch):
    """A layer that is used in a loss and that no optimizer knows."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.extra = torch.nn.Linear(3, 3)

    def step(self, batch: Batch, progress: Progress) -> Step:
        made = super().step(batch, progress)
        logits = self.extra(self.student(batch.unlabeled["strong"]))
        return Step({**made.losses, "extra": logits.square().mean()}, made.pseudo_label, made.weight)


class FewLabeledFrames(Supervised):
    def recipe(self) -> Recipe:
        return Recipe(labeled={"labeled": View(Segments(2), "labeled")}, unlabeled={})


class OfThoseThatCount(FixMatch):
    """The mean over the clips whose pseudo-labels count, which two halves do not give."""

    def step(self, batch: Batch, progress: Progress) -> Step:
        made = super().step(batch, progress)
        assert made.weight is not None
        share = len(made.weight) / made.weight.sum().clamp(min=1)
        return Step({**made.losses, "unsupervised": made.losses["unsupervised"] * share})


class Chosen(Supervised):
    def predict(self, clip: Any, model: Any = None) -> Tensor:
        return super().predict(clip, model).argmax(1)


@pytest.mark.parametrize(
    ("method", "check"),
    [
        (Unnamed, "source"),
        (Diary, "resume"),
        (Baggage, "resume"),
        (OwnSampler, "workers"),
        (Entangled, "separable"),
        (Transductive, "predictions"),
        (Chosen, "predictions"),
        (OwnModel, "evaluated model"),
        (OwnStudent, "evaluated model"),
        (Elsewhere, "gradients"),
        (FewLabeledFrames, "labeled view"),
        (OfThoseThatCount, "separable"),
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


SEPARABLE = {
    "cmpl",
    "defixmatch",
    "fixmatch",
    "mean_teacher",
    "mvpl",
    "pi_model",
    "pseudo_label",
    "sefar_supervised",
    "supervised",
    "timebalance",
    "uda",
}


def test_methods_whose_terms_are_of_single_clips_are_separable() -> None:
    names = plugins.methods().names()
    assert {name for name in names if plugins.method_class(name).separable} == SEPARABLE


@pytest.mark.parametrize(
    "name", ["adamatch", "comatch", "ltg", "mixmatch", "sefar", "simmatch", "svformer", "vat"]
)
def test_a_method_of_whole_batches_cannot_declare_itself_separable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = plugins.method_class(name)
    monkeypatch.setattr(method, "separable", True)
    with pytest.raises(ConformanceError, match="declared separable"):
        CHECKS["separable"](method)


def test_alignment_makes_a_separable_method_inseparable() -> None:
    aligned = conformance.configured(FixMatch, {"alignment": "label"})
    assert FixMatch.separable_with(FixMatch.Config())
    assert not aligned.separable_with(aligned.Config())
    CHECKS["separable"](aligned)  # nothing is declared, so nothing is broken


def test_a_method_is_checked_with_other_settings_than_its_defaults() -> None:
    strict = conformance.configured(FixMatch, {"threshold": 0.5, "pseudo_labels": "teacher"})
    made = conformance.Setting(strict).method
    assert (made.config.threshold, made.config.pseudo_labels) == (0.5, "teacher")
    assert (strict.name, FixMatch.Config().threshold) == ("fixmatch", 0.95)
    assert conformance.failures(strict) == {}
    with pytest.raises(UserError, match=r"'threshold' is 1\.3"):
        conformance.configured(FixMatch, {"threshold": 1.3})


class NeedsBoxes(Supervised):
    @classmethod
    def unsupported(cls, config: Any, task: Any) -> str | None:
        return "it needs person boxes; give them with --boxes"


def test_a_method_that_lacks_an_input_says_which() -> None:
    found = conformance.failures(NeedsBoxes)
    assert "person boxes" in found["losses"]
    with pytest.raises(conformance.NeedsInputError):
        CHECKS["losses"](NeedsBoxes)


def test_failures_lists_the_sentence_of_each_failed_check() -> None:
    found = conformance.failures(OwnAugmentation)
    assert list(found) == ["labeled view"]
    assert "'strong'" in found["labeled view"]
