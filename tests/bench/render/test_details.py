"""What pages describe beside the boards: golden numbers on small arrays."""

from __future__ import annotations

import numpy as np
import pytest
from page_run import make_run

from bench.board import build_boards
from bench.records import load_run
from bench.render import details as details_module
from bench.render.details import Details, class_sizes, details, frequent_confusions
from bench.render.svg import Line, chart, ticks
from bench.training_log import TrainingLog


def log(step, **series):
    named = {name.replace("__", "/"): np.array(values, float) for name, values in series.items()}
    return TrainingLog(np.array(step), named)


def test_a_precision_bin_is_the_precision_of_all_its_used_clips():
    one = log([0, 1], pseudo__precision=[1.0, 0.5], pseudo__weight=[0.1, 0.3])
    curve = details_module._curve([one], details_module._precision)
    assert curve.mean.tolist() == [1.0, 0.5]
    wide = log([0, 1, 999], pseudo__precision=[1.0, 0.5, np.nan], pseudo__weight=[0.1, 0.3, 0.0])
    curve = details_module._curve([wide], details_module._precision)
    assert curve.mean.tolist() == pytest.approx([(0.1 + 0.15) / 0.4])  # (not the mean of 1 and .5), one bin
    assert curve.step.tolist() == [10.0]


def test_a_curve_spans_the_seeds():
    logs = [log([0, 10], loss__supervised=[3.0, 1.0]), log([0, 10], loss__supervised=[1.0, 2.0])]
    curve = details_module._curve(logs, details_module._labeled_loss)
    assert (curve.low.tolist(), curve.mean.tolist(), curve.high.tolist()) == ([1, 1], [2, 1.5], [3, 2])


def test_other_losses_are_summed_where_they_were_logged():
    found, _ = details_module._other_loss(
        log([0, 1, 2], loss__supervised=[9, 9, 9], loss__a=[np.nan, 1, 2], loss__b=[np.nan, np.nan, 3])
    )
    np.testing.assert_array_equal(found, [np.nan, 1, 5])


def test_a_method_without_pseudo_labels_has_no_such_curve():
    assert details_module._curve([log([0, 1], loss__supervised=[1, 1])], details_module._coverage) is None


def test_answers_per_class_and_frequent_confusions():
    counts = np.array([[8, 2, 0, 0], [0, 5, 4, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(Details(counts).per_class, [0.8, 0.5, np.nan])
    assert frequent_confusions(counts, 5) == [(1, 2, 0.4), (0, 1, 0.2)]
    assert frequent_confusions(counts, 1) == [(1, 2, 0.4)]


def test_details_of_a_board_agree_with_its_means(tmp_path):
    loaded, run = make_run(tmp_path / "run")
    board = build_boards(load_run(run).records, loaded.suite)[0]
    found = details(board)
    sizes = class_sizes(board, 12)
    assert sizes == [20] * 12
    for row in board.rows:
        mine = found[row.entry.label]
        assert mine.confusion.sum() == 5 * 240
        assert float(mine.per_class @ np.array(sizes) / 240) == pytest.approx(row.mean.estimate)
        assert set(mine.curves) == (
            {"loss", "other", "coverage", "precision"} if "match" in row.entry.label else {"loss"}
        )


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        (100.0, [0, 20, 40, 60, 80, 100]),
        (2.6, [0, 1, 2]),
        (0.03, [0, 0.01, 0.02, 0.03]),
        (600, [0, 200, 400, 600]),
    ],
)
def test_ticks_are_round(high, expected):
    assert ticks(high) == pytest.approx(expected)


def test_losses_are_drawn_between_powers_of_ten():
    def of(*values):
        found = log(list(range(len(values))), loss__supervised=list(values))
        return details_module._curve([found], details_module._labeled_loss)

    assert details_module.loss_range([of(2.5, 0.3, 0.02)]) == pytest.approx((0.01, 10.0))
    assert details_module.loss_range([of(2.5, 1e-9)]) == pytest.approx((0.001, 10.0))  # at most four powers
    assert details_module.loss_range([of(1.0, 1.0)]) == pytest.approx((0.1, 1.0))
    assert details_module.loss_range([of(0.0, 0.0)]) == pytest.approx((0.1, 1.0))
    text = str(chart("loss", [Line(0, "a", "red", "", of(2.5, 0.0, 0.3))], percent=False))
    assert ">10<" in text and ">0.1<" in text and "nan" not in text and "inf" not in text


def test_a_chart_escapes_its_labels_and_stays_inside(tmp_path):
    curve = details_module._curve([log([0, 1], loss__supervised=[1.0, 7.0])], details_module._labeled_loss)
    text = str(chart("<b>", [Line(0, "<script>", "red;}", '7"3', curve)], percent=False))
    assert 'stroke-dasharray="7&#34;3"' in text
    assert "<script" not in text and "<b>" not in text and 'data-line="0"' in text
