"""What a trial files of its teacher, and the figures made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import suite, write_run

from bench import teacher
from bench.board import build_boards
from bench.records import load_run
from bench.render.figures import teacher as figures
from bench.render.palette import looks
from bench.store import read_json
from datasets.errors import UserError


def test_a_trial_files_its_teacher_where_the_method_tells_of_it(bench: Any) -> None:
    def with_sefar(content: dict[str, Any]) -> None:
        config = {"levels": [2, 2, 4], "head_width": 16}
        content["sections"]["embedded"]["entries"] += [
            {"label": "sefar", "method": "sefar", "config": config},
            {"label": "one", "method": "sefar", "config": {**config, "teacher_passes": 1}},
        ]

    assert bench("run", "--suite", bench.suite(with_sefar), "--seeds", "0").status == 0
    folders = list((bench.folder / "runs/tiny/trials").iterdir())
    records = {each: read_json(each / "done.json") for each in folders}
    found = {each: teacher.read(each) for each in folders}
    for folder, table in found.items():
        spec = records[folder]["spec"]
        assert (table is not None) == (spec["method"] == "sefar")
        if table is not None:
            assert len(table) == records[folder]["unlabeled"] and table["clip"].is_unique
            assert table["confidence"].between(0, 1).all()
            single = spec["config"]["teacher_passes"] == 1
            assert table["deviation"].isna().all() if single else (table["deviation"] > 0).all()


def test_accuracy_by_bins_counts_every_clip_once_and_edges_belong_above() -> None:
    table = pd.DataFrame(
        {
            "label": 0,
            "predicted": [0, 1, 0, 0, 1],
            "confidence": [0.3, 0.39, 0.2999, 1.0, 0.95],
            "deviation": [0.0, np.nan, 0.02, 0.5, 0.199],
        }
    )
    found = teacher.accuracy_by(table, "confidence", 0.1, 1.0)
    assert found["middle"].tolist() == pytest.approx([0.25, 0.35, 0.95])
    assert found["accuracy"].tolist() == [1.0, 0.5, 0.5] and found["clips"].tolist() == [1, 2, 2]
    found = teacher.accuracy_by(table, "deviation", 0.02, 0.2)
    assert found["middle"].tolist() == pytest.approx([0.01, 0.03, 0.19]) and found["clips"].sum() == 4


def test_the_figures_show_what_the_trials_tell(tmp_path: Path) -> None:
    loaded = suite({"supervised": "baseline", "sefar": "competitor"}, labels=("2", "4"))
    run = write_run(loaded, tmp_path / "run", lambda *_: 0.5)
    rng = np.random.default_rng(0)
    for spec in run.path.glob("trials/*/spec.json"):
        if read_json(spec)["method"] == "sefar":
            wide = 0.1 if read_json(spec)["labels"] == "4" else 0.05
            confidence = rng.uniform(0, 1, 400)
            right = rng.uniform(0, 1, 400) < confidence
            table = {"clip": [str(i) for i in range(400)], "label": 0, "predicted": np.where(right, 0, 1)}
            more = {"confidence": confidence, "deviation": np.full(400, wide)}
            pd.DataFrame({**table, **more}).to_parquet(spec.with_name(teacher.FILE))
    boards = build_boards(load_run(run).records, loaded.suite)
    told = [figures.told(board) for board in boards]
    assert [list(each) for each in told] == [["sefar"], ["sefar"]]
    look = looks(loaded.suite)
    left, right_panel = figures.reliability(boards[0], told[0], look).axes
    x, y = (np.asarray(each, float) for each in left.lines[0].get_data())
    assert len(x) == 10 and np.abs(y - 100 * x).max() < 8  # this teacher is calibrated
    assert right_panel.lines[0].get_xdata()[0] == pytest.approx(0.05, abs=0.011)
    (ax,) = figures.fluctuation(boards, told, look).axes
    means = [float(line.get_xdata()[0]) for line in ax.lines if line.get_linestyle() == "None"]
    assert means == pytest.approx([0.05, 0.1])


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / teacher.FILE).write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"teacher\.parquet: cannot be read"):
        teacher.read(tmp_path)


def test_a_single_prediction_has_no_fluctuation_to_draw() -> None:
    one = pd.DataFrame({"deviation": [np.nan, np.nan]})
    assert not figures.fluctuates({"k-1": [one]}) and not figures.fluctuates({})
    assert figures.fluctuates({"k-1": [one], "k-2": [one, pd.DataFrame({"deviation": [0.1]})]})
