"""What a reader of the figures would notice; how they look was judged by eye."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from page_run import make_run
from synthetic_runs import suite, write_run

from bench.beside import Line, PublishedCell
from bench.board import build_boards
from bench.published import Figure
from bench.records import load_run
from bench.render.details import details
from bench.render.figures import compute, confusion, groups, published, training
from bench.render.figures.accuracy import accuracy
from bench.render.figures.canvas import as_bytes
from bench.render.figures.differences import differences
from bench.render.palette import looks
from bench.render.pictures import draw


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    loaded, run = make_run(tmp_path_factory.mktemp("figures") / "run")
    return build_boards(load_run(run).records, loaded.suite)


def colors_of(ax):
    return {to_hex(line.get_color()) for line in ax.lines}


def test_an_entry_has_one_color_in_every_figure(boards):
    board = boards[0]
    look = looks(board.suite)
    known = details(board)
    figures = [
        accuracy([board], look),
        accuracy(boards, look),
        differences(board, look),
        groups.board_diagram(board, board.families, look),
        compute.accuracy_against_compute(board, look),
        training.curves(board, known, look, training.LOSSES),
        training.curves(board, known, look, training.PSEUDO_LABELS),
    ]
    assert len({look[label].color for label in ("supervised", "fixmatch", "softmatch")}) == 3
    for figure in figures:
        assert look["fixmatch"].color in {color for ax in figure.axes for color in colors_of(ax)}


def test_the_matrix_colors_what_the_tests_say(boards):
    board = boards[0]
    (ax,) = groups.pairs_matrix(board, board.families).axes
    cells = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert len(cells) == 6
    found = {(round(c.get_x() + 0.48), round(c.get_y() + 0.46)): to_hex(c.get_facecolor()) for c in cells}
    names = [row.entry.label for row in board.ranked]
    x, y = names.index("supervised"), names.index("fixmatch")
    assert found[x, y] == groups.BETTER and found[y, x] == groups.WORSE
    texts = [text.get_text() for text in ax.texts]
    assert any((text.startswith("+1") and "p <" in text) or "p = ." in text for text in texts)


def test_differences_to_the_best_leave_out_the_best(boards):
    board = boards[0]
    (ax,) = differences(board, looks(board.suite), "best").axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["softmatch", "supervised"]
    assert "fixmatch, the best" in ax.get_xlabel() and "family A" in ax.get_title(loc="left")


def test_a_confusion_matrix_is_in_percent_of_the_true_class(boards):
    board = boards[0]
    figure = confusion.confusions(board, details(board), [f"c{i}" for i in range(12)])
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (12, 12)
    np.testing.assert_allclose(image.sum(1), 100)
    assert 100 * board.ranked[0].mean.estimate == pytest.approx(np.diagonal(image).mean())


def test_ranks_within_the_critical_difference_are_joined():
    assert groups.spans([1.0, 1.5, 2.2, 4.0], 1.0) == [[0, 1], [1, 2]]
    assert groups.spans([1.0, 1.5, 2.0], 1.0) == [[0, 1, 2]]
    assert groups.spans([1.0, 3.0], 1.0) == []


def test_published_numbers_stand_behind_what_was_measured_under_their_protocol(boards):
    row = boards[0].ranked[0]
    paper = Figure(
        table="t", method="FixMatch", backbone="net", input="rgb", imagenet_init="no", frames="8",
        epochs="30", dataset="gymlike", label_percent=5.0, top1=0.5, source="s",
    )  # fmt: skip
    lines = (
        Line(paper, row.entry.label, row.mean, "higher", ()),
        Line(paper, None, None, None, ()),
    )
    cell = PublishedCell("embedded", "gymlike@5%", {paper.protocol: lines}, ())
    figure = published.measured_against_published(cell, lines, looks(boards[0].suite), 0.02)
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["fixmatch (higher)"]
    low, high = ax.collections[0].get_paths()[0].get_extents().intervalx
    assert (low, high) == (pytest.approx(48.0), pytest.approx(52.0))
    assert any(text.get_text().startswith("+3") for text in ax.texts)


def test_the_front_is_what_nothing_beats_in_both():
    points = [(10.0, 60.0, "a"), (20.0, 55.0, "b"), (30.0, 70.0, "c"), (30.0, 65.0, "d"), (40.0, 70.0, "e")]
    assert [name for _, _, name in compute.front(points)] == ["a", "c"]


def test_times_of_different_machines_share_no_axis(tmp_path):
    loaded, run = make_run(tmp_path / "run")
    board = build_boards(load_run(run).records, loaded.suite)[0]
    assert compute.one_kind_of_machine(board)
    board.ranked[0].records[0].done["environment"]["processor"] = "another"
    assert not compute.one_kind_of_machine(board)


def test_several_data_sets_get_a_critical_difference_diagram_and_one_does_not(tmp_path):
    entries = {"supervised": "baseline", "fixmatch": "competitor", "softmatch": "competitor"}
    made = suite(entries)
    section = made.suite.sections["embedded"]
    tasks = tuple(section.tasks[0].model_copy(update={"data": f"set{i}"}) for i in range(3))
    changed = section.model_copy(update={"tasks": tasks})
    loaded = type(made)(
        suite=made.suite.model_copy(update={"sections": {"embedded": changed}}), path=made.path, tuned=None
    )
    means = {"supervised": 0.6, "fixmatch": 0.8, "softmatch": 0.7}
    run = write_run(loaded, tmp_path / "run", lambda e, labels, s: means[e], clips=60)
    boards = build_boards(load_run(run).records, loaded.suite)
    figure = groups.critical_difference([1.0, 2.0, 3.0], list(entries), ["#000000"] * 3, 1.5, 3, "x")
    assert "1.50" in figure.axes[0].get_title(loc="left")
    files = {}
    found = draw_only_sections(loaded.suite, boards, files)
    assert [picture.png for picture in found["embedded", ""]] == ["figures/embedded-critical-difference.png"]
    assert ("embedded", "") not in draw_only_sections(loaded.suite, boards[:1], {})


def draw_only_sections(made, boards, files):
    """`draw` without the cost of the other figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.render.pictures._of_data", lambda *args: [])
        patch.setattr("bench.render.pictures._of_board", lambda *args: [])
        return draw(made, boards, [{} for _ in boards], lambda board: (), files.__setitem__)


def test_a_label_with_dollars_is_drawn_as_it_is(tmp_path):
    loaded = suite({"supervised": "baseline", "$x^2$ \\frac": "competitor", "c": "competitor"})
    run = write_run(loaded, tmp_path / "run", lambda e, labels, s: 0.7, clips=60)
    board = build_boards(load_run(run).records, loaded.suite)[0]
    figure = groups.board_diagram(board, board.families, looks(loaded.suite))
    assert any("$x^2$" in text.get_text() for text in figure.axes[0].texts)
    assert as_bytes(figure, "svg").startswith(b"<?xml")
