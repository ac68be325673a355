"""What a method declares and what its step returns: names, ranges, views, losses, gradients."""

from __future__ import annotations

import torch

from bench.conformance.setting import FRAMES, STEPS, ConformanceError, Setting, require, views
from datasets.draws import generator
from datasets.errors import UserError
from methods.base import Method
from methods.config import build

LABELED_VIEWS = {"labeled", "labeled_weak", "labeled_strong"}
UNLABELED_VIEWS = {"weak", "weak2", "medium", "strong", "strong2"}


def check_source(method: type[Method]) -> None:
    """The method says which paper it comes from."""
    source = method.source
    require(bool(source.paper and source.venue), "its source lacks the paper's title or venue")
    require(1950 <= source.year <= 2100, f"its source has the year {source.year}")
    require(source.link.startswith("https://"), f"its source has the link '{source.link}', not https://...")


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
    require(frozen, "its Config is not a frozen dataclass")


def check_frames(method: type[Method]) -> None:
    """No view decodes more frames than the task gives, counted over all levels, on evaluation too."""
    setting = Setting(method)
    for sampler in [*(view.sampler for view in views(setting.recipe)), setting.method.sampler()]:
        for length in (FRAMES, FRAMES + 1, 3 * FRAMES, 100):
            for rng in (None, generator(0, "conformance/frames", index=length)):
                levels = sampler.indices(length, rng)
                taken = sum(len(level) for level in levels)
                require(taken <= FRAMES, f"a view takes {taken} frames where the task gives {FRAMES}")
                require(tuple(map(len, levels)) == sampler.levels, "a sampler's levels are wrong")
                inside = all(0 <= i < length for level in levels for i in level)
                require(inside, f"a sampler points outside a clip of {length} frames")


def check_labeled_view(method: type[Method]) -> None:
    """The labeled view is the suite's: 'labeled', with the augmentation 'labeled', on the method's frames."""
    setting = Setting(method)
    recipe, frames = setting.recipe, setting.method.sampler().levels
    require("labeled" in recipe.labeled, "it has no labeled view named 'labeled'")
    require(
        recipe.labeled["labeled"].augment == "labeled",
        f"its labeled view is augmented as '{recipe.labeled['labeled'].augment}', not as 'labeled'",
    )
    levels = recipe.labeled["labeled"].sampler.levels
    require(levels == frames, f"its labeled view has {levels} frames a level, its evaluation {frames}")
    extra = sorted(set(recipe.labeled) - LABELED_VIEWS) + sorted(set(recipe.unlabeled) - UNLABELED_VIEWS)
    require(not extra, f"it names views {extra}; known: {sorted(LABELED_VIEWS | UNLABELED_VIEWS)}")


def check_losses(method: type[Method]) -> None:
    """Losses are finite scalars, one is `supervised`; pseudo-labels and weights fit and are constants."""
    setting = Setting(method)
    made = setting.step(STEPS - 1)
    require("supervised" in made.losses, "its losses have no term 'supervised'")
    for name, value in made.losses.items():
        require(value.dim() == 0 and bool(value.isfinite()), f"its loss '{name}' is not one finite number")
    clips = len(setting.loader.batch(STEPS - 1).unlabeled_index)
    for kind, tensor in (("pseudo_label", made.pseudo_label), ("weight", made.weight)):
        if tensor is not None:
            require(len(tensor) == clips, f"its {kind} has {len(tensor)} rows for {clips} unlabeled clips")
            require(not tensor.requires_grad, f"its {kind} carries a gradient")
    if made.weight is not None:
        require(bool((made.weight >= 0).all()), "a weight of an unlabeled clip is negative")


def check_gradients(method: type[Method]) -> None:
    """Every weight of the student learns within a few steps; no other weight wants to learn."""
    setting = Setting(method)
    students = {id(parameter) for parameter in setting.method.student.parameters()}
    others = [n for n, p in setting.method.named_parameters() if p.requires_grad and id(p) not in students]
    require(
        not others,
        f"these weights want a gradient, but only those of its student are trained: {', '.join(others[:5])}; "
        "make them part of the student in build_model",
    )
    learnt: set[str] = set()
    for step in range(3, STEPS):
        made = setting.step(step)
        torch.stack(list(made.losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        for name, parameter in setting.method.student.named_parameters():
            if parameter.grad is not None and bool(parameter.grad.any()):
                learnt.add(name)
    idle = sorted({name for name, _ in setting.method.student.named_parameters()} - learnt)
    require(not idle, f"these weights of its student get no gradient: {', '.join(idle[:5])}")


def check_batch_untouched(method: type[Method]) -> None:
    """A step leaves the batch as it was: two terms that share a view see the same pixels."""
    setting = Setting(method)
    batch, twin = setting.loader.batch(STEPS - 1), setting.loader.batch(STEPS - 1)
    setting.step(STEPS - 1, batch)
    for pool in ("labeled", "unlabeled"):
        for name, clip in getattr(batch, pool).items():
            same = all(map(torch.equal, clip, getattr(twin, pool)[name]))
            require(same, f"its step overwrites view '{name}' of the batch")
