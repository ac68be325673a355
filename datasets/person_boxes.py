"""Where persons are in the clips of a data set: a file of boxes, and boxes as masks of frames.

The file has one JSON object a line: `{"clip": "a/b.mp4", "boxes": [...], "size": [1280, 720]}`.  `boxes` is
a list of `[x1, y1, x2, y2]` that hold for the whole clip, or a list with one such list per frame.
Coordinates are pixels of frames of `size` (width, height) or, where there is no `size`, shares of both.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from datasets.errors import UserError

Boxes = tuple[NDArray[np.float32], ...]
"""Boxes of a clip, (M, 4) as shares (x1, y1, x2, y2) of width and height: one entry, or one per frame."""

_Box = tuple[float, float, float, float]
_Side = Annotated[float, Gt(0)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    clip: str
    boxes: list[_Box] | list[list[_Box]]
    size: tuple[_Side, _Side] | None = None


def read_boxes(path: Path, keys: Collection[str]) -> dict[str, Boxes]:
    """The boxes of a data set's clips; clips that the file does not name have none.

    Args:
        path: the file.
        keys: the clips of the data set.

    Raises:
        UserError: naming file and line, for a line that is no such object, a clip that is named twice, a
            box outside of its frame or without area, or a file that names no clip of the data set.
    """
    found: dict[str, Boxes] = {}
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the boxes file {path} cannot be read as text ({error}).") from error
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        where = f"{path}:{number}"
        line = _parsed(row, where)
        if line.clip in found:
            raise UserError(f"{where}: clip '{line.clip}' stands in an earlier line too; keep one of them.")
        found[line.clip] = _boxes(line, where)
    if not found.keys() & set(keys):
        raise UserError(
            f"the boxes file {path} names none of the data set's clips; its 'clip' must be a clip's path "
            f"below the root, for example '{min(keys, default='clip.mp4')}'."
        )
    return found


def _parsed(row: str, where: str) -> _Line:
    try:
        values: Any = json.loads(row)
        return _Line.model_validate(values)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: this is no JSON object ({error.msg}); give one per line.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][:1]) or "the line"
        raise UserError(f"{where}: '{field}' does not fit ({first['msg']}).") from None


def _boxes(line: _Line, where: str) -> Boxes:
    # An empty list, and a list that starts with a box, hold for the whole clip.
    per_frame = bool(line.boxes) and not (line.boxes[0] and isinstance(line.boxes[0][0], float))
    lists: Sequence[Any] = line.boxes if per_frame else [line.boxes]
    width, height = line.size or (1.0, 1.0)
    sides = np.array([width, height, width, height], np.float32)
    made = tuple(np.array(boxes, np.float32).reshape(-1, 4) / sides for boxes in lists)
    for box in (box for boxes in made for box in boxes):
        x1, y1, x2, y2 = box
        if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
            given = [round(float(value), 4) for value in box * sides]
            raise UserError(
                f"{where}: the box {given} does not lie in its frame ({width:g} by {height:g}) with "
                "x1 < x2 and y1 < y2; give pixels together with their 'size', or shares without one."
            )
    return made


def person_masks(boxes: Boxes, frames: NDArray[np.int64], height: int, width: int) -> NDArray[np.uint8]:
    """Masks of frames: 1 where the center of a pixel is in a box.

    Args:
        boxes: of the clip; frames beyond the last entry have its boxes.
        frames: (T,) positions.
        height: of a frame in pixels.
        width: of a frame in pixels.

    Returns:
        (T, height, width) of 0 and 1.
    """
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    masks = np.zeros((len(frames), height, width), np.uint8)
    for mask, position in zip(masks, frames, strict=True):
        for x1, y1, x2, y2 in boxes[min(int(position), len(boxes) - 1)]:
            mask[np.ix_((y >= y1) & (y < y2), (x >= x1) & (x < x2))] = 1
    return masks


NONE: Mapping[str, Boxes] = {}
"""A data set without boxes."""
