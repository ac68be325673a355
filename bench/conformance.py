"""What every method must keep to, ours and anybody's plugin: the checks behind fair comparison.

Each check is a function that takes the method's class and raises `ConformanceError` with one sentence.
`CHECKS` lists them; they use a small net and random clips, need no data set, and take a second each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from datasets.draws import derive, generator
from datasets.errors import UserError
from datasets.loader import BatchSizes, Loader, ViewSettings
from datasets.policy import AugmentPolicy
from datasets.types import UNKNOWN, Batch, ClipRef, Recipe, TaskInfo, View
from methods.base import Method, Progress, Step
from methods.config import build
from methods.draws import Draws

FRAMES = 8
SIZE = 32
CLASSES = 3
STEPS = 6
"""Length of the pretended training, without warm-up."""

LABELED_VIEWS = {"labeled", "labeled_weak", "labeled_strong"}
UNLABELED_VIEWS = {"weak", "weak2", "medium", "strong", "strong2"}

POLICIES = {
    "labeled": AugmentPolicy(scale=(0.7, 1.0), translate=0.2, window=0.2),
    "weak": AugmentPolicy(scale=(0.7, 1.0), translate=0.2),
    "strong": AugmentPolicy(
        scale=(0.5, 1.0),
        rotate=20,
        translate=None,
        window=0.3,
        color_mix=0.1,
        permute=0.2,
        cutout=0.5,
        noise=0.1,
    ),
    "medium": AugmentPolicy(scale=(0.6, 1.0), translate=0.3, color_mix=0.05),
    "test": AugmentPolicy(),
}


class ConformanceError(Exception):
    """A method breaks the contract; the message says how."""


class RandomClips:
    """A `FrameStore` of random clips of 9 to 20 frames."""

    def __init__(self, count: int) -> None:
        lengths = generator(0, "conformance/lengths").integers(FRAMES + 1, 21, count)
        self._clips = {
            str(i): generator(0, "conformance/clip", index=i).integers(0, 256, (int(n), 36, 40, 3), np.uint8)
            for i, n in enumerate(lengths)
        }

    def frames(self, key: str) -> NDArray[np.uint8]:
        """All frames of a clip, (T, 36, 40, 3)."""
        return self._clips[key]

    def frame_count(self, key: str) -> int:
        """Number of frames of a clip."""
        return len(self._clips[key])


CLIPS = RandomClips(18)


class Setting:
    """A method on random clips: builds it, feeds it, trains it for a few steps.

    Args:
        method: the method's class.
        labeled: labeled clips per batch.
        unlabeled: unlabeled clips per batch.
        bf16: run under bfloat16 autocast.
        seed: of weights, batches and draws.
        hidden: the label of the unlabeled clips, which no method may notice.
    """

    def __init__(
        self,
        method: type[Method],
        *,
        labeled: int = 3,
        unlabeled: int = 4,
        bf16: bool = False,
        seed: int = 0,
        hidden: int = UNKNOWN,
    ) -> None:
        self.bf16 = bf16
        self.seed = seed
        config = build(method.Config, {}, f"method '{method.name}'")
        task = TaskInfo(
            classes=CLASSES, labeled=6, unlabeled=12, class_counts=(2, 2, 2), frames=FRAMES, mirror=True
        )
        refused = method.unsupported(config, task)
        _require(refused is None, f"it cannot run on clips of {FRAMES} frames: {refused}")
        torch.manual_seed(seed)
        self.method = method(config, task, partial(shiftnet, 8, 24))
        self.recipe = self.method.recipe()
        policies = {view.augment: POLICIES.get(view.augment) for view in _views(self.recipe)}
        unknown = sorted(name for name, policy in policies.items() if policy is None)
        _require(not unknown, f"a view asks for the augmentation {unknown}; suites have {sorted(POLICIES)}")
        self.loader = Loader(
            store=CLIPS,
            labeled=[ClipRef(str(i), Path(str(i)), i % CLASSES, str(i)) for i in range(6)],
            unlabeled=[ClipRef(str(i), Path(str(i)), hidden, str(i)) for i in range(6, 18)],
            recipe=self.recipe,
            settings=ViewSettings(policies=POLICIES, size=SIZE, normalize="clip", mirror=True),
            sizes=BatchSizes(labeled=labeled, unlabeled=unlabeled, warmup=labeled),
            warmup_steps=0,
            seed=seed,
            device=torch.device("cpu"),
        )

    def progress(self, step: int) -> Progress:
        """A place in a short training without warm-up."""
        return Progress(step=step, total_steps=STEPS, warmup_steps=0, draws=Draws(self.seed, step))

    def step(self, step: int, batch: Batch | None = None) -> Step:
        """Losses of a step, in training mode."""
        torch.manual_seed(derive(self.seed, f"torch/{step}") >> 1)
        self.method.train()
        self.method.teacher.eval()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.method.step(batch or self.loader.batch(step), self.progress(step))

    def train(self, first: int, last: int) -> list[dict[str, float]]:
        """Plain gradient descent from step `first` to before `last`; the losses of each step."""
        optimizer = torch.optim.SGD(self.method.student.parameters(), lr=0.05)
        history = []
        for step in range(first, last):
            made = self.step(step)
            optimizer.zero_grad()
            torch.stack(list(made.losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            self.method.after_step(self.progress(step))
            history.append({name: float(value.detach()) for name, value in made.losses.items()})
        return history

    def predictions(self) -> list[Tensor]:
        """Logits of some clips, by the student and by the teacher, in evaluation mode."""
        self.method.eval()
        clip = self.loader.batch(0).labeled["labeled"]
        with torch.no_grad():
            return [self.method.predict(clip), self.method.predict(clip, self.method.teacher)]


def _require(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ConformanceError(otherwise)


def _views(recipe: Recipe) -> list[View]:
    return [*recipe.labeled.values(), *recipe.unlabeled.values()]


def check_source(method: type[Method]) -> None:
    """The method says which paper it comes from."""
    source = method.source
    _require(bool(source.paper and source.venue), "its source lacks the paper's title or venue")
    _require(1950 <= source.year <= 2100, f"its source has the year {source.year}")
    _require(source.link.startswith("https://"), f"its source has the link '{source.link}', not https://...")


def check_config(method: type[Method]) -> None:
    """Unknown fields and numbers out of range are refused before any training; the config is immutable."""
    for values in (
        {"no_such_field": 1},
        {"dropout": 1.5},
        {"warmup": 1.0},
        {"ema_decay": 1.0},
        {"frames": -1},
    ):
        try:
            build(method.Config, values, f"method '{method.name}'")
        except UserError:
            continue
        raise ConformanceError(f"its config takes {values}; its ranges must be those of Method.Config")
    frozen = getattr(method.Config, "__dataclass_params__").frozen  # noqa: B009  # mypy does not know it
    _require(frozen, "its Config is not a frozen dataclass")


def check_frames(method: type[Method]) -> None:
    """No view decodes more frames than the task gives, counted over all levels, on evaluation too."""
    setting = Setting(method)
    for sampler in [*(view.sampler for view in _views(setting.recipe)), setting.method.sampler()]:
        for length in (FRAMES, FRAMES + 1, 3 * FRAMES, 100):
            for rng in (None, generator(0, "conformance/frames", index=length)):
                levels = sampler.indices(length, rng)
                taken = sum(len(level) for level in levels)
                _require(taken <= FRAMES, f"a view takes {taken} frames where the task gives {FRAMES}")
                _require(tuple(map(len, levels)) == sampler.levels, "a sampler's levels are wrong")
                inside = all(0 <= i < length for level in levels for i in level)
                _require(inside, f"a sampler points outside a clip of {length} frames")


def check_labeled_view(method: type[Method]) -> None:
    """The labeled view is the suite's: 'labeled', with the augmentation 'labeled', on the method's frames."""
    recipe = Setting(method).recipe
    _require("labeled" in recipe.labeled, "it has no labeled view named 'labeled'")
    _require(
        recipe.labeled["labeled"].augment == "labeled",
        f"its labeled view is augmented as '{recipe.labeled['labeled'].augment}', not as 'labeled'",
    )
    extra = sorted(set(recipe.labeled) - LABELED_VIEWS) + sorted(set(recipe.unlabeled) - UNLABELED_VIEWS)
    _require(not extra, f"it names views {extra}; known: {sorted(LABELED_VIEWS | UNLABELED_VIEWS)}")


def check_hidden_labels(method: type[Method]) -> None:
    """The labels of unlabeled clips change nothing."""
    told, untold = (Setting(method, hidden=label).train(3, STEPS) for label in (0, UNKNOWN))
    _require(told == untold, "its losses change with the hidden labels of unlabeled clips")


def check_losses(method: type[Method]) -> None:
    """Losses are finite scalars, one is `supervised`; pseudo-labels and weights fit and are constants."""
    setting = Setting(method)
    made = setting.step(STEPS - 1)
    _require("supervised" in made.losses, "its losses have no term 'supervised'")
    for name, value in made.losses.items():
        _require(value.dim() == 0 and bool(value.isfinite()), f"its loss '{name}' is not one finite number")
    clips = len(setting.loader.batch(STEPS - 1).unlabeled_index)
    for kind, tensor in (("pseudo_label", made.pseudo_label), ("weight", made.weight)):
        if tensor is not None:
            _require(len(tensor) == clips, f"its {kind} has {len(tensor)} rows for {clips} unlabeled clips")
            _require(not tensor.requires_grad, f"its {kind} carries a gradient")
    if made.weight is not None:
        _require(bool((made.weight >= 0).all()), "a weight of an unlabeled clip is negative")


def check_gradients(method: type[Method]) -> None:
    """Every weight of the student learns within a few steps, no weight of the teacher has a gradient."""
    setting = Setting(method)
    learnt: set[str] = set()
    for step in range(3, STEPS):
        made = setting.step(step)
        torch.stack(list(made.losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        for name, parameter in setting.method.student.named_parameters():
            if parameter.grad is not None and bool(parameter.grad.any()):
                learnt.add(name)
    idle = sorted({name for name, _ in setting.method.student.named_parameters()} - learnt)
    _require(not idle, f"these weights of its student get no gradient: {', '.join(idle[:5])}")
    taught = [name for name, p in setting.method.teacher.named_parameters() if p.requires_grad]
    _require(not taught, f"these weights of its teacher want a gradient: {', '.join(taught[:5])}")


def check_state(method: type[Method]) -> None:
    """What it must remember is in its state: a restored copy predicts and trains on identically."""
    trained, restored = Setting(method), Setting(method)
    trained.train(2, STEPS - 1)
    for parameter in restored.method.parameters():
        nn.init.normal_(parameter)
    restored.method.load_state_dict(trained.method.state_dict())
    same = all(map(torch.equal, trained.predictions(), restored.predictions()))
    _require(same, "a copy restored from its state_dict predicts something else")
    last = [setting.train(STEPS - 1, STEPS) for setting in (trained, restored)]
    _require(last[0] == last[1], "a copy restored from its state_dict trains on differently")


def check_seed(method: type[Method]) -> None:
    """The same seed gives the same losses, bit for bit; another one does not."""
    first, second, other = (Setting(method, seed=seed).train(3, STEPS) for seed in (5, 5, 6))
    _require(first == second, "two runs with one seed differ; take random numbers from progress.draws")
    _require(first != other, "two runs with different seeds are equal")


def check_views(method: type[Method]) -> None:
    """What a clip looks like depends on (seed, epoch, index, view), not on the clips beside it."""
    fours, twos = (
        Setting(method, labeled=4, unlabeled=4).loader,
        Setting(method, labeled=2, unlabeled=2).loader,
    )
    large, small = fours.batch(0), [twos.batch(0), twos.batch(1)]
    for pool in ("labeled", "unlabeled"):
        for name, clip in getattr(large, pool).items():
            for level, x in enumerate(clip):
                parts = torch.cat([getattr(batch, pool)[name][level] for batch in small])
                _require(
                    torch.allclose(x, parts, atol=1e-4), f"view '{name}' depends on the rest of the batch"
                )


def check_batch_untouched(method: type[Method]) -> None:
    """A step leaves the batch as it was: two terms that share a view see the same pixels."""
    setting = Setting(method)
    batch, twin = setting.loader.batch(STEPS - 1), setting.loader.batch(STEPS - 1)
    setting.step(STEPS - 1, batch)
    for pool in ("labeled", "unlabeled"):
        for name, clip in getattr(batch, pool).items():
            same = all(map(torch.equal, clip, getattr(twin, pool)[name]))
            _require(same, f"its step overwrites view '{name}' of the batch")


def check_batch_of_one(method: type[Method]) -> None:
    """One labeled and one unlabeled clip are enough."""
    _require_finite(Setting(method, labeled=1, unlabeled=1).train(3, STEPS), "with a batch of one")


def check_bfloat16(method: type[Method]) -> None:
    """Losses stay finite under bfloat16 autocast."""
    _require_finite(Setting(method, bf16=True).train(3, STEPS), "in bfloat16")


def _require_finite(history: list[dict[str, float]], when: str) -> None:
    for losses in history:
        for name, value in losses.items():
            _require(math.isfinite(value), f"its loss '{name}' becomes {value} {when}")


CHECKS: dict[str, Callable[[type[Method]], None]] = {
    "source": check_source,
    "config": check_config,
    "frames": check_frames,
    "labeled view": check_labeled_view,
    "hidden labels": check_hidden_labels,
    "losses": check_losses,
    "gradients": check_gradients,
    "state": check_state,
    "seed": check_seed,
    "views": check_views,
    "batch untouched": check_batch_untouched,
    "batch of one": check_batch_of_one,
    "bfloat16": check_bfloat16,
}
"""All checks by name, in the order in which a report lists them."""


def failures(method: type[Method]) -> dict[str, str]:
    """Runs every check on a method; the sentence of each one that it fails."""
    found = {}
    for name, check in CHECKS.items():
        try:
            check(method)
        except ConformanceError as error:
            found[name] = str(error)
        except Exception as error:  # the boundary to foreign code: an exception of its own is a failure too
            found[name] = f"{type(error).__name__}: {error}"
    return found
