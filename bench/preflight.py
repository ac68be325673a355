"""What would stop a trial at its first step, said before the first trial starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from bench import plugins
from bench.experiment import build_backbone, refuse_views
from bench.initial_weights import RANDOM, takes_weights
from bench.plan import PlannedTrial
from bench.spec import Net, TrialSpec
from datasets.cache_folder import Form
from datasets.clip_cache import ClipCache
from datasets.errors import UserError, first_line
from datasets.splits import make_split
from datasets.types import TaskInfo
from methods.config import build


def refuse_impossible(trials: Sequence[PlannedTrial], *, weights: bool = True) -> None:
    """That every method can run on its task and every backbone reads the clips of its protocol.

    Trials that differ in nothing but seed and training settings are looked at once.

    Args:
        trials: those that are to run.
        weights: also that the weights that nets start from are to be had, which may download them.

    Raises:
        UserError: for the first that cannot; names the entry, the field and the cure.
    """
    seen: set[str] = set()
    for trial in trials:
        spec = trial.spec
        shape = (spec.protocol.frames, spec.protocol.size, sorted(spec.protocol.augmentations))
        key = repr((spec.method, spec.config, spec.data, spec.labels, spec.backbone, shape))
        if key not in seen:
            seen.add(key)
            refuse(spec if weights else _without_weights(spec), f"entry '{trial.entry}'")


def _without_weights(spec: TrialSpec) -> TrialSpec:
    """The trial from random weights, where its backbone would take others."""
    if not takes_weights(spec.backbone):
        return spec
    return spec.model_copy(update={"backbone": spec.backbone.model_copy(update={"weights": RANDOM})})


def refuse(spec: TrialSpec, where: str) -> None:
    """That a trial can start.

    Raises:
        UserError: it cannot; the sentence begins with `where`.
    """
    cls, task = plugins.method_class(spec.method), task_of(spec)
    config = build(cls.Config, spec.config, f"{where} (method '{spec.method}')")
    reason = cls.unsupported(config, task)
    if reason:
        raise UserError(f"{where}: method '{spec.method}' cannot run on {spec.cell}: {reason}.")
    try:
        net = _net(spec.backbone)
        method = cls(config, task, lambda: net)
        levels = method.sampler().levels
        refuse_views(method, spec, f"{where} (method '{spec.method}')")
        reason = method.unsupported_size(spec.protocol.size)
    except UserError as error:
        raise _placed(error, where) from None
    except Exception:  # foreign code: the trial itself will fail with this, and the others go on
        return
    if reason:
        raise UserError(
            f"{where}: method '{spec.method}' cannot run with backbone '{spec.backbone.name}': {reason}; "
            "use a larger protocol.size or another backbone."
        )
    refuse_clips(net, levels, spec, where)


def _net(net: Net) -> nn.Module:
    """The net; where a backbone of ours cannot be built with its settings, that is said of them.

    A plugin's may have faults of its own: its trials fail with these, and the others go on.

    Raises:
        UserError: it cannot.
    """
    try:
        return build_backbone(net)
    except UserError:
        raise
    except Exception as error:  # whatever a net's arithmetic raises on a setting of another type
        ours = plugins.backbone_builder(net.name).__module__.startswith("bench.")
        if not ours or not net.config:
            raise
        settings = ", ".join(f"{name}: {value}" for name, value in net.config.items())
        raise UserError(
            f"backbone '{net.name}' cannot be built with config {{{settings}}} ({first_line(error)}); "
            "correct the setting."
        ) from error


def _placed(error: UserError, where: str) -> UserError:
    """The error with its place in front, where its sentence does not begin with that."""
    sentence = str(error)
    return error if sentence.startswith(where) else UserError(f"{where}: {sentence}")


def task_of(spec: TrialSpec) -> TaskInfo:
    """The task of a trial as its lists describe it, before anybody knows which files can be decoded."""
    table = plugins.dataset(spec.data).table()
    split = make_split(table, spec.labels, spec.seed, spec.allow_empty_classes)
    counts = np.bincount([clip.label for clip in split.labeled], minlength=len(table.classes))
    return TaskInfo(
        classes=len(table.classes),
        labeled=len(split.labeled),
        unlabeled=len(split.unlabeled),
        class_counts=tuple(counts.tolist()),
        frames=spec.protocol.frames,
        mirror=table.mirror,
        boxes=bool(table.boxes),
    )


def refuse_clips(net: nn.Module, levels: Sequence[int], spec: TrialSpec, where: str) -> None:
    """That a backbone reads clips of the protocol's size, by showing it one.

    Raises:
        UserError: it does not, or it would leave a rim of pixels out.
    """
    size, name = spec.protocol.size, spec.backbone.name
    whole = getattr(net, "whole_patches", False)
    side = cast(tuple[int, int, int], net.patch)[1] if whole else 1
    if size % side:
        near = " or ".join(str(n) for n in (size // side * side, (size // side + 1) * side) if n)
        raise UserError(
            f"{where}: protocol.size is {size}, but backbone '{name}' cuts clips into patches of "
            f"{side} x {side} pixels; write {near}."
        )
    net.eval()
    try:
        with torch.inference_mode():
            for level, frames in enumerate(levels):
                net(torch.zeros(1, 3, frames, size, size), level)
    except UserError as error:
        raise _placed(error, where) from None
    except Exception as error:  # whatever a net raises on a shape that it cannot read
        raise UserError(
            f"{where}: backbone '{name}' cannot read clips of {size} x {size} pixels "
            f"(protocol.size) with {' + '.join(map(str, levels))} frames: {first_line(error)}."
        ) from error


def short_clips(trials: Iterable[PlannedTrial]) -> Iterator[str]:
    """A sentence per data set with clips of a single frame, and per one with clips shorter than a view."""
    wanted: dict[tuple[str, int | None, Form, str], int] = {}
    for trial in trials:
        protocol = trial.spec.protocol
        key = (trial.spec.data, protocol.short_side, protocol.store, protocol.decoder)
        wanted[key] = max(wanted.get(key, 0), protocol.frames)
    for (name, short_side, form, decoder), frames in wanted.items():
        clips = plugins.dataset(name).table().clips()
        cache = ClipCache.open(clips, name, short_side, decoder=decoder, form=form)
        lengths = {clip.key: cache.frame_count(clip.key) for clip in clips if clip.key not in cache.errors}
        single = sorted(key for key, length in lengths.items() if length == 1)
        short = sorted((length, key) for key, length in lengths.items() if 1 < length < frames)
        if single:
            yield (
                f"data set '{name}': {len(single)} of {len(clips)} clips ('{single[0]}' first) have a single "
                "frame and show no motion; take them out of its lists, or they are trained and scored on as "
                "a still picture."
            )
        if short:
            yield (
                f"data set '{name}': {len(short)} of {len(clips)} clips have fewer frames than the {frames} "
                f"of a view and show some of them more than once (the shortest is '{short[0][1]}' with "
                f"{short[0][0]})."
            )


def unflipped(trials: Iterable[PlannedTrial]) -> Iterator[str]:
    """A sentence per data set whose clips the policies of its trials would flip, if it allowed that."""
    asked: dict[str, dict[str, None]] = {}
    for trial in trials:
        policies = trial.spec.protocol.augmentations
        flipping = dict.fromkeys(name for name, policy in policies.items() if policy.flip)
        asked.setdefault(trial.spec.data, {}).update(flipping)
    for data, names in asked.items():
        if names and not plugins.dataset(data).table().mirror:
            yield (
                f"data set '{data}': its clips are not flipped, though policy '{', '.join(names)}' would: it "
                "does not say that a mirrored clip keeps its label (lists say so with --mirror)."
            )
