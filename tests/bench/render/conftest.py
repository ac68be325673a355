"""Reports of these tests have stand-ins for figures unless they ask for `real_figures`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # synthetic_runs.py, stand_in_figures.py

import stand_in_figures

from bench.render import pictures

drawn_for_real = pictures.draw


@pytest.fixture(scope="session", autouse=True)
def stand_ins() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "draw", stand_in_figures.draw)
        yield


@pytest.fixture
def real_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "draw", drawn_for_real)
    monkeypatch.setattr(pictures.canvas, "DPI", 40)  # small ones: pixels cost time
