"""Reads every clip of a data set once, and says which are missing, damaged or shorter than they claim."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import video_io
from datasets.clip_cache import fingerprint
from datasets.contained import Lost
from datasets.decoders import DECODERS, DEFAULT, order
from datasets.decoding_rounds import Outcome, Reading, decoded_in_rounds
from datasets.errors import UserError, unknown_name
from datasets.file_hashes import NO_FILE
from datasets.manifest import load_rows, manifest_path, save_rows
from datasets.progress import tracked

if TYPE_CHECKING:  # the child processes import this module, and need no torch
    from datasets.types import ClipRef, DataSet

ABSENT = "the file does not exist"

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


def verify(dataset: DataSet, workers: int = 1, progress: bool = True, decoder: str = DEFAULT) -> VerifyReport:
    """Decodes every clip of all roles in child processes and writes the manifest of the data set.

    The manifest has per key frames, fps, width, height, codec, decoder (the one that reads it in full),
    content hash, flaw and error.  Clips that it has, with the size and time that their file has now, are not
    decoded again, so an interrupted call is resumed by the next; those that nobody could read are, once
    there is a decoder that was not asked.

    Args:
        dataset: what to look at.
        workers: number of child processes.
        progress: whether to show it.
        decoder: who is asked first.

    Raises:
        UserError: the data set is not on this machine, there is no such decoder, or the manifest cannot be
            written.
    """
    if decoder not in DECODERS:
        raise unknown_name("decoder", decoder, DECODERS, "--decoder")
    dataset.prepare()
    clips = {clip.key: clip for clip in dataset.table().clips()}
    path = manifest_path(dataset.name, decoder)
    known = load_rows(path)
    rows = {key: known[key] for key, clip in clips.items() if key in known and _settled(clip, known[key])}
    left = [clip for key, clip in clips.items() if key not in rows and clip.path.is_file()]
    absent = {key: clip for key, clip in clips.items() if key not in rows and not clip.path.is_file()}
    rows |= {key: _row(error=_absence(clip.path)) for key, clip in absent.items()}
    try:
        _examine(left, order(decoder), rows, path, dataset.name, workers, progress)
    except OSError as error:
        raise UserError(f"the manifest {path} cannot be written ({error.strerror}).") from error
    return VerifyReport(dataset.name, len(clips), len(left), _findings(rows), path)


def _examine(
    clips: list[ClipRef],
    decoders: tuple[str, ...],
    rows: dict[str, dict[str, Any]],
    path: Path,
    name: str,
    workers: int,
    progress: bool,
) -> None:
    results = decoded_in_rounds(examine, [Reading(clip.path, decoders) for clip in clips], workers)
    saved = time.monotonic()
    try:
        with contextlib.closing(tracked(results, len(clips), f"verifying {name}", shown=progress)) as found:
            for outcome in found:
                clip = clips[outcome.place]
                rows[clip.key] = _judged(clip.path, outcome)
                if time.monotonic() - saved > _SAVE_SECONDS:
                    save_rows(path, rows)
                    saved = time.monotonic()
    finally:
        save_rows(path, rows)


def examine(job: Reading) -> dict[str, Any]:
    """The manifest row of a file: decodes it once.  Runs in a child process."""
    try:
        digest, size, mtime = fingerprint(job.path)
    except OSError as error:
        return _row(error=f"the file cannot be read ({error.strerror})")
    row = _row(sha256=digest, size=size, mtime_ns=mtime)
    try:
        found = video_io.decode(job.path, _SIDE, job.decoders)
    except video_io.UndecodableError as error:
        return row | {"error": error.reason, "asked": _able(job.decoders)}
    if found.facts is not None:
        row |= {name: getattr(found.facts, name) for name in ("codec", "fps", "width", "height")}
    return row | {"frames": len(found.frames), "decoder": found.decoder, "flaw": found.flaw}


def _row(**known: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("sha256", "codec", "fps", "width", "height", "decoder", "flaw", "error"))
    return {"size": -1, "mtime_ns": -1, **nothing, "frames": 0, **known}


def _judged(path: Path, outcome: Outcome) -> dict[str, Any]:
    """The row of a file after all rounds: that a decoder crashed on it is a flaw of the file."""
    if not isinstance(outcome.result, Lost):
        row: dict[str, Any] = outcome.result
        if outcome.failed and not row["error"]:
            row["flaw"] = "; ".join(filter(None, (row["flaw"], outcome.failed)))
        return row
    reason = "; ".join(filter(None, (outcome.failed, outcome.result.reason)))
    if outcome.result.outside:  # without hash and time nobody takes it for a finding about the file
        return _row(error=reason)
    try:
        digest, size, mtime = fingerprint(path)
    except OSError as error:
        return _row(error=f"the file cannot be read ({error.strerror})")
    return _row(sha256=digest, size=size, mtime_ns=mtime, error=reason, asked=list(DECODERS))


def _absence(path: Path) -> str:
    return NO_FILE if path.exists() else ABSENT


def _able(decoders: Iterable[str]) -> list[str]:
    """The decoders that work on this machine."""
    return [name for name in decoders if DECODERS[name].missing() is None]


def _settled(clip: ClipRef, row: Mapping[str, Any]) -> bool:
    """Whether a row still tells what decoding the clip now would tell."""
    if not _unchanged(clip, row):
        return False
    return not row["error"] or set(_able(DECODERS)) <= set(row.get("asked", ()))


def _unchanged(clip: ClipRef, row: Mapping[str, Any]) -> bool:
    try:
        stat = clip.path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (row.get("size"), row.get("mtime_ns"))


def _findings(rows: Mapping[str, Mapping[str, Any]]) -> tuple[Finding, ...]:
    found = []
    for key in sorted(rows):
        row = rows[key]
        if row["error"]:
            kind = "missing" if row["error"] == ABSENT else "undecodable"
            found.append(Finding(key, kind, row["error"]))
        elif row["flaw"]:
            found.append(Finding(key, "flawed", row["flaw"]))
    return tuple(found)
