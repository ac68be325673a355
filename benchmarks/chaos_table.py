"""The faults that a campaign has survived, as a table for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- chaos:begin -->", "<!-- chaos:end -->"


def markdown(rows: Sequence[Mapping[str, Any]], ray: Sequence[Mapping[str, Any]]) -> str:
    """Counts by kind, with seed, dates and time.

    Args:
        rows: what is kept of the faults without Ray.
        ray: of those through Ray; the runs among them that completed are named by `passed`.
    """
    kinds = Counter(str(row["kind"]) for row in rows if "kind" in row)
    runs = {row["passed"] for row in ray if "passed" in row}
    hits = Counter(str(row["hit"]) for row in ray if "hit" in row and row["run"] in runs)
    times = sorted(str(row["when"])[:10] for row in (*rows, *ray))
    seeds = sorted({str(row["seed"]) for row in (*rows, *ray)})
    if not times:
        return "No campaign has been run on the code of today."
    dates = times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    took = sum(float(row.get("seconds", 0.0)) for row in rows) / 60
    lines = [
        f"Seed {', '.join(seeds)}, {dates}; {sum(kinds.values())} faults without Ray ({took:.0f} minutes) "
        f"and {sum(hits.values())} through Ray survived:",
        "",
        "| fault | survived |",
        "| --- | --- |",
        *(f"| {kind} | {count} |" for kind, count in sorted(kinds.items())),
        *(f"| {target} killed (Ray) | {count} |" for target, count in sorted(hits.items())),
    ]
    return "\n".join(lines)


def write(path: Path, table: str) -> None:
    """Puts the table between its marks in a page.

    Raises:
        ValueError: when the page has no such marks.
    """
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
