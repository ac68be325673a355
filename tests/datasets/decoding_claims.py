"""The table of docs/decoding.md as data."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "decoding.md"


def claims(text: str) -> dict[tuple[str, str], bool]:
    """(case, decoder) -> whether the page says that this decoder reads this case in full."""
    table = text[text.index("| video |") :].split("\n\n", maxsplit=1)[0]
    head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return {(row[0], head[i]): row[i] == "yes" for row in body for i in range(1, len(row))}


CLAIMS = sorted(pair for pair, told in claims(PAGE.read_text(encoding="utf-8")).items() if told)
