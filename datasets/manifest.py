"""What `data verify` found out about each clip: which decoder reads it in full, and how many frames it has.

There is one manifest per data set and decoder that is asked first, as there is one clip cache: whoever reads
clips with these settings takes the pinned decoder, and gets what the unpinned choice would give.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datasets import video_io
from datasets.decoders import DEFAULT
from datasets.home import data_home

FORMAT = 2
"""Raised when rows of old manifests cannot be used; their clips are decoded again."""

NO_ROOM = (
    "see that its disk has space and that you may write there, or set SEFAR_BENCH_HOME to a folder "
    "elsewhere, and give the same command again"
)
"""What to do where a finding cannot be kept in the data home."""


class Pin(NamedTuple):
    """What is known of the file with these bytes; `decoder` is None where nobody reads it (see `error`).

    `pixels` counts those of a picture, 0 where nobody knows.
    """

    sha256: str
    decoder: str | None
    frames: int
    flaw: str | None
    error: str | None
    pixels: int = 0


def manifest_path(name: str, first: str = DEFAULT, home: Path | None = None) -> Path:
    """The manifest of a data set whose clips are given to the decoder `first` first."""
    suffix = "" if first == DEFAULT else f"-{first}"
    return (home or data_home()) / "manifests" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}{suffix}.json"


def load_rows(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a manifest by key; none where it is missing, damaged or of another format."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return dict(stored["clips"]) if stored["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def save_rows(path: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Replaces a manifest in one rename.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        content = {"format": FORMAT, "clips": {key: rows[key] for key in sorted(rows)}}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def pins(name: str, first: str = DEFAULT, home: Path | None = None) -> dict[str, Pin]:
    """The pins of a data set by key; none where it was not verified."""
    found = {}
    for key, row in load_rows(manifest_path(name, first, home)).items():
        if row.get("sha256"):
            pixels = (row.get("width") or 0) * (row.get("height") or 0)
            found[key] = Pin(row["sha256"], row["decoder"], row["frames"], row["flaw"], row["error"], pixels)
    return found


def decode_pinned(
    path: Path, short_side: int | None, decoders: tuple[str, ...], pin: Pin | None
) -> video_io.Decoded:
    """Decodes a clip with its pinned decoder; asks all where there is no pin, or where it does not hold.

    Args:
        path: the file, whose bytes are those of the pin.
        short_side: as for `video_io.decode`.
        decoders: whom to ask, in this order.
        pin: what the manifest says.

    Raises:
        UndecodableError: no decoder reads a frame of it.
    """
    if pin is not None and pin.error is not None:
        raise video_io.UndecodableError(path, pin.error)
    if pin is not None and pin.decoder in decoders:
        try:
            frames = video_io.read_with(path, pin.decoder, short_side, pin.pixels)
        except video_io.UndecodableError:
            frames = None  # it is not on this machine any more, or another version
        if frames is not None and len(frames) == pin.frames:
            return video_io.Decoded(frames, pin.decoder, pin.flaw)
    return video_io.decode(path, short_side, decoders)
