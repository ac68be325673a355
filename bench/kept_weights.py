"""The evaluated model of a finished trial, kept with `--keep-weights`, and built again from its folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from bench import plugins, store
from bench.experiment import build_backbone
from bench.schema import stored_spec
from bench.spec import TrialSpec
from bench.store import TrialFolder
from datasets.errors import UserError
from datasets.types import TaskInfo
from methods.base import Classifier, Method
from methods.config import build


def save(model: nn.Module, path: Path) -> None:
    """Writes the weights of a model as safetensors.

    Raises:
        UserError: when the disk is full or the folder cannot be written.
    """
    own = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    store.write_bytes(path, to_bytes(own))  # safetensors' own writing hides what the disk said


def load(folder: TrialFolder) -> tuple[TrialSpec, dict[str, Any], Method, Classifier]:
    """The specification, the record, the method and the evaluated classifier of a finished trial.

    Raises:
        UserError: when the trial is not done, kept no weights, they are damaged, or its code has changed so
            that they do not fit.
    """
    record = folder.done()
    if record is None:
        raise UserError(
            f"{folder.path}: there is no finished trial here; give a folder RUNS/SUITE/trials/ID."
        )
    spec = stored_spec(record.get("spec"), folder.path / store.DONE)
    weights = folder.path / store.WEIGHTS
    again = f"python -m bench trial {folder.path / store.SPEC} --out weights --keep-weights"
    if record.get("weights_sha256") is None or not weights.is_file():
        raise UserError(
            f"{folder.path}: this trial kept no weights; run it once more with: {again} (it writes to "
            f"weights/single/trials/{spec.id})."
        )
    if store.sha256(weights) != record["weights_sha256"]:
        raise UserError(f"{weights}: the file was changed after its trial; make it anew with: {again}.")
    method = _method(spec, record)
    try:
        method.student.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{weights}: these weights do not fit the code of today; make them anew with: {again}."
        ) from error
    return spec, record, method.eval(), method.student


def _method(spec: TrialSpec, record: dict[str, Any]) -> Method:
    """The trial's method, built without its data."""
    cls = plugins.method_class(spec.method)
    classes = int(record["classes"])
    task = TaskInfo(
        classes=classes,
        labeled=int(record["labeled"]),
        unlabeled=int(record["unlabeled"]),
        class_counts=(1,) * classes,  # of use in training only
        frames=spec.protocol.frames,
    )
    bare = spec.backbone.model_copy(update={"weights": "random"})  # all are overwritten
    with torch.random.fork_rng(devices=[]):
        return cls(
            build(cls.Config, spec.config, f"method '{spec.method}'"), task, partial(build_backbone, bare)
        )
