"""Features of clips as files that anybody reads: safetensors, and beside it a Parquet index.

    NAME.safetensors   level_0, level_1, ... (n, D) and fused (n, E), float32; what made them as metadata
    NAME.parquet       row (into the tensors), clip, role, label, class_name, group, labeled

Nothing of this package is needed to load them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from bench.store import refuse_place, write_bytes
from datasets.errors import UserError, unknown_name

Floats = NDArray[np.float32]
COLUMNS = ("row", "clip", "role", "label", "class_name", "group", "labeled")
FUSED = "fused"


@dataclass(frozen=True, eq=False)
class Features:
    """Features of n clips.

    Attributes:
        tensors: name -> (n, D): one per temporal level, and `fused`, what the last layer sees.
        index: one row per clip, in the order of the tensors.  `role` is the clip's list (train, unlabeled,
            validation, test); `labeled` says whether the trial that trained the net knew its label.
        about: what made them: trial, method, backbone, data set, excluded clips.
    """

    tensors: Mapping[str, Floats]
    index: pd.DataFrame
    about: Mapping[str, Any]

    def named(self, name: str) -> Floats:
        """One tensor, or `levels`: those of all levels side by side.

        Raises:
            UserError: for another name.
        """
        if name == "levels":
            return np.concatenate([value for key, value in self.tensors.items() if key != FUSED], 1)
        if name not in self.tensors:
            raise unknown_name("feature", name, {*self.tensors, "levels"}, "--features")
        return self.tensors[name]


def index_path(path: Path) -> Path:
    """The index of a file of features."""
    return path.with_suffix(".parquet")


def refuse_out(path: Path) -> None:
    """That features can be written there later, after long work.

    Raises:
        UserError: for a name without `.safetensors`, or a place that cannot be written.
    """
    if path.suffix != ".safetensors":
        raise UserError(f"--out {path}: the file must end in .safetensors; its index lies beside it.")
    refuse_place(path, "--out")


def write(features: Features, path: Path) -> None:
    """Writes both files, each renamed into place, the index last.

    Raises:
        UserError: for a name without `.safetensors`, a full disk or a folder that cannot be written.
    """
    refuse_out(path)
    metadata = {name: json.dumps(value) for name, value in features.about.items()}
    tensors = {name: np.ascontiguousarray(value) for name, value in features.tensors.items()}
    index = io.BytesIO()
    features.index.to_parquet(index, index=False)
    write_bytes(path, to_bytes(tensors, metadata))  # safetensors' own writing hides what the disk said
    write_bytes(index_path(path), index.getvalue())


def read(path: Path) -> Features:
    """Reads what `write` wrote.

    Raises:
        UserError: for files that are missing, damaged or do not belong together.
    """
    index = index_path(path)
    for file in (path, index):
        if not file.is_file():
            raise UserError(f"{file}: there is no such file; make it with: python -m bench features TRIAL.")
    try:
        with safe_open(path, "numpy") as file:
            about = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        table = pd.read_parquet(index)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({error}); make it anew with bench features.") from error
    missing = [name for name in COLUMNS if name not in table]
    rows = {len(value) for value in tensors.values()}
    if missing or rows != {len(table)} or FUSED not in tensors:
        raise UserError(f"{index}: is not the index of {path.name}; make both anew with bench features.")
    for name in ("row", "label"):
        if not pd.api.types.is_integer_dtype(table[name]):
            raise UserError(f"{index}: column '{name}' must hold whole numbers, not {table[name].dtype}.")
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise UserError(f"{path}: tensor '{name}' has values that are not finite; make the file anew.")
    return Features(tensors, table.sort_values("row").reset_index(drop=True), about)
