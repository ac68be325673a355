"""Text of others on a terminal: what could move its cursor, clear it or ring its bell is shown as a mark."""

from __future__ import annotations

MARK = "\ufffd"


def printable(text: str) -> str:
    """The text with a mark for each character that is no visible one; line ends and tabs become spaces."""
    return "".join(c if c.isprintable() else " " if c in "\t\n\r" else MARK for c in text)
