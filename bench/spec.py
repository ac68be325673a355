"""The specification of one trial: everything that can change its result, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Interval
from pydantic import AfterValidator, BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from datasets.policy import AugmentPolicy

SCHEMA_VERSION = 1
"""Rises whenever old trial folders can no longer be read as they are."""


class Frozen(BaseModel):
    """Base of all specifications: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @cached_property
    def compact(self) -> str:
        """JSON with sorted keys and no spaces; made once, as trials of a suite share most of their parts."""
        return compact_json(self.model_dump(mode="json"))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, without what was derived from the old values."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


def compact_json(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _check_labels(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*|(\d+(\.\d+)?)%|all|list", text):
        raise ValueError("labels are '4' (per class), '5%' (of each class), 'all', or 'list' (as given)")
    if text.endswith("%") and not 0 < float(text[:-1]) <= 100:
        raise ValueError("a share of labels is above 0% and at most 100%")
    return text


Labels = Annotated[str, AfterValidator(_check_labels)]
"""How many clips are labeled: "4" per class, "5%" of each class, "all", or "list" (a pinned list)."""


class Optimizer(Frozen):
    """`sgd` (Nesterov) or `adamw`; linear warm-up, then cosine to 0, or factors 0.1 at `milestones`."""

    name: Literal["adamw", "sgd"]
    lr: Annotated[float, Gt(0)]
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9
    warmup_steps: Annotated[int, Ge(0)] = 0
    schedule: Literal["cosine", "milestones", "constant"] = "cosine"
    milestones: tuple[float, ...] = ()
    """Shares of all steps at which the rate falls to a tenth."""


class Batch(Frozen):
    """Clips per pass.  `warmup`: labeled clips of a labels-only step; `accumulate`: passes per step."""

    labeled: Annotated[int, Ge(1)]
    unlabeled: Annotated[int, Ge(1)]
    warmup: Annotated[int, Ge(1)]
    accumulate: Annotated[int, Ge(1)] = 1


class Evaluation(Frozen):
    """Which weights are evaluated (equal for all entries of a suite), on how many views, in what batches.

    `views`: draws of frames per clip, the first one deterministic from the middle of the sampler's ranges.
    `crops`: crops spread evenly along the long side; one is the center.  Probabilities are averaged over
    views times crops.
    """

    model: Literal["ema", "student"] = "ema"
    decay: Annotated[float, Interval(ge=0, lt=1)] = 0.98
    batch: Annotated[int, Ge(1)] = 60
    views: Annotated[int, Ge(1)] = 1
    crops: Annotated[int, Ge(1)] = 1

    @model_serializer(mode="wrap")
    def _without_single(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """One view and one crop are left out, so that trials from before there were more keep their ids."""
        values: dict[str, Any] = serialize(self)
        return {k: v for k, v in values.items() if k not in ("views", "crops") or v != 1}


class Protocol(Frozen):
    """What a suite fixes for all its entries: frames, pixels, augmentations, budget, evaluation.

    `short_side`: of the stored frames; null keeps each video's size.  `store`: "raw" frames, or "jpeg", which
    takes less disk and is not exact, so it is part of the specification.
    `decoder`: who is asked first for the frames of a clip (`datasets.decoders`); pixels differ by rounding.
    """

    frames: Annotated[int, Ge(1)]
    short_side: Annotated[int, Ge(8)] | None
    store: Literal["raw", "jpeg"] = "raw"
    decoder: Literal["decord", "pyav", "torchcodec"] = "decord"
    size: Annotated[int, Ge(8)]
    normalize: Literal["clip", "kinetics"]
    augmentations: dict[str, AugmentPolicy]
    steps: Annotated[int, Ge(1)]
    batch: Batch
    optimizer: Optimizer
    evaluation: Evaluation = Evaluation()
    checkpoint: Literal["final", "best_validation"] = "final"
    validate_every: Annotated[int, Ge(1)] = 100
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: Annotated[int, Ge(1)] = 1
    deterministic: bool = True

    @model_serializer(mode="wrap")
    def _without_usual(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The exact store and the usual decoder are left out, so that older trials keep their ids."""
        values: dict[str, Any] = serialize(self)
        usual = {("store", "raw"), ("decoder", "decord")}
        return {
            name: value
            for name, value in values.items()
            if not isinstance(value, str) or (name, value) not in usual
        }


class Net(Frozen):
    """A backbone by name, its settings, and the file or name of its initial weights."""

    name: str
    config: dict[str, Any] = {}
    weights: str = "random"


class TrialSpec(Frozen):
    """One trial.  Equal specifications have equal ids and, on one machine, equal results."""

    schema_version: int = SCHEMA_VERSION
    method: str
    config: dict[str, Any]
    data: str
    labels: Labels
    split_hash: str
    seed: Annotated[int, Ge(0)]
    backbone: Net
    protocol: Protocol
    device: Literal["cpu", "cuda"] = "cpu"
    scored_on: Literal["test", "validation"] = "test"
    allow_empty_classes: bool = False
    """Whether classes with fewer clips than labels asked for may have what they have, or none."""
    limited: bool = False
    """Whether `--limit-steps` cut the budget; such a trial is barred from leaderboards."""

    @property
    def cell(self) -> str:
        """Data set and label budget, as `synthgym@4`."""
        return f"{self.data}@{self.labels}"

    def canonical(self) -> str:
        """JSON with sorted keys and no spaces: what the id is a hash of.

        `allow_empty_classes` is named only where it is set: it is younger than the ids of many trials.
        """
        shared = {"backbone": self.backbone.compact, "protocol": self.protocol.compact}
        own = self.model_dump(mode="json", exclude=set(shared))
        if not self.allow_empty_classes:
            del own["allow_empty_classes"]
        texts = {name: compact_json(value) for name, value in own.items()} | shared
        return "{" + ",".join(f'"{name}":{texts[name]}' for name in sorted(texts)) + "}"

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:16]
