"""Boards, summaries and pictures as the template wants them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.board import Board, Row
from bench.records import Run
from bench.render import over_data, sentences, svg, tables, words
from bench.render.details import CURVES, Details
from bench.render.html.cells import shown
from bench.render.html.classes import confusion_of, number_of_classes, per_class
from bench.render.html.shown import Image, ShownBoard, ShownData, ShownSection, ShownSummary
from bench.render.markdown import Picture, Pictures
from bench.render.palette import BASELINE, Look
from bench.render.reservations import reservations
from bench.render.small_print import small_print
from bench.suite import LoadedSuite
from bench.summary import Summary, summaries


@dataclass(frozen=True)
class Maker:
    """Turns boards into what the template shows."""

    loaded: LoadedSuite
    run: Run
    look: Mapping[str, Look]
    pictures: Pictures
    files: Mapping[str, bytes]

    def sections(
        self, boards: Sequence[Board], details: Sequence[Mapping[str, Details]]
    ) -> tuple[ShownSection, ...]:
        """Sections with boards, in the suite's order."""
        found = []
        numbered = list(enumerate(zip(boards, details, strict=True), 1))
        over = summaries(boards)
        for name, section in self.loaded.suite.sections.items():
            mine = [(number, board, known) for number, (board, known) in numbered if board.section == name]
            if not mine:
                continue
            names = dict.fromkeys(board.data for _, board, _ in mine)
            found.append(
                ShownSection(
                    title=section.title,
                    data=tuple(self._data([b for b in mine if b[1].data == data]) for data in names),
                    summaries=tuple(_summary(each) for each in over if each.section == name),
                    images=self._images(name, ""),
                    small_print=tuple(small_print([board for _, board, _ in mine], self.loaded)),
                )
            )
        return tuple(found)

    def _data(self, mine: Sequence[tuple[int, Board, Mapping[str, Details]]]) -> ShownData:
        boards = [board for _, board, _ in mine]
        drawn = [board for board in boards if not board.pinned and board.ranked and board.measure == "top1"]
        budgets = None
        if len(drawn) > 1:
            budgets = (boards[0].data, shown(tables.over_budgets(drawn)))
        return ShownData(
            boards=tuple(self._board(number, board, known) for number, board, known in mine),
            budgets=budgets,
            images=self._images(boards[0].section, boards[0].data),
        )

    def _images(self, section: str, data: str) -> tuple[Image, ...]:
        pictures = self.pictures.get((section, data), ())
        return tuple(_image(picture, self.files) for picture in pictures if not picture.in_page)

    def _board(self, number: int, board: Board, known: Mapping[str, Details]) -> ShownBoard:
        ranked = bool(board.ranked or board.unranked)
        # Answers class by class and curves are shown once, with the board on top-1.
        described = board.rows if board.measure == "top1" else ()
        confusions = [row for row in described if known[row.entry.label].confusion is not None]
        names: tuple[str, ...] = ()
        if confusions:
            names = self.run.class_names(board.data, number_of_classes(confusions[0], known))
        charts, legend = self._charts(described, known)
        return ShownBoard(
            anchor=f"board-{number}",
            title=words.title(board),
            headline=sentences.headline(board),
            verdict=" ".join(text for text in sentences.verdict(board) if text) if ranked else "",
            ranking=shown(tables.ranking(board)) if ranked else None,
            apart=tuple(
                (what, shown(tables.apart(board, rows)))
                for rows, what in (
                    (board.bounds, "Bound: all training clips labeled; unranked, in no test"),
                    (
                        board.references,
                        "For reference: differs in what the others share; unranked, in no test",
                    ),
                )
                if rows
            ),
            reservations=tuple(text for text in reservations(board) if text),
            measurement=shown(tables.measurement(board, self.loaded)) if board.rows else None,
            quality=shown(tables.quality(board)) if described else None,
            per_class=shown(per_class(board, confusions, known, names)) if confusions else None,
            classes=names,
            confusions=tuple(confusion_of(row, known[row.entry.label], names) for row in confusions),
            charts=charts,
            legend=legend,
        )

    def _charts(
        self, described: Sequence[Row], known: Mapping[str, Details]
    ) -> tuple[tuple[tuple[str, Markup], ...], tuple[tuple[int, str, str, str], ...]]:
        rows = [row for row in described if known[row.entry.label].curves]
        numbers = {row.entry.label: i for i, row in enumerate(rows)}
        charts = []
        for name, title in CURVES.items():
            lines = [
                svg.Line(numbers[row.entry.label], row.entry.label, self._color(row), self._dash(row), curve)
                for row in rows
                if (curve := known[row.entry.label].curves.get(name)) is not None
            ]
            if lines:
                percent = name in ("coverage", "precision")
                charts.append((f"{title}, %" if percent else title, svg.chart(title, lines, percent)))
        legend = [
            (number, label, self._color(row), self._dash(row))
            for row, (label, number) in zip(rows, numbers.items(), strict=True)
        ]
        return tuple(charts), tuple(legend)

    def _color(self, row: Row) -> str:
        """The color of the figures; near black becomes the color of the text, which is light on dark."""
        color = self.look[row.entry.label].color
        return "var(--ink)" if color == BASELINE else color

    def _dash(self, row: Row) -> str:
        return self.look[row.entry.label].dash


def _summary(summary: Summary) -> ShownSummary:
    return ShownSummary(
        title=over_data.title(summary),
        table=shown(over_data.table(summary)) if summary.ranked else None,
        said=tuple(over_data.sentences(summary)),
    )


def _image(picture: Picture, files: Mapping[str, bytes]) -> Image:
    content = base64.b64encode(files[picture.svg]).decode()
    return Image(f"data:image/svg+xml;base64,{content}", picture.shows, picture.minor)
