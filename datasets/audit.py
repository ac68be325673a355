"""What is wrong with the roles of a data set: the same clips on both sides, classes without labels, ...

Three severities.  A *leak* puts what is scored into training.  A *flaw* is a mistake or an oddity of the
lists that changes what a number means.  A *note* is a fact to know, such as sources shared by the official
parts.  Checks of a table are here, of lists as files in `datasets.audit_lists`, of the videos themselves
in `datasets.audit_files`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from datasets.types import UNKNOWN, ClipRef, ClipTable

Severity = Literal["leak", "flaw", "note"]
SEVERITIES: tuple[Severity, ...] = ("leak", "flaw", "note")
EXAMPLES = 3


@dataclass(frozen=True)
class AuditFinding:
    """One finding: what kind (`check`, for programs), how often, one sentence with counts, examples."""

    severity: Severity
    check: str
    count: int
    sentence: str
    examples: tuple[str, ...] = ()


def finding(
    severity: Severity, check: str, items: Sequence[str], sentence: str, count: int | None = None
) -> AuditFinding:
    """A finding about some named things, the first of which become its examples."""
    return AuditFinding(
        severity, check, len(items) if count is None else count, sentence, tuple(items[:EXAMPLES])
    )


def audit_table(table: ClipTable) -> list[AuditFinding]:
    """Everything that the roles and labels of a data set tell without its files."""
    return [
        *_overlaps(table),
        *_classes(table),
        *_balance(table),
        *_sources(table),
    ]


def trained(table: ClipTable) -> tuple[ClipRef, ...]:
    """Every clip that a method may see in training, once."""
    return tuple({clip.key: clip for clip in (*table.train, *(table.unlabeled or ()))}.values())


def _overlaps(table: ClipTable) -> Iterator[AuditFinding]:
    seen = {clip.key for clip in trained(table)}
    test = [clip.key for clip in table.test]
    if leaked := [key for key in test if key in seen]:
        yield finding(
            "leak", "same clip", leaked, f"{len(leaked)} of {len(test)} test clips are also trained on"
        )
    validation = {clip.key for clip in table.validation}
    if both := sorted(validation & seen):
        yield finding(
            "flaw", "validation in train", both, f"{len(both)} validation clips are also trained on"
        )
    if validation and validation == set(test):
        sentence = "the validation clips are the test clips, so the validation list is not used"
        yield finding("flaw", "val = test", [], sentence, len(validation))
    elif both := sorted(validation & set(test)):
        sentence = (
            f"{len(both)} of {len(validation)} validation clips are also test clips, so they are not used"
        )
        yield finding("flaw", "validation in test", both, sentence)


def _classes(table: ClipTable) -> Iterator[AuditFinding]:
    for severity, check, clips, role in (
        ("flaw", "classes without labels", table.train, "labeled"),
        ("note", "classes without test", table.test, "test"),
    ):
        have = {clip.label for clip in clips}
        empty = [name for label, name in enumerate(table.classes) if label not in have]
        if empty:
            yield finding(
                "flaw" if severity == "flaw" else "note",
                check,
                empty,
                f"{len(empty)} of {len(table.classes)} classes have no {role} clip",
            )


def _balance(table: ClipTable) -> Iterator[AuditFinding]:
    """How even a published label draw is; seeded draws are stratified by construction."""
    if table.unlabeled is None:
        return
    labeled = Counter(clip.label for clip in table.train)
    pool = Counter(clip.label for clip in trained(table) if clip.label != UNKNOWN)
    counts = [labeled[label] for label in range(len(table.classes))]
    shares = [labeled[label] / pool[label] for label in range(len(table.classes)) if pool[label]]
    if not shares or min(counts) == max(counts):
        return
    yield AuditFinding(
        "note",
        "not stratified",
        len(counts),
        f"the label draw is not stratified: {min(counts)} to {max(counts)} labels per class, which are "
        f"{min(shares):.1%} to {max(shares):.1%} of its clips",
    )


def _sources(table: ClipTable) -> Iterator[AuditFinding]:
    sources = {clip.group for clip in trained(table)}
    shared = [clip.key for clip in table.test if clip.group in sources and clip.group != clip.key]
    if shared:
        sentence = (
            f"{len(shared)} of {len(table.test)} test clips come from a source video of training clips; the "
            "statistics count the clips of one source video as one cluster"
        )
        yield finding("note", "shared sources", shared, sentence)
    labeled = {clip.group for clip in table.train}
    apart = {clip.key for clip in (*trained(table), *table.test)}  # said of, or not used, for that already
    close = [clip.key for clip in table.validation if clip.key not in apart and clip.group in labeled]
    if close:
        sentence = (
            f"{len(close)} of {len(table.validation)} validation clips come from a source video of labeled "
            "clips, so what is chosen on them may be chosen for its memory of these videos"
        )
        yield finding("flaw", "validation shares sources", close, sentence)


def sort_findings(findings: Iterable[AuditFinding]) -> list[AuditFinding]:
    """Leaks first, then flaws, then notes; else the order of the checks."""
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))
