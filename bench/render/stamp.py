"""What a report was made of, noted beside it, so that a rerun knows whether it is up to date."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import bench
from bench.store import DONE, FAILED, PLAN, RunFolder, write_json
from bench.suite import LoadedSuite

FILES = {
    "md": "leaderboard.md",
    "html": "leaderboard.html",
    "latex": "tables.tex",
    "csv": "results.csv",
    "json": "stats.json",
}
"""Format -> file.  The figures belong to `md`; `html` carries its own."""

EXTRA = {"answers": "answers.parquet"}
"""Formats that are made only where they are asked for."""

STAMP = ".rendered.json"
"""File -> digest of what it was made of.  It is no part of the report."""


def digest(loaded: LoadedSuite, run: RunFolder) -> str:
    """SHA-256 over the suite, its tuned settings, the plan, all records of a run and our own code.

    Contents alone count, so that it is the same wherever the run folder lies.
    """
    found = hashlib.sha256()
    parts = [loaded.suite.model_dump_json(), loaded.tuned.model_dump_json() if loaded.tuned else ""]
    for part in parts:
        found.update(hashlib.sha256(part.encode()).digest())
    for root, pattern in (
        (run.path, PLAN),
        *((run.path, f"trials/*/{name}") for name in (DONE, FAILED)),
        (Path(bench.__file__).parent, "**/*.py"),
        (Path(__file__).parent, "templates/*"),
    ):
        for path in sorted(root.glob(pattern)):
            found.update(path.relative_to(root).as_posix().encode() + b"\0")
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def note(folder: Path, files: Iterable[str], made_of: str) -> None:
    """Notes that files of a report have just been made; notes of its other files stay."""
    write_json(folder / STAMP, {**_read(folder), **dict.fromkeys(files, made_of)})


def up_to_date(folder: Path, files: Iterable[str], made_of: str) -> bool:
    """Whether all these files are in a folder and were made of just that."""
    noted = _read(folder)
    return all((folder / file).is_file() and noted.get(file) == made_of for file in files)


def _read(folder: Path) -> dict[str, object]:
    try:
        found = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
