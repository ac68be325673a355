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

LEGEND = """\
*rank*: an interval of places; in between the data do not decide.  *group*: entries that share a letter are
not shown to differ.  **Bold**: not shown to be worse than the highest mean.  These three test all pairs
(family A); *p (B)* tests against supervised alone, so it can mark what they do not."""
"""What the marks of the tables mean; what the endings of names mean are the notes of the board."""

MEASURED = "<details><summary>How each row was measured</summary>"
"""The line above the table that has notes of the entries."""

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
        head, *rows = _first_table(board, f"\n### {cell}")
        if len(rows) >= WHOLE:
            kept = [head.index(column) for column in COLUMNS]
            lines = [[row[i] for i in kept] for row in (head, ["---"] * len(head), *rows)]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    shown = "\n\n".join(parts)
    return "\n\n".join([shown, LEGEND, _notes(board, said[0][0], shown)])


def _notes(board: str, cell: str, shown: str) -> str:
    """What the board notes of the entries of a cell that are shown, those of one note together."""
    head, *rows = _first_table(board.split(f"\n### {cell}\n", maxsplit=1)[1], MEASURED)
    entry, note = head.index("entry"), head.index("note")
    noted: dict[str, list[str]] = {}
    for row in (row for row in rows if f"| **{row[entry]}** |" in shown or f"| {row[entry]} |" in shown):
        noted.setdefault(row[note], []).append(row[entry])
    noted.pop("–", None)
    said = [f"{', '.join(names)}: {text}" for text, names in noted.items()]
    return f"{'; '.join(said)}."


def _first_table(board: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without the line of dashes."""
    section = board.split(f"{heading}\n", maxsplit=1)[1]
    table = re.search(r"^\|.+?(?=\n\n)", section, re.MULTILINE | re.DOTALL)
    if table is None:
        raise ValueError(f"{BOARD}: no table below '{heading.strip()}'.")
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
