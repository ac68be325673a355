"""Folders of runs that were used on this machine, so that forecasts learn from all of them.

`run_places.json` in the data home: absolute paths, the newest last.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from bench.store import write_json
from datasets.errors import UserError
from datasets.home import data_home

MOST = 20


def remember(out: Path) -> None:
    """Notes a folder of runs; a data home that cannot be written costs a forecast, not a run."""
    here = str(out.absolute())
    with contextlib.suppress(OSError, UserError):
        write_json(_file(), [*(each for each in _read() if each != here), here][-MOST:])


def known(out: Path) -> list[Path]:
    """This folder of runs and the others that are still there."""
    others = (Path(each) for each in _read() if each != str(out.absolute()))
    return [out, *(each for each in others if each.is_dir())]


def _read() -> list[str]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _file() -> Path:
    return data_home() / "run_places.json"
