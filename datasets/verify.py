"""Reads every clip of a data set once, and says which are missing, damaged or shorter than they claim."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import video_io
from datasets.clip_cache import fingerprint
from datasets.contained import Lost, contained
from datasets.errors import UserError
from datasets.home import data_home
from datasets.progress import tracked

if TYPE_CHECKING:  # the child processes import this module, and need no torch
    from datasets.types import ClipRef, DataSet

FORMAT = 1
_SAVE_SECONDS = 20.0
_SIDE = 32
"""Frames are only counted, so they are kept small."""


@dataclass(frozen=True)
class Finding:
    """A clip that is not as it should be; `kind` is "missing", "undecodable" or "flawed" (used as it is)."""

    key: str
    kind: str
    reason: str


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found: clips in all, how many were decoded now, findings by key, and the manifest."""

    name: str
    clips: int
    decoded: int
    findings: tuple[Finding, ...]
    manifest: Path


def verify(dataset: DataSet, workers: int = 1, progress: bool = True) -> VerifyReport:
    """Decodes every clip of all roles in child processes and writes the manifest of the data set.

    The manifest has per key frames, fps, width, height, codec, decoder, content hash, flaw and error.
    Clips that it has, with the size and time that their file has now, are not decoded again, so an
    interrupted call is resumed by the next.

    Raises:
        UserError: the data set is not on this machine, or the manifest cannot be written.
    """
    dataset.prepare()
    clips = {clip.key: clip for clip in dataset.table().clips()}
    path = data_home() / "manifests" / f"{dataset.name}.json"
    known = _load(path)
    rows = {key: known[key] for key, clip in clips.items() if key in known and _unchanged(clip, known[key])}
    left = [clip for key, clip in clips.items() if key not in rows and clip.path.is_file()]
    try:
        _examine(left, rows, path, dataset.name, workers, progress)
    except OSError as error:
        raise UserError(f"the manifest {path} cannot be written ({error.strerror}).") from error
    return VerifyReport(dataset.name, len(clips), len(left), _findings(clips, rows), path)


def _examine(
    clips: list[ClipRef],
    rows: dict[str, dict[str, Any]],
    path: Path,
    name: str,
    workers: int,
    progress: bool,
) -> None:
    results = contained(examine, [clip.path for clip in clips], max(1, min(workers, len(clips))))
    saved = time.monotonic()
    try:
        with contextlib.closing(tracked(results, len(clips), f"verifying {name}", shown=progress)) as found:
            for place, result in found:
                clip = clips[place]
                rows[clip.key] = _lost(clip.path, result) if isinstance(result, Lost) else result
                if time.monotonic() - saved > _SAVE_SECONDS:
                    _save(path, rows)
                    saved = time.monotonic()
    finally:
        _save(path, rows)


def examine(path: Path) -> dict[str, Any]:
    """The manifest row of a file: decodes it once.  Runs in a child process."""
    digest, size, mtime = fingerprint(path)
    row: dict[str, Any] = {"size": size, "mtime_ns": mtime, "sha256": digest}
    try:
        facts = video_io.probe(path)
        row |= {"codec": facts.codec, "fps": facts.fps, "width": facts.width, "height": facts.height}
        found = video_io.decode(path, _SIDE)
        row |= {"frames": len(found.frames), "decoder": found.decoder, "flaw": found.flaw, "error": None}
    except video_io.UndecodableError as error:
        row |= {"frames": 0, "decoder": None, "flaw": None, "error": error.reason}
    return row


def _lost(path: Path, lost: Lost) -> dict[str, Any]:
    stat = path.stat()
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "frames": 0,
        "flaw": None,
        "error": lost.reason,
    }


def _unchanged(clip: ClipRef, row: Mapping[str, Any]) -> bool:
    try:
        stat = clip.path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (row.get("size"), row.get("mtime_ns"))


def _findings(clips: Mapping[str, ClipRef], rows: Mapping[str, Mapping[str, Any]]) -> tuple[Finding, ...]:
    found = []
    for key in sorted(clips):
        row = rows.get(key)
        if row is None:
            found.append(Finding(key, "missing", "the file does not exist"))
        elif row["error"]:
            found.append(Finding(key, "undecodable", row["error"]))
        elif row["flaw"]:
            found.append(Finding(key, "flawed", row["flaw"]))
    return tuple(found)


def _load(path: Path) -> dict[str, dict[str, Any]]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return dict(stored["clips"]) if stored["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # none yet, or damaged: every clip is decoded again


def _save(path: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        content = {"format": FORMAT, "clips": {key: rows[key] for key in sorted(rows)}}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
