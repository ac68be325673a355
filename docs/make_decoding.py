"""Measures which decoder reads which odd video, and renews the table of docs/decoding.md.

    python docs/make_decoding.py

The videos are made with PyAV by tests/datasets/odd_videos.py, so that the tests check what is measured here.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "datasets"), str(HERE.parent)]
BEGIN, END = "<!-- table:begin -->\n", "<!-- table:end -->"
FRAME_ERROR = 7.0


def main() -> None:
    """Measures, and writes the page."""
    from datasets.decoders import DECODERS  # noqa: PLC0415

    if lack := [decoder.missing() for decoder in DECODERS.values() if decoder.missing()]:
        sys.exit(f"every decoder is measured: {lack[0]}")
    page = HERE / "decoding.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    page.write_text(before + BEGIN + table() + END + rest.split(END)[1], encoding="utf-8")


def table() -> str:
    """The measured table."""
    from odd_videos import CASES  # noqa: PLC0415

    from datasets.decoders import DECODERS  # noqa: PLC0415

    lines = [f"| video | {' | '.join(DECODERS)} |", "| --- |" + " --- |" * len(DECODERS)]
    for name, make in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path, expected = make(Path(folder))
            cells = [verdict(path, expected, decoder) for decoder in DECODERS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    packages = {"decord": "decord", "pyav": "av", "torchcodec": "torchcodec"}
    versions = ", ".join(f"{name} {version(packages[name])}" for name in DECODERS)
    return "\n".join(lines) + f"\n\nMeasured with {versions}.\n"


def verdict(path: Path, expected: np.ndarray, decoder: str) -> str:
    """The word yes, or what is wrong."""
    from datasets.video_io import UndecodableError, read_with  # noqa: PLC0415

    try:
        found = read_with(path, decoder)
    except UndecodableError:
        return "no: refuses it"
    if len(found) != len(expected):
        return f"no: {len(found)} frames of {len(expected)}"
    if found.shape != expected.shape:
        return "no: another picture"
    error = np.abs(found.astype(int) - expected.astype(int)).mean((1, 2, 3)).max()
    return "yes" if error < FRAME_ERROR else "no: other frames"


if __name__ == "__main__":
    main()
