"""Reading a run folder: joined by key, checked, refused in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import reseal, suite, write_run

from bench.plan import PlannedTrial
from bench.records import load_run
from bench.store import RunFolder, write_json
from datasets.errors import UserError

LOADED = suite({"supervised": "baseline", "fixmatch": "competitor"}, seeds="0-2")


@pytest.fixture
def run(tmp_path):
    return write_run(LOADED, tmp_path, lambda e, labels, s: 0.7, clips=48)


def rewrite(run, change):
    """Changes the predictions of the first trial, and the size in its record."""
    folder = run.path / "trials" / first_id(run)
    table = change(pd.read_parquet(folder / "predictions.parquet"))
    table.to_parquet(folder / "predictions.parquet")
    reseal(folder)


def first_id(run):
    plan = json.loads((run.path / "plan.json").read_text())
    return PlannedTrial.model_validate(plan["trials"][0]).spec.id


def test_correctness_is_joined_by_clip_not_by_row(run):
    before = load_run(run).records
    rewrite(run, lambda table: table.sample(frac=1, random_state=7))
    after = load_run(run).records
    assert np.array_equal(before[0].correct, after[0].correct)
    assert after[0].scored is after[1].scored
    assert list(after[0].scored.clips) == sorted(after[0].scored.clips)


def test_no_plan(tmp_path):
    with pytest.raises(UserError, match="there is no plan"):
        load_run(RunFolder(tmp_path / "nothing"))


@pytest.mark.parametrize(("text", "message"), [("{", "not readable as JSON"), ("{}", "no list 'trials'")])
def test_damaged_plan(run, text, message):
    (run.path / "plan.json").write_text(text)
    with pytest.raises(UserError, match=message) as told:
        load_run(run)
    assert f"python -m bench run --suite {run.path.name}" in str(told.value)


def test_findings_of_a_plan_that_make_no_sense(run):
    plan = json.loads((run.path / "plan.json").read_text())
    write_json(run.path / "plan.json", {**plan, "audit": {"gymlike": [1]}})
    with pytest.raises(UserError, match=rf"'audit' is not understood.*bench run --suite {run.path.name}"):
        load_run(run)


def test_a_malformed_or_repeated_trial_is_named(run):
    plan = json.loads((run.path / "plan.json").read_text())
    write_json(run.path / "plan.json", {"trials": [*plan["trials"], plan["trials"][0]]})
    with pytest.raises(UserError, match=r"trials\.6 plans 'gymlike@2 supervised seed=0' a second time"):
        load_run(run)
    del plan["trials"][1]["spec"]["data"]
    write_json(run.path / "plan.json", plan)
    with pytest.raises(UserError, match=r"trials\.1\.spec\.data.*bench run --suite"):
        load_run(run)


def test_predictions_that_contradict_their_record_are_refused(run):
    rewrite(run, lambda table: table.assign(predicted=table["label"]))
    with pytest.raises(UserError, match=r"done\.json: says top1 0\.7.*its predictions say 1\.0"):
        load_run(run)


def test_a_missing_column_is_named(run):
    rewrite(run, lambda table: table.drop(columns="group"))
    with pytest.raises(UserError, match=r"predictions\.parquet: lacks the column 'group'"):
        load_run(run)


def test_a_clip_that_occurs_twice_is_refused(run):
    rewrite(run, lambda table: table.assign(clip=["same", "same", *table["clip"][2:]]))
    with pytest.raises(UserError, match="a clip occurs twice"):
        load_run(run)


def test_a_cut_off_prediction_file_is_a_trial_that_is_not_done(run):
    path = run.path / "trials" / first_id(run) / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert load_run(run).records[0].status == "missing"


def test_metrics_of_a_record_come_from_its_predictions(run):
    record = load_run(run).records[0]
    assert record.metrics == pytest.approx({name: record.done["metrics"][name] for name in record.metrics})
    assert np.array_equal(record.predicted == record.scored.labels, record.correct)


def test_a_probability_that_is_nan_is_named_with_its_row(run):
    rewrite(run, lambda table: table.assign(confidence=[np.nan, *table["confidence"][1:]]))
    with pytest.raises(UserError, match=r"predictions\.parquet: row 1 \(clip 'test/.*'\): its probability"):
        load_run(run)


def test_a_class_beyond_the_task_is_refused(run):
    folder = run.path / "trials" / first_id(run)
    reseal(folder, classes=5)
    with pytest.raises(UserError, match=r"class 11 occurs, but done\.json says that the task has 5 classes"):
        load_run(run)


def test_the_record_of_another_trial_is_not_taken_for_this_one(run):
    folder = run.path / "trials" / first_id(run)
    reseal(folder, id="feedfeedfeedfeed")
    with pytest.raises(UserError, match=r"done\.json: is the record of trial feedfeedfeedfeed"):
        load_run(run)


def test_the_plan_of_another_suite_is_not_read_as_this_one(run):
    plan = json.loads((run.path / "plan.json").read_text())
    write_json(run.path / "plan.json", {**plan, "suite": "other"})
    assert len(load_run(run, "other").records) == len(load_run(run).records) == 6
    with pytest.raises(UserError, match=r"plan\.json: is the plan of suite 'other', not of 'tiny'"):
        load_run(run, "tiny")
