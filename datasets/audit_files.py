"""Scored clips whose bytes or footage are also trained on, under whatever name."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Sequence

from datasets.audit import AuditFinding, finding, trained
from datasets.clip_cache import fingerprint
from datasets.contained import Lost
from datasets.decoders import order
from datasets.decoding_rounds import Reading, decoded_in_rounds
from datasets.file_hashes import ABSENT, problem
from datasets.near_duplicates import Signature, near_duplicates, signature_or_none
from datasets.progress import tracked
from datasets.types import ClipRef, ClipTable


def audit_bytes(table: ClipTable) -> list[AuditFinding]:
    """Test clips with the same bytes as a training clip of another name; only equal sizes are hashed.

    Files that cannot be read are passed over; `audit_footage` counts them.
    """
    sizes: dict[int, list[ClipRef]] = defaultdict(list)
    for clip in trained(table):
        if (size := _size(clip)) is not None:
            sizes[size].append(clip)
    twins = []
    for clip in table.test:
        size = _size(clip)
        rivals = [] if size is None else [other for other in sizes.get(size, []) if other.key != clip.key]
        if not rivals or (digest := _digest(clip)) is None:
            continue
        twins += [f"{clip.key} = {other.key}" for other in rivals if _digest(other) == digest][:1]
    if not twins:
        return []
    sentence = f"{len(twins)} test clips have the same bytes as a training clip of another name"
    return [finding("leak", "same bytes", twins, sentence)]


def _size(clip: ClipRef) -> int | None:
    """The size of a clip's file; None where there is none to read."""
    try:
        found = os.stat(clip.path)  # noqa: PTH116 - twice as fast as Path.stat
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _digest(clip: ClipRef) -> str | None:
    try:
        return fingerprint(clip.path).sha256
    except OSError:
        return None


def audit_footage(table: ClipTable, workers: int = 1, progress: bool = True) -> list[AuditFinding]:
    """Near-duplicates between test and training, by the signatures of `datasets.near_duplicates`.

    Decodes every clip once.  Clips that are missing, cannot be read, or hardly move are not compared and are
    counted.
    """
    pool, test = trained(table), table.test
    clips = {clip.key: clip for clip in (*pool, *test)}
    problems = {key: problem(clip.path) for key, clip in clips.items()}
    absent = sorted(key for key, reason in problems.items() if reason == ABSENT)
    here = [clips[key] for key, reason in problems.items() if reason is None]
    found, lost = _signatures(here, table.name, workers, progress)
    lost = sorted([*lost, *(key for key, reason in problems.items() if reason not in {None, ABSENT})])
    scored = {clip.key: found[clip.key] for clip in test if clip.key in found}
    known = {clip.key: found[clip.key] for clip in pool if clip.key in found}
    pairs: dict[str, str] = {}
    for each in near_duplicates(scored, known):
        if each.scored != each.trained:
            pairs.setdefault(each.scored, f"{each.scored} ~ {each.trained} ({each.motion:.2f})")
    findings = []
    if pairs:
        sentence = f"{len(pairs)} test clips show the same footage as a training clip of another name"
        findings.append(finding("leak", "same footage", sorted(pairs.values()), sentence))
    still = sorted(key for key, each in found.items() if each.still)
    if missed := [*absent, *lost, *still]:
        sentence = (
            f"{len(missed)} clips were not compared by footage: {len(absent)} are missing, {len(lost)} "
            f"cannot be read, {len(still)} are too short or hardly move"
        )
        findings.append(finding("note", "not compared", missed, sentence))
    return findings


def _signatures(
    clips: Sequence[ClipRef], name: str, workers: int, progress: bool
) -> tuple[dict[str, Signature], list[str]]:
    found: dict[str, Signature] = {}
    lost: list[str] = []
    jobs = [Reading(clip.path, order()) for clip in clips]
    results = decoded_in_rounds(signature_or_none, jobs, workers)
    for place, result, _ in tracked(results, len(clips), f"comparing footage of {name}", shown=progress):
        if result is None or isinstance(result, Lost):
            lost.append(clips[place].key)
        else:
            found[clips[place].key] = result
    return found, sorted(lost)
