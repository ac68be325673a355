"""Which trials of a plan failed, why, and where to read more."""

from __future__ import annotations

from collections.abc import Sequence

from bench import index
from bench.failures import DIVERGED, INFRASTRUCTURE
from bench.plan import PlannedTrial
from bench.printable import printable
from bench.store import ERROR, RunFolder

WIDTH = 160
"""Longest shown message; the log has all of it."""


def failure_lines(trials: Sequence[PlannedTrial], run: RunFolder) -> list[str]:
    """Two lines per failed trial: what and why, and the path of its log; a head and a cure around them."""
    rows: dict[str, list[str]] = {}
    again = diverged = 0
    done = index.finished(run, (planned.spec.id for planned in trials))
    for planned in trials:
        folder = run.trial(planned.spec.id)
        if planned.spec.id in rows or planned.spec.id in done:
            continue
        failed = folder.failed()
        if failed is None:
            continue
        kind = printable(str(failed.get("kind", "failed")))
        again += kind in INFRASTRUCTURE
        diverged += kind == DIVERGED
        message = printable(" ".join(str(failed.get("message", "")).split()))
        short = message if len(message) <= WIDTH else f"{message[: WIDTH - 3]}..."
        rows[planned.spec.id] = [f"  {planned.line}: {kind}: {short}", f"    log: {folder.path / ERROR}"]
    if not rows:
        return []
    lines = [f"{len(rows)} trials failed:", *(line for row in rows.values() for line in row)]
    if diverged:
        stays = "an outcome, scored at chance, that stays while its code is the same"
        lines.append(f"{diverged} of them diverged: {stays}")
    if again + diverged < len(rows):
        lines.append(f"try {'the others' if diverged else 'them'} again with --retry-failed")
    if again:
        lines.append(f"{again} of them for a reason of the machine; the same command tries those again")
    return lines
