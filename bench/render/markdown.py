"""The leaderboard as a Markdown page.  Text from suites, data sets and trials is escaped, always."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from bench.board import Board
from bench.records import Run
from bench.render import over_data, sentences, tables, words
from bench.render.reservations import reservations
from bench.render.small_print import small_print
from bench.render.tables import Table
from bench.suite import LoadedSuite, Section
from bench.summary import summaries

FOLDER = "figures"
"""Where a report keeps its pictures."""

RIGHT = re.compile(r"[\d.,+\-–<%/() ]+( of .*)?|–")
"""Cells of numbers, which are set to the right."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its files relative to the page, and what it shows.

    `minor`: one that describes; it is shown on demand, those that show what was tested at once.
    `in_page`: the HTML page has the same in a form of its own, and leaves the figure out.
    """

    png: str
    svg: str
    shows: str
    minor: bool = False
    in_page: bool = False


Pictures = Mapping[tuple[str, str], Sequence[Picture]]
"""By (section, data set); data set "" has those of a whole section."""


def page(loaded: LoadedSuite, run: Run, boards: Sequence[Board], pictures: Pictures) -> str:
    """The whole page; the same records give the same bytes."""
    parts = [f"# {escape(loaded.suite.title)}", *_notes(run, boards), _summary(boards)]
    for name, section in loaded.suite.sections.items():
        mine = [board for board in boards if board.section == name]
        if mine:
            parts += _section(section, name, mine, loaded, pictures)
    parts.append(HOW_TO_READ)
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text that neither Markdown nor HTML takes for markup, on one line."""
    one_line = " ".join(text.split())
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        one_line = one_line.replace(character, entity)
    escaped = re.sub(r"([\\`*_{}\[\]|~$#])", r"\\\1", one_line)
    # Neither links nor mentions from bare text: a zero-width joiner would be copied, an entity is not.
    escaped = escaped.replace("://", "&#58;//").replace("www.", "www&#46;")
    escaped = re.sub(r"(?<!\w)@(?=\w)", "&#64;", escaped)
    return re.sub(r"^([-+]|\d+[.)])(?=\s)", r"\\\1", escaped) if escaped else escaped


def pipe(table: Table) -> str:
    """A table in pipe format; bold rows are bold in their `entry` cell."""
    bold = table.bold or tuple(False for _ in table.rows)
    entry = table.header.index("entry")
    rows = [
        [f"**{escape(cell)}**" if mark and i == entry else escape(cell) for i, cell in enumerate(row)]
        for row, mark in zip(table.rows, bold, strict=True)
    ]
    align = ["right" if _numeric(table, i) else "left" for i in range(len(table.header))]
    header = [escape(cell) for cell in table.header]
    return tabulate(rows, header, tablefmt="pipe", colalign=align, disable_numparse=True)


def _numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows]
    return any(cell != words.NONE for cell in cells) and all(RIGHT.fullmatch(cell) for cell in cells)


def _notes(run: Run, boards: Sequence[Board]) -> list[str]:
    """The banner: what kind of run this was."""
    lines = list(run.banner)
    barred = sum(number for board in boards for number in board.barred.values())
    if barred:
        trials = "One finished trial is" if barred == 1 else f"{barred:,} finished trials are"
        lines.append(f"{trials} barred from the boards; see there.")
    for name, command in run.absent.items():
        lines.append(f"Data set {name} was not on this machine; add it with: {command}")
    return ["\n>\n".join(f"> **Note:** {escape(line)}" for line in lines)] if lines else []


def _summary(boards: Sequence[Board]) -> str:
    """One line per board, in the order of the page."""
    return "\n".join(
        f"- **{escape(words.title(board))}:** {escape(sentences.headline(board))}" for board in boards
    )


def _section(
    section: Section, name: str, boards: Sequence[Board], loaded: LoadedSuite, pictures: Pictures
) -> list[str]:
    parts = [f"## {escape(section.title)}"]
    for data in dict.fromkeys(board.data for board in boards):
        mine = [board for board in boards if board.data == data]
        for board in mine:
            parts += _board(board, loaded)
        drawn = [board for board in mine if not board.pinned and board.ranked and board.measure == "top1"]
        if len(drawn) > 1:
            parts += [
                f"### {escape(data)}: difference to the baseline at each label budget",
                pipe(tables.over_budgets(drawn)),
                "Mean difference in points; \\* significant in family B of its own board. The budgets of one "
                "data set share test clips and seeds, so they are not independent confirmations.",
            ]
        parts += _pictures(pictures.get((name, data), ()))
    for summary in summaries(boards):
        parts.append(f"### {escape(over_data.title(summary))}")
        parts += [pipe(over_data.table(summary))] if summary.ranked else []
        parts.append("\n".join(f"- {escape(text)}" for text in over_data.sentences(summary)))
    parts += _pictures(pictures.get((name, ""), ()))
    parts.append(f"### Small print: {escape(section.title)}")
    parts.append("\n".join(f"- **{what}:** {escape(text)}" for what, text in small_print(boards, loaded)))
    return parts


def _board(board: Board, loaded: LoadedSuite) -> list[str]:
    parts = [f"### {escape(words.title(board))}"]
    if board.ranked or board.unranked:
        parts.append(" ".join(escape(text) for text in sentences.verdict(board) if text))
        parts.append(pipe(tables.ranking(board)))
    else:
        parts.append("No ranked entry has a result for this board.")
    for rows, what in (
        (board.bounds, "Bound (all training clips labeled; unranked, in no test):"),
        (board.references, "For reference (differs in what the others share; unranked, in no test):"),
    ):
        if rows:
            parts += [what, pipe(tables.apart(board, rows))]
    said = reservations(board)
    if said:
        parts.append("\n".join(f"- {escape(text)}" for text in said))
    if board.rows:
        body = pipe(tables.measurement(board, loaded))
        parts.append(f"<details><summary>How each row was measured</summary>\n\n{body}\n\n</details>")
        if board.measure == "top1":
            body = pipe(tables.quality(board))
            parts.append(f"<details><summary>More metrics (not tested)</summary>\n\n{body}\n\n</details>")
    return parts


def _pictures(shown: Sequence[Picture]) -> list[str]:
    minor = "\n\n".join(_picture(picture) for picture in shown if picture.minor)
    return [
        *(_picture(picture) for picture in shown if not picture.minor),
        f"<details><summary>More figures</summary>\n\n{minor}\n\n</details>" if minor else "",
    ]


def _picture(picture: Picture) -> str:
    return f"[![{escape(picture.shows)}]({picture.png})]({picture.svg})"


HOW_TO_READ = """## How to read a row

- **rank** is an interval: an entry with 2–4 is shown to be worse than one other and better than all but three
  others; in between the data do not decide. Entries that share a **group** letter are not shown to differ.
- **top-1 %** is the mean over the seeds of the share of test clips that are classified right; a clip that
  cannot be decoded counts as wrong. A seed fixes the labeled clips, the initial weights and the order of the
  data for all entries alike, so entries are compared seed by seed and clip by clip. In brackets is the 95 %
  interval: where the mean is expected to lie with other seeds and other test clips. The intervals of two
  rows may overlap although their difference is clear: look at the difference.
- **vs. baseline** and **vs. best** are differences in percentage points, with their 95 % interval. **p** says
  how often a difference at least as large would appear if there were none, made larger (Holm) for the number
  of comparisons on the board: family B compares everyone with the baseline, family A everyone with everyone.
  An interval that leaves out 0 beside a p above the limit is no contradiction: the interval is for one
  comparison, the p for all of them.
- **wins/ties/losses** counts seeds against the baseline. **P(better)** is how often a run of this entry
  scores higher than a run of the baseline, over all pairs of runs, ties counted half. **seeds** is finished
  of planned.
- **Bold** is the best group: not shown to be worse than the highest mean, and never diverged. Where no two
  entries are shown to differ, nobody is bold.
- **detectable** is the true difference to the baseline that would have been found with a probability of 80 %,
  with this comparison alone and as the strictest one of its family. Not significant does not mean equal."""
