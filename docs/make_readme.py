"""Puts the committed leaderboard into README.md: `python docs/make_readme.py`.

The block between the two markers is made from `reports/leaderboard.md` alone, so that the README cannot say
anything else than the board; a test holds the two together.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BOARD, README = ROOT / "reports" / "leaderboard.md", ROOT / "README.md"
BEGIN, END = "<!-- leaderboard:begin -->", "<!-- leaderboard:end -->"
COLUMNS = ("rank", "group", "entry", "top-1 % (95 %)", "vs. supervised (95 %)", "p (B)", "seeds")
"""What the README shows of a board's columns."""

WHOLE = 5
"""Boards of as many rows are shown as a table; of smaller ones the README has the sentence."""


def block(board: str) -> str:
    """The README's text, from a board's Markdown.

    Raises:
        ValueError: when the page has no board, or a board lacks a column.
    """
    headings = set(re.findall(r"^### (.+)$", board, re.MULTILINE))
    bullets = re.findall(r"^- \*\*(.+?):\*\* (.+)$", board, re.MULTILINE)
    said = [(cell, sentence) for cell, sentence in bullets if cell in headings]
    if not said:
        raise ValueError(f"{BOARD}: no sentence about a board; render it with `python -m bench report`.")
    parts = []
    for cell, sentence in said:
        parts.append(f"**{cell}.** {sentence}")
        head, *rows = _first_table(board, cell)
        if len(rows) >= WHOLE:
            kept = [head.index(column) for column in COLUMNS]
            lines = [[row[i] for i in kept] for row in (head, ["---"] * len(head), *rows)]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def _first_table(board: str, cell: str) -> list[list[str]]:
    """Cells of the first table below the heading of a board, without the line of dashes."""
    section = board.split(f"\n### {cell}\n", maxsplit=1)[1]
    table = re.search(r"^\|.+?(?=\n\n)", section, re.MULTILINE | re.DOTALL)
    if table is None:
        raise ValueError(f"{BOARD}: no table below '{cell}'.")
    rows = [[text.strip() for text in line.strip("|").split("|")] for line in table[0].splitlines()]
    return [row for row in rows if not set("".join(row)) <= set(":-")]


def with_block(readme: str, board: str) -> str:
    """The README with the board's block between its markers."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{block(board)}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(
        with_block(README.read_text(encoding="utf-8"), BOARD.read_text(encoding="utf-8")), encoding="utf-8"
    )
