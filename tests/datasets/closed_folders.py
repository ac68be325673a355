"""Folders and files that one may not read, also for tests that run as root, whom no mode keeps out."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def close(monkeypatch: pytest.MonkeyPatch, place: Path, to_look: bool = True) -> None:
    """Refuses this process what is at `place` or below: opening it, with `to_look` also its state."""
    real_stat, real_open = os.stat, Path.open

    def check(path: Any) -> None:
        if isinstance(path, str | Path) and place in (Path(path), *Path(path).parents):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def stat(path: Any, *arguments: Any, **named: Any) -> os.stat_result:
        check(path)
        return real_stat(path, *arguments, **named)

    def opened(path: Path, *arguments: Any, **named: Any) -> Any:
        check(path)
        return real_open(path, *arguments, **named)

    if to_look:
        monkeypatch.setattr(os, "stat", stat)  # Path.stat, Path.is_file and Path.exists call it
    monkeypatch.setattr(Path, "open", opened)
