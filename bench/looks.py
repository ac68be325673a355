"""A test protocol of several looks at each clip: draws of frames times crops, probabilities averaged.

A single look at the middle is what `Experiment.predictions` takes; this module is for suites that ask for
more (the papers' "views x crops").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bench import evaluate
from bench.experiment import Experiment, Scene, evaluated_model
from bench.spec import Evaluation, TrialSpec
from datasets import augment, draws
from datasets.types import Clip, ClipSampler
from datasets.views import FrameStore, GatheredView, ViewSettings, gather_view, show_all
from methods.base import Method

_CENTER = 0.5
_SHIFT = (3, 4)
"""Columns of an augmentation's uniforms that place the crop along x and y."""


@dataclass(frozen=True)
class Look:
    """One of the looks at a clip.

    `view` 0 shows the sampler's deterministic frames, each further one a fixed draw, the same for every
    clip and method.  `place` puts the crop along the long side, from 0 to 1; 0.5 is the center.
    """

    view: int = 0
    place: float = _CENTER


def looks(protocol: Evaluation) -> tuple[Look, ...]:
    """All looks of a protocol, the deterministic frames first."""
    crops = protocol.crops
    places = [_CENTER] if crops == 1 else [i / (crops - 1) for i in range(crops)]
    return tuple(Look(view, place) for view in range(protocol.views) for place in places)


def predictions(spec: TrialSpec, experiment: Experiment) -> pd.DataFrame:
    """Predictions of the chosen weights, averaged over all looks; see `evaluate.prediction_table`.

    Raises:
        DivergedError: when one of them is not finite.
    """
    experiment.best.restore(experiment.state)
    scene = experiment.scene
    keys = [clip.key for clip in scene.scored if clip.key not in scene.cache.errors]
    model = evaluated_model(spec, experiment.state)
    logits = mean_logits(experiment.state.method, model, scene, keys, spec.protocol.evaluation)
    return evaluate.prediction_table(scene.scored, logits.numpy(), keys, scene.cache.errors)


@torch.no_grad()
def mean_logits(
    method: Method, model: nn.Module, scene: Scene, keys: Sequence[str], protocol: Evaluation
) -> Tensor:
    """(len(keys), classes) logarithms of the mean probabilities over all looks.

    Raises:
        DivergedError: when a prediction is not finite.
    """
    model.eval()
    single = []
    for look in looks(protocol):
        clips = look_clips(
            scene.cache, keys, method.sampler(), scene.settings, protocol.batch, scene.device, look
        )
        parts = [method.predict(clip, model).float().log_softmax(1).cpu() for clip in clips]
        single.append(torch.cat(parts) if parts else torch.empty(0, method.task.classes))
    together = torch.stack(single)
    if not bool(together.isfinite().all()):
        name = method.name
        raise evaluate.DivergedError(f"the evaluated model of method '{name}' predicts NaN or infinity.")
    return torch.logsumexp(together, 0) - math.log(len(single))


def look_clips(
    store: FrameStore,
    keys: Sequence[str],
    sampler: ClipSampler,
    settings: ViewSettings,
    batch: int,
    device: torch.device,
    look: Look,
) -> Iterator[Clip]:
    """One look at each of the given clips under the policy `test`, in order, `batch` at a time."""
    policy = settings.policies["test"]
    if look.place != _CENTER:  # a policy with a fixed center would hold the crop there
        policy = replace(policy, translate=None)

    def read(start: int) -> GatheredView:
        chosen = keys[start : start + batch]
        frames = []
        for key in chosen:
            rng = draws.generator(0, "evaluation view", look.view) if look.view else None
            frames.append(sampler.indices(store.frame_count(key), rng))
        numbers = augment.central(len(chosen))
        if look.place != _CENTER:
            for row, key in enumerate(chosen):
                height, width = store.frames(key)[np.arange(1)].shape[1:3]
                numbers.uniform[row, _SHIFT[0 if width >= height else 1]] = look.place
        return gather_view(store, chosen, frames, numbers)

    reads = (partial(read, start) for start in range(0, len(keys), batch))
    return show_all(reads, policy, settings, device)
