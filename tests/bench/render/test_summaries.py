"""Summaries over data sets, the mean per class, sensitivity and further metrics on the page."""

from __future__ import annotations

import json
import re

from synthetic_runs import on_data, suite, write_run

from bench.board import all_boards
from bench.records import load_run
from bench.render import tables
from bench.render.latex import tables_tex
from bench.render.markdown import page
from bench.render.stats_json import stats_json
from bench.store import RunFolder
from bench.suite import Task

ENTRIES = {"supervised": "baseline", "fixmatch": "competitor", "softmatch": "competitor", "full": "bound"}
MEANS = {"supervised": 0.6, "fixmatch": 0.75, "softmatch": 0.6, "full": 0.98}


def made(tmp_path, *data, outcome=None, labels=("2",), **options):
    loaded = on_data(suite(ENTRIES), *data, labels=labels)
    written = write_run(loaded, tmp_path / "run", outcome or (lambda e, b, s: MEANS[e]), **options)
    run = load_run(written)
    boards = all_boards(run.records, loaded.suite)
    return page(loaded, run, boards, {}), boards, loaded, run


def test_two_data_sets_have_a_summary_with_its_claim_and_its_limits(tmp_path):
    text, *_ = made(tmp_path, "one", "two", labels=("2", "4"))
    summary = text.split("### These 2 data sets: one and two")[1].split("###")[0]
    assert "Over these data sets: fixmatch beats the baseline by 1" in summary
    assert "after Holm over 2 tests" in summary and "| **fixmatch** |" in summary.replace("  ", " ")
    assert "Over one (2 labels per class), " in summary and "(all flips enumerated)" in summary
    assert "New data sets: no claim, since that takes at least 6 data sets and there are 2." in summary


def test_a_summary_of_one_budget_says_which_in_every_format(tmp_path):
    def outcome(entry, labels, seed):
        return "missing" if (entry, labels) == ("softmatch", "4") else MEANS[entry]

    text, boards, loaded, _ = made(tmp_path, "one", "two", labels=("2", "4"), outcome=outcome, clips=48)
    assert "### These 2 data sets: one and two" in text
    own = text.split("### These 2 data sets, 2 labels per class: one and two")[1].split("###")[0]
    assert "| softmatch " in own and "no independent confirmation" in own and "averaged within" not in own
    assert "These 2 data sets, 2 labels per class: one and two" in tables_tex(loaded, boards)
    found = json.loads(stats_json(loaded.suite, boards))["summaries"]
    assert [summary["labels"] for summary in found] == [None, "2"]


def test_every_format_has_the_boards_in_one_order(tmp_path):
    loaded = suite(ENTRIES)
    tasks = tuple(Task(data=data, labels=(n,)) for n in ("2", "4") for data in ("two", "one"))
    section = loaded.suite.sections["embedded"].model_copy(update={"tasks": tasks})
    sections = {"sections": {"embedded": section}}
    loaded = loaded.model_copy(update={"suite": loaded.suite.model_copy(update=sections)})
    run = load_run(write_run(loaded, tmp_path / "run", lambda e, b, s: MEANS[e], clips=48))
    boards = all_boards(run.records, loaded.suite)
    cells = [board.cell for board in boards]
    assert cells == ["two@2", "two@4", "one@2", "one@4"]
    titles = [f"{cell[:3]}, {cell[4:]} labels per class" for cell in cells]
    text = page(loaded, run, boards, {})
    assert [line[4:] for line in text.splitlines() if line[4:] in titles] == titles
    assert re.findall(r"^- \*\*(.+?):\*\*", text.split("\n## ")[0], re.MULTILINE) == titles
    assert re.findall(r"caption\{(.+? per class)", tables_tex(loaded, boards))[:4] == titles
    assert [each["cell"] for each in json.loads(stats_json(loaded.suite, boards))["boards"]] == cells


def test_one_data_set_has_none(tmp_path):
    text, *_ = made(tmp_path, "one", labels=("2", "4"))
    assert "data sets:" not in text


def test_an_unbalanced_test_set_has_a_board_on_the_mean_per_class(tmp_path):
    text, boards, *_ = made(tmp_path, "one", clips=250)
    assert [board.measure for board in boards] == ["top1", "mean_class"]
    assert "### one, 2 labels per class, mean per class" in text
    assert "mean per class % (95 %)" in text and "is top-1 here" not in text


def test_a_balanced_one_says_that_it_is_top_1(tmp_path):
    text, boards, *_ = made(tmp_path, "one")
    assert len(boards) == 1
    assert "Every class has 20 test clips, so mean per-class accuracy is top-1 here." in text


def test_missing_and_diverged_trials_say_what_they_could_change(tmp_path):
    special = {("fixmatch", 4): "failed", ("softmatch", 0): "diverged"}
    text, *_ = made(tmp_path, "one", outcome=lambda e, b, s: special.get((e, s), MEANS[e]))
    assert "fixmatch against supervised: on seed 4 one side has no result. Had the missing trials" in text
    assert "softmatch against supervised without the diverged seeds:" in text


def test_the_chance_to_beat_the_baseline_is_a_column(tmp_path):
    _, (board,), *_ = made(tmp_path, "one")
    table = tables.ranking(board)
    column = table.header.index("P(better)")
    cells = {row[table.header.index("entry")]: row[column] for row in table.rows}
    assert cells["fixmatch"] == "1" and cells["supervised"] == "–"
    assert all(len(row) == len(table.header) == len(table.keys) for row in table.rows)


def test_further_metrics_and_pseudo_labels_are_shown_where_they_are_known(tmp_path):
    _, _, loaded, run = made(tmp_path, "one")
    log = {"step": 0, "pseudo/used": 0.4, "pseudo/weight": 0.4, "pseudo/precision": 0.9}
    for record in run.records:
        if record.planned.entry == "fixmatch":
            (record.folder.path / "metrics.jsonl").write_text(json.dumps(log) + "\n", encoding="utf-8")
    (board,) = all_boards(load_run(RunFolder(tmp_path / "run")).records, loaded.suite)
    table = tables.quality(board)
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}
    assert rows["fixmatch"]["pseudo-labels used %"] == "40.0"
    assert rows["fixmatch"]["of these right %"] == "90.0"
    assert rows["supervised"]["of these right %"] == "–"
    assert rows["fixmatch"]["top-5 %"] == "100.0" and rows["fixmatch"]["top-1 %"].startswith("7")


def test_stats_json_has_the_summaries(tmp_path):
    _, boards, loaded, _ = made(tmp_path, "one", "two")
    value = json.loads(stats_json(loaded.suite, boards))
    (summary,) = value["summaries"]
    assert summary["data_sets"] == ["one", "two"] and summary["new_data_sets"] is None
    assert [test["family"] for test in summary["tests"]] == ["B", "B", "A", "A", "A"]
    lead = next(row for row in summary["rows"] if row["entry"] == "fixmatch")
    assert lead["best_group"] and lead["rank"] == [1, 1] and lead["sign_flip_p"] < 0.01
    assert value["boards"][0]["rows"][0]["prob_superiority"] == 1.0
