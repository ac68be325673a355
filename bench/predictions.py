"""Prediction files: what a trial answered on every scored clip, read and checked row by row."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datasets.errors import UserError

COLUMNS = ("clip", "label", "group", "predicted", "rank", "nll", "confidence", "error")
CURE = "delete the trial's folder and run the same command again"
ROUNDING = 1e-6
"""How far a probability may leave [0, 1], and a negative log-likelihood fall below 0, by rounding."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row per listed clip, in the order of the file.

    Attributes:
        clips: keys.
        groups: source videos.
        label: (clips,) true class.
        predicted: (clips,) answered class; -1 where no decoder could read the clip, which is always wrong.
        rank: (clips,) how many classes scored at least as much as the true one; 0 is right.
        nll: (clips,) negative log-likelihood of the true class in nats; NaN where not decoded.
        confidence: (clips,) probability of the answered class; NaN where not decoded.
        decoded: (clips,) whether the clip could be read.
    """

    clips: tuple[str, ...]
    groups: tuple[str, ...]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rank: NDArray[np.int64]
    nll: NDArray[np.float64]
    confidence: NDArray[np.float64]
    decoded: NDArray[np.bool_]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(clips,) whether the answer is right."""
        return np.asarray(self.predicted == self.label, dtype=np.bool_)


@dataclass
class Texts:
    """Columns of texts that were read before: all trials of a board have the same clips, hence one tuple."""

    most: int = 64
    _known: OrderedDict[bytes, tuple[str, ...]] = field(default_factory=OrderedDict)

    def of(self, column: pa.ChunkedArray) -> tuple[str, ...]:
        """The texts of a column without empty cells."""
        array = column.cast(pa.string()).combine_chunks()
        found = hashlib.sha256()
        for buffer in array.buffers():
            found.update(b"-" if buffer is None else memoryview(buffer))
        key = found.digest() + len(array).to_bytes(8)
        if key not in self._known:
            self._known[key] = tuple(array.to_pylist())
            if len(self._known) > self.most:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


def read_predictions(path: Path, texts: Texts | None = None, content: bytes | None = None) -> Predictions:
    """Reads the predictions of one trial.

    Args:
        path: the Parquet file.
        texts: columns of texts of earlier files, for whoever reads many.
        content: of the file, for who has read it already.

    Raises:
        UserError: naming the file, and the row and its clip, for a file that is no Parquet, a missing
            column, an empty cell, a clip that occurs twice, a class or probability that cannot be.
    """
    return predictions_of(_table(path, content), path, texts)


def predictions_of(table: pa.Table, path: Path, texts: Texts | None = None) -> Predictions:
    """The predictions in a table, which `path` names in messages.

    Raises:
        UserError: as `read_predictions`.
    """
    texts = texts or Texts()
    unread = pc.not_equal(pc.fill_null(table["error"].cast(pa.string()), ""), "")
    found = Predictions(
        clips=texts.of(table["clip"]),
        groups=texts.of(table["group"]),
        label=_whole(table, "label", path),
        predicted=_whole(table, "predicted", path),
        rank=_whole(table, "rank", path),
        nll=_real(table, "nll", path),
        confidence=_real(table, "confidence", path),
        decoded=~np.asarray(unread.to_numpy(), dtype=np.bool_),
    )
    check(found, path)
    return found


def check(found: Predictions, path: Path) -> None:
    """Refuses rows that cannot be a prediction.

    Raises:
        UserError: naming file, row and clip.
    """
    read, p = found.decoded, found.confidence
    with np.errstate(invalid="ignore"):  # NaN belongs in the rows that were not decoded
        complaints = (
            (found.label < 0, "its true class is negative"),
            (read & (found.predicted < 0), "it was decoded, but has no predicted class"),
            (~read & (found.predicted >= 0), "it was not decoded, but has a predicted class"),
            (found.rank < 0, "its rank is negative"),
            (read & ~np.isfinite(p), "its probability ('confidence') is NaN or infinite"),
            (read & ((p < -ROUNDING) | (p > 1 + ROUNDING)), "its probability ('confidence') is not in 0..1"),
            (read & ~np.isfinite(found.nll), "its negative log-likelihood ('nll') is NaN or infinite"),
            (read & (found.nll < -ROUNDING), "its negative log-likelihood ('nll') is below 0"),
        )
    for wrong, what in complaints:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UserError(f"{path}: row {row + 1} (clip '{found.clips[row]}'): {what}; {CURE}.")
    if len(set(found.clips)) < len(found.clips):
        seen: set[str] = set()
        for row, clip in enumerate(found.clips):
            if clip in seen:
                raise UserError(f"{path}: row {row + 1}: a clip occurs twice ('{clip}'); {CURE}.")
            seen.add(clip)


def _table(path: Path, content: bytes | None) -> pa.Table:
    try:
        # From memory and in this thread: a report reads thousands of small files.
        given = path.read_bytes() if content is None else content
        with pq.ParquetFile(pa.BufferReader(given)) as file:
            present = set(file.schema_arrow.names)
            missing = [name for name in COLUMNS if name not in present]
            table = None if missing else file.read(columns=list(COLUMNS), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read as Parquet; {CURE}.") from error
    if table is None:
        raise UserError(f"{path}: lacks the column '{missing[0]}'; {CURE}.")
    if table.num_rows == 0:
        raise UserError(f"{path}: holds no clip; {CURE}.")
    for name in ("clip", "group", "label", "predicted", "rank"):
        if table[name].null_count:
            row = table[name].to_pylist().index(None)
            raise UserError(f"{path}: row {row + 1}: column '{name}' is empty; {CURE}.")
    return table


def _whole(table: pa.Table, name: str, path: Path) -> NDArray[np.int64]:
    if not pa.types.is_integer(table.schema.field(name).type):
        raise UserError(f"{path}: column '{name}' must hold whole numbers; {CURE}.")
    return np.asarray(table[name].to_numpy(), dtype=np.int64)


def _real(table: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    kind = table.schema.field(name).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise UserError(f"{path}: column '{name}' must hold numbers; {CURE}.")
    return np.asarray(table[name].to_numpy(), dtype=np.float64)  # an empty cell becomes NaN
