"""What passed of a campaign of faults: one line of JSON each, with its seed and the code that was tested."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.code_hash import hashed_modules

TESTED = (
    "bench.store",
    "bench.lease",
    "bench.checkpoints",
    "bench.index",
    "bench.trial",
    "bench.agenda",
    "bench.runner",
)
"""The code whose behavior under faults a campaign tests; reports and statistics are not its subject."""

FAULT_CODE = "chaos_faults"
RAY_CODE = ("bench.schedule.driver", "bench.schedule.worker", "chaos_ray")


def code_of(*more: str) -> str:
    """A hash of the code of `TESTED` and of these modules."""
    names = (*TESTED, *more)
    found = hashed_modules(*names)
    return hashlib.sha256(" ".join(found[name] for name in names).encode()).hexdigest()[:16]


class Kept:
    """The lines of a file that are of this seed and code; without a file there are none.

    Args:
        path: the file, or None.
        code: what was tested; faults that other code survived say nothing.
        seed: of the campaign.
    """

    def __init__(self, path: Path | None, code: str, seed: int) -> None:
        self.seed = seed
        self._path, self._own = path, {"code": code, "seed": seed}
        self.rows = [row for row in _lines(path) if self._own.items() <= row.items()]

    def add(self, row: Mapping[str, Any]) -> None:
        """Keeps what has passed."""
        whole = {**self._own, "when": time.strftime("%Y-%m-%d %H:%M:%S"), **row}
        self.rows.append(whole)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(whole) + "\n")


def _lines(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the line during which it was stopped
            continue
        if isinstance(row, dict):
            found.append(row)
    return found
