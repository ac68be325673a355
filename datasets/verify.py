"""Reads every clip of a data set once, and says which are missing, damaged or shorter than they claim.

Decoders fill in what they cannot read, so full counts do not show damage: PyAV, which says of each frame
whether it is whole, decodes every clip a second time here, and only here.
"""

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
from datasets.errors import unknown_name
from datasets.file_hashes import ABSENT, problem, unreadable
from datasets.manifest import NO_ROOM, load_rows, manifest_path, save_rows
from datasets.progress import tracked

if TYPE_CHECKING:  # the child processes import this module, and need no torch
    from datasets.types import ClipRef, DataSet

STILL = "it has a single frame; used as a still picture, so fetch it again if it should move, or take it out"

_SAVE_SECONDS = 20.0
_CHECKED = "damaged"
"""The field of a row with the number of damaged frames; manifests from before that was looked at lack it."""

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
    """What `verify` found: clips in all, how many were decoded now, findings by key, and the manifest.

    `unsaved`: why the manifest could not be written, and the cure; None where it was.
    """

    name: str
    clips: int
    decoded: int
    findings: tuple[Finding, ...]
    manifest: Path
    unsaved: str | None = None


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
        UserError: the data set is not on this machine, or there is no such decoder.
    """
    if decoder not in DECODERS:
        raise unknown_name("decoder", decoder, DECODERS, "--decoder")
    dataset.prepare()
    clips = {clip.key: clip for clip in dataset.table().clips()}
    path = manifest_path(dataset.name, decoder)
    known = load_rows(path)
    rows = {key: known[key] for key, clip in clips.items() if key in known and _settled(clip, known[key])}
    problems = {key: problem(clip.path) for key, clip in clips.items() if key not in rows}
    left = [clips[key] for key, reason in problems.items() if reason is None]
    rows |= {key: _row(error=reason) for key, reason in problems.items() if reason is not None}
    unsaved = _examine(left, order(decoder), rows, path, dataset.name, workers, progress)
    return VerifyReport(dataset.name, len(clips), len(left), _findings(rows), path, unsaved)


def _examine(
    clips: list[ClipRef],
    decoders: tuple[str, ...],
    rows: dict[str, dict[str, Any]],
    path: Path,
    name: str,
    workers: int,
    progress: bool,
) -> str | None:
    """Adds the rows of these clips and saves all; returns why that is not possible."""
    results = decoded_in_rounds(examine, [Reading(clip.path, decoders) for clip in clips], workers)
    saved = time.monotonic()
    try:
        with contextlib.closing(tracked(results, len(clips), f"verifying {name}", shown=progress)) as found:
            for outcome in found:
                clip = clips[outcome.place]
                rows[clip.key] = _judged(clip.path, outcome)
                if time.monotonic() - saved > _SAVE_SECONDS:
                    _unsaved(path, rows)  # a full disk may have space again at the end, which tells
                    saved = time.monotonic()
    except BaseException:
        _unsaved(path, rows)
        raise
    return _unsaved(path, rows)


def _unsaved(path: Path, rows: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Saves the manifest; returns why that is not possible, and the cure."""
    try:
        save_rows(path, rows)
    except OSError as error:
        return f"the manifest {path} cannot be written ({error.strerror}); {NO_ROOM}."
    return None


def examine(job: Reading) -> dict[str, Any]:
    """The manifest row of a file: decodes it once.  Runs in a child process."""
    try:
        digest, size, mtime = fingerprint(job.path)
    except OSError as error:
        return _row(error=unreadable(error))
    row = _row(sha256=digest, size=size, mtime_ns=mtime)
    try:
        found = video_io.decode(job.path, _SIDE, job.decoders)
    except video_io.UndecodableError as error:
        return row | {"error": error.reason, "asked": _able(job.decoders)}
    if found.facts is not None:
        row |= {name: getattr(found.facts, name) for name in ("codec", "fps", "width", "height")}
    damaged, flaw = _damaged(job, found.flaw)
    return row | {"frames": len(found.frames), "decoder": found.decoder, "flaw": flaw, _CHECKED: damaged}


def _damaged(job: Reading, flaw: str | None) -> tuple[int | None, str | None]:
    """How many frames of a file PyAV finds damaged (None: it could not look), and the flaw with that."""
    if "pyav" not in job.decoders:
        return None, flaw
    try:
        damage = video_io.damage(job.path)
    except video_io.UndecodableError:
        return None, flaw
    # Frames that do not come at all are in the flaw already, where it counts frames.
    damaged = damage.corrupt if flaw else damage.corrupt + damage.failed
    said = f"{damaged} of its {damage.frames + damage.failed} frames are damaged" if damaged else None
    return damaged, "; ".join(filter(None, (flaw, said))) or None


def _row(**known: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("sha256", "codec", "fps", "width", "height", "decoder", "flaw", "error"))
    return {"size": -1, "mtime_ns": -1, **nothing, "frames": 0, _CHECKED: None, **known}


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
        return _row(error=unreadable(error))
    return _row(sha256=digest, size=size, mtime_ns=mtime, error=reason, asked=list(DECODERS))


def _able(decoders: Iterable[str]) -> list[str]:
    """The decoders that work on this machine."""
    return [name for name in decoders if DECODERS[name].missing() is None]


def _settled(clip: ClipRef, row: Mapping[str, Any]) -> bool:
    """Whether a row still tells what decoding the clip now would tell."""
    if not _unchanged(clip, row) or _CHECKED not in row:
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
        elif flaw := "; ".join(filter(None, (row["flaw"], STILL if row["frames"] == 1 else None))):
            found.append(Finding(key, "flawed", flaw))
    return tuple(found)
