"""Scored clips whose bytes or footage are also trained on, under whatever name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from datasets.audit import AuditFinding, finding, trained
from datasets.clip_cache import fingerprint
from datasets.contained import Lost
from datasets.decoders import order
from datasets.decoding_rounds import Reading, decoded_in_rounds
from datasets.near_duplicates import Signature, near_duplicates, signature_or_none
from datasets.progress import tracked
from datasets.types import ClipRef, ClipTable


def audit_bytes(table: ClipTable) -> list[AuditFinding]:
    """Test clips with the same bytes as a training clip of another name; only equal sizes are hashed."""
    sizes: dict[int, list[ClipRef]] = defaultdict(list)
    for clip in trained(table):
        if clip.path.is_file():
            sizes[clip.path.stat().st_size].append(clip)
    twins = []
    for clip in table.test:
        rivals = sizes.get(clip.path.stat().st_size, []) if clip.path.is_file() else []
        rivals = [other for other in rivals if other.key != clip.key]
        if not rivals:
            continue
        digest = fingerprint(clip.path)[0]
        twins += [f"{clip.key} = {other.key}" for other in rivals if fingerprint(other.path)[0] == digest][:1]
    if not twins:
        return []
    sentence = f"{len(twins)} test clips have the same bytes as a training clip of another name"
    return [finding("leak", "same bytes", twins, sentence)]


def audit_footage(table: ClipTable, workers: int = 1, progress: bool = True) -> list[AuditFinding]:
    """Near-duplicates between test and training, by the signatures of `datasets.near_duplicates`.

    Decodes every clip once.  Clips that cannot be read, or hardly move, are not compared and are counted.
    """
    pool, test = trained(table), table.test
    clips = {clip.key: clip for clip in (*pool, *test) if clip.path.is_file()}
    found, lost = _signatures(list(clips.values()), table.name, workers, progress)
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
    if missed := [*lost, *still]:
        sentence = (
            f"{len(missed)} clips were not compared by footage: {len(lost)} cannot be read, {len(still)} "
            "are too short or hardly move"
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
