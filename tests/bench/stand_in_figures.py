"""Stand-ins for figures: those cost seconds, and most tests look at text."""

from __future__ import annotations

from bench.render import pictures
from bench.render.markdown import Picture

TINY = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="90" height="40"/>'


def draw(suite, boards, details, classes, write):
    """Two tiny pictures per board, one of them minor."""
    found = {}
    for board in (board for board in boards if board.ranked):
        for minor in (False, True):
            name = pictures.file_name(f"{board.section}-{board.cell}-{minor}")
            shown = Picture(f"figures/{name}.png", f"figures/{name}.svg", f"Stand-in for {board.cell}", minor)
            write(shown.png, b"\x89PNG")
            write(shown.svg, TINY)
            found.setdefault((board.section, board.data), []).append(shown)
    return found
