"""Features of a trained model: what its backbone says of each level of a clip, and what its head fuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench import kept_weights, plugins
from bench.evaluate import DivergedError
from bench.feature_files import FUSED, Features, Floats
from bench.spec import TrialSpec
from bench.store import TrialFolder
from bench.trial import open_cache
from datasets.errors import UserError
from datasets.splits import make_split
from datasets.types import ClipRef, ClipTable
from datasets.views import FrameStore, ViewSettings, evaluation_clips
from methods.base import Classifier, Method

FORMAT = 1


@torch.no_grad()
def of_clips(
    method: Method,
    model: Classifier,
    store: FrameStore,
    keys: Sequence[str],
    settings: ViewSettings,
    batch: int,
    device: torch.device,
) -> dict[str, Floats]:
    """Features on the deterministic test views.

    Returns:
        `level_0`, `level_1`, ... and `fused`, each (len(keys), width).

    Raises:
        UserError: for a method whose model has no features of levels and no head.
        DivergedError: when they are not finite.
    """
    parts: dict[str, list[torch.Tensor]] = {}
    for clip in evaluation_clips(store, keys, method.sampler(), settings, batch, device):
        try:
            levels = model.features(clip)
            fused = model.head.embed(levels)
        except (AttributeError, NotImplementedError) as error:
            raise UserError(
                f"method '{method.name}' evaluates a model that is no single backbone with a head, so it has "
                "no features to write; take a trial of another method."
            ) from error
        named = {f"level_{i}": level for i, level in enumerate(levels)} | {FUSED: fused}
        for name, value in named.items():
            parts.setdefault(name, []).append(value.float().cpu())
    joined = {name: torch.cat(values) for name, values in parts.items()}
    if not all(bool(value.isfinite().all()) for value in joined.values()):
        raise DivergedError(f"the features of method '{method.name}' are not finite.")
    return {name: value.numpy() for name, value in joined.items()}


def roles(table: ClipTable) -> Iterator[tuple[ClipRef, str]]:
    """Every clip once with its list; a clip in several lists counts for the first of these."""
    lists = {
        "test": table.test,
        "validation": table.validation,
        "train": table.train,
        "unlabeled": table.unlabeled or (),
    }
    seen: set[str] = set()
    for role, clips in lists.items():
        for clip in clips:
            if clip.key not in seen:
                seen.add(clip.key)
                yield clip, role


def index_of(table: ClipTable, errors: dict[str, str], labeled: frozenset[str]) -> pd.DataFrame:
    """The index of the decodable clips of a data set, see `feature_files`."""
    rows = [
        (
            clip.key,
            role,
            clip.label,
            table.classes[clip.label] if clip.label >= 0 else "",
            clip.group,
            clip.key in labeled,
        )
        for clip, role in roles(table)
        if clip.key not in errors
    ]
    names = ["clip", "role", "label", "class_name", "group", "labeled"]
    found = pd.DataFrame(rows, columns=names)
    found.insert(0, "row", np.arange(len(found), dtype=np.int64))
    return found


def of_trial(folder: TrialFolder, data: str | None) -> Features:
    """Features of all clips of a data set by the kept model of a finished trial.

    Args:
        folder: the trial.
        data: a data set on this machine; None is the trial's own.

    Raises:
        UserError: see `kept_weights.load`; for a data set that is unknown or absent.
    """
    spec, record, method, model = kept_weights.load(folder)
    name = data or spec.data
    found = plugins.dataset(name, "--data")
    if not found.present():
        raise UserError(f"--data: '{name}' is not on this machine; add it with: {found.how_to_add()}")
    table = found.table()
    cache = open_cache(spec.model_copy(update={"data": name}), table, found)
    index = index_of(table, cache.errors, _known(spec, name, table))
    settings = ViewSettings(
        policies=spec.protocol.augmentations,
        size=spec.protocol.size,
        normalize=spec.protocol.normalize,
        mirror=table.mirror,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keys = index["clip"].tolist()
    batch = spec.protocol.evaluation.batch
    tensors = of_clips(method, model.to(device), cache, keys, settings, batch, device)
    return Features(tensors, index, _about(spec, record, name, cache.errors))


def _known(spec: TrialSpec, data: str, table: ClipTable) -> frozenset[str]:
    """The clips whose labels the trial was told; none of another data set."""
    if data != spec.data:
        return frozenset()
    return frozenset(
        clip.key for clip in make_split(table, spec.labels, spec.seed, spec.allow_empty_classes).labeled
    )


def _about(spec: TrialSpec, record: dict[str, Any], data: str, errors: dict[str, str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "data": data,
        "trial": spec.id,
        "trained_on": spec.cell,
        "method": spec.method,
        "backbone": spec.backbone.name,
        "frames": spec.protocol.frames,
        "size": spec.protocol.size,
        "weights_sha256": record["weights_sha256"],
        "excluded": dict(sorted(errors.items())),
    }
