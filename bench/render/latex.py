"""The tables as LaTeX with booktabs.  Text from suites, data sets and trials is escaped, always."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from bench.board import Board
from bench.render import over_data, sentences, tables, words
from bench.render.reservations import reservations
from bench.render.tables import Table
from bench.suite import LoadedSuite
from bench.summary import Summary, summaries

HEAD = """% Needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs}.
% A wide table fits with \\usepackage{graphicx} and \\resizebox.
% Entries in bold are the best group: not shown to be worse than the highest mean.
"""

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    # After a line break in a table these would be read as its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    # Two of them in a row would become a dash.
    "-": "{-}",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "α": r"$\alpha$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
    "“": "``",
    "”": "''",
}
NEGATIVE = re.compile(r"(?<![\w.])-(?=\d)")


def tables_tex(loaded: LoadedSuite, boards: Sequence[Board]) -> str:
    """One table per board, with its verdict as the caption; the same records give the same bytes."""
    parts = [HEAD]
    for number, board in enumerate(boards, 1):
        if board.ranked or board.unranked:
            parts.append(_table(board, loaded, number))
    for number, summary in enumerate(summaries(boards), 1):
        if summary.ranked:
            parts.append(_over_data(summary, number))
    return "\n".join(parts)


def escape(text: str) -> str:
    """Text that TeX sets as it is, on one line; characters that no text has (controls) are dropped."""
    return _escaped(" ".join(text.split()))


def _escaped(one_line: str) -> str:
    kept = (c for c in one_line if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    return "".join(SPECIAL.get(character, character) for character in kept)


def cell(text: str) -> str:
    """A cell of a table: numbers below zero get a minus."""
    return "$-$".join(_escaped(part) for part in NEGATIVE.split(" ".join(text.split())))


def _table(board: Board, loaded: LoadedSuite, number: int) -> str:
    caption = [words.title(board), *sentences.verdict(board), *reservations(board)]
    said = _sentences(caption)
    seeds, alpha = words.ranges(board.seeds), loaded.suite.alpha
    note = escape(
        f"Seeds {seeds}; two-way paired t over seeds and test clips; p after Holm within family B (all "
        f"against the baseline) and A (all pairs), α = {alpha:g}."
    )
    body = [*(f"  {line}" for line in tabular(tables.ranking(board))), *_apart(board)]
    return _float(f"{said} {note}", f"board-{number}", body)


def _over_data(summary: Summary, number: int) -> str:
    said = _sentences([over_data.title(summary), *over_data.sentences(summary)])
    return _float(said, f"summary-{number}", [f"  {line}" for line in tabular(over_data.table(summary))])


def _sentences(texts: Iterable[str]) -> str:
    return " ".join(escape(text if text.endswith(".") else f"{text}.") for text in texts if text)


def _float(caption: str, label: str, body: Sequence[str]) -> str:
    head = [r"\begin{table}", r"  \centering", f"  \\caption{{{caption}}}", f"  \\label{{tab:{label}}}"]
    return "\n".join([*head, *body, r"\end{table}", ""])


def _apart(board: Board) -> list[str]:
    lines = []
    for rows, what in ((board.bounds, "Bound"), (board.references, "For reference")):
        if rows:
            lines += [r"  \par\medskip", f"  {what} (unranked, in no test):\\par"]
            lines += [f"  {line}" for line in tabular(tables.apart(board, rows))]
    return lines


def tabular(table: Table) -> list[str]:
    """The lines of a `tabular`; bold rows are bold in their `entry` cell."""
    bold = table.bold or tuple(False for _ in table.rows)
    entry = table.header.index("entry")
    align = "".join("l" if key in ("entry", "group", "note") else "r" for key in table.keys)
    lines = [f"\\begin{{tabular}}{{{align}}}", r"  \toprule", _line(map(cell, table.header)), r"  \midrule"]
    for row, mark in zip(table.rows, bold, strict=True):
        cells = [cell(text) for text in row]
        if mark:
            cells[entry] = f"\\textbf{{{cells[entry]}}}"
        lines.append(_line(cells))
    return [*lines, r"  \bottomrule", r"\end{tabular}"]


def _line(cells: Iterable[str]) -> str:
    return f"  {' & '.join(cells)} \\\\"
