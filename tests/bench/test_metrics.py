"""Metrics from stored predictions against hand computation, the trial's own and naive definitions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import evaluate, metrics
from bench.predictions import Predictions, read_predictions
from datasets.errors import UserError


def made(label, predicted, rank=None, nll=None, confidence=None) -> Predictions:
    label, predicted = np.asarray(label), np.asarray(predicted)
    read = predicted >= 0
    return Predictions(
        clips=tuple(f"c{i}" for i in range(len(label))),
        groups=tuple(f"c{i}" for i in range(len(label))),
        label=label,
        predicted=predicted,
        rank=np.where(label == predicted, 0, 1) if rank is None else np.asarray(rank),
        nll=np.where(read, 1.0, np.nan) if nll is None else np.asarray(nll),
        confidence=np.where(read, 0.5, np.nan) if confidence is None else np.asarray(confidence),
        decoded=read,
    )


GOLDEN = made(
    label=[0, 0, 0, 0, 1, 1, 2, 2],
    predicted=[0, 0, 0, 1, 1, 0, 2, -1],
    rank=[0, 0, 0, 5, 0, 1, 0, 6],
    nll=[0.1, 0.2, 0.3, 2.0, 0.4, 1.0, 0.5, np.nan],
    confidence=[0.95, 0.95, 0.7, 0.7, 0.5, 0.5, 0.5, np.nan],
)


def test_metrics_by_hand() -> None:
    found = metrics.all_metrics(GOLDEN, 6)
    assert found["top1"] == pytest.approx(5 / 8)
    assert found["top5"] == pytest.approx(6 / 8)
    assert found["mean_class"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    # class 0: 3 hits of 4 true and 4 answered; class 1: 1 of 2 and 2; class 2: 1 of 2 and 1.
    assert found["macro_f1"] == pytest.approx((6 / 8 + 2 / 4 + 2 / 3) / 3)
    # bins of 1/15: {.95, .95} both right, {.7, .7} one right, {.5, .5, .5} two right.
    assert found["ece"] == pytest.approx((2 * 0.05 + 2 * 0.2 + 3 * (2 / 3 - 0.5)) / 7)
    assert found["nll"] == pytest.approx(4.5 / 7)


def test_confusion_and_per_class_by_hand() -> None:
    counts = metrics.confusion(GOLDEN.label, GOLDEN.predicted, 4)
    assert counts.tolist() == [[3, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    accuracy = metrics.per_class_accuracy(GOLDEN.label, GOLDEN.predicted, 4)
    assert accuracy[:3].tolist() == [0.75, 0.5, 0.5] and math.isnan(accuracy[3])
    with pytest.raises(ValueError, match="class 2 occurs, but the task has 2 classes"):
        metrics.confusion(GOLDEN.label, GOLDEN.predicted, 2)


def test_nothing_decoded_is_all_wrong_and_has_no_calibration() -> None:
    found = metrics.all_metrics(made([0, 1, 1], [-1, -1, -1], rank=[2, 2, 2]), 2)
    assert (found["top1"], found["top5"], found["mean_class"], found["macro_f1"]) == (0, 0, 0, 0)
    assert math.isnan(found["ece"]) and math.isnan(found["nll"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, int]:
    """Tables as a trial writes them, from random logits, with clips that were not decoded."""
    classes = draw(st.integers(2, 8))
    clips = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.integers(-3, 4, (clips, classes)).astype(np.float32) * draw(st.sampled_from([0.5, 3.0]))
    keys = [f"c{i}" for i in range(clips)]
    lost = set(rng.choice(keys, draw(st.integers(0, clips - 1)), replace=False))
    read = [i for i, key in enumerate(keys) if key not in lost]

    class Ref:
        def __init__(self, key: str) -> None:
            self.key, self.group, self.label = key, key, int(rng.integers(classes))

    refs = [Ref(key) for key in keys]
    errors = dict.fromkeys(lost, "truncated")
    return evaluate.prediction_table(refs, logits[read], [keys[i] for i in read], errors), classes


def from_table(table: pd.DataFrame) -> Predictions:
    arrays = {name: table[name].to_numpy() for name in ("label", "predicted", "rank", "nll", "confidence")}
    clips = tuple(table["clip"])
    return Predictions(clips=clips, groups=clips, decoded=(table["error"] == "").to_numpy(), **arrays)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_stored_predictions_give_what_the_trial_reported(case) -> None:
    table, classes = case
    ours, trial = metrics.all_metrics(from_table(table), classes), evaluate.metrics(table, classes)
    for name in metrics.MEANING:
        assert ours[name] == pytest.approx(trial[name], abs=1e-12, nan_ok=True), name


@settings(max_examples=60, deadline=None)
@given(tables())
def test_definitions_clip_by_clip(case) -> None:
    table, classes = case
    pairs = list(zip(table["label"], table["predicted"], strict=True))
    counts = metrics.confusion(table["label"].to_numpy(), table["predicted"].to_numpy(), classes)
    for true in range(classes):
        mine = [answer for label, answer in pairs if label == true]
        assert [mine.count(c) for c in range(classes)] == counts[true, :classes].tolist()
        assert mine.count(-1) == counts[true, classes]
    f1 = []
    for c in sorted({label for label, _ in pairs}):
        hits, true, said = counts[c, c], counts[c].sum(), counts[:, c].sum()
        recall, precision = hits / true, hits / said if said else 0.0
        f1.append(2 * recall * precision / (recall + precision) if hits else 0.0)
    found = metrics.all_metrics(from_table(table), classes)
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    assert 0 <= found["top1"] <= found["top5"] <= 1
    assert math.isnan(found["ece"]) or 0 <= found["ece"] <= 1


@settings(max_examples=30, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_clips_changes_no_metric(case, random) -> None:
    table, classes = case
    shuffled = table.iloc[random.sample(range(len(table)), len(table))]
    before, after = (metrics.all_metrics(from_table(t), classes) for t in (table, shuffled))
    assert after == pytest.approx(before, nan_ok=True)


def test_mean_per_class_is_what_the_weights_of_the_tests_give() -> None:
    from bench.stats import weights_mean_per_class

    weights = weights_mean_per_class(GOLDEN.label)
    assert GOLDEN.correct @ weights == pytest.approx(metrics.mean_class(GOLDEN.label, GOLDEN.predicted))


GOOD = pd.DataFrame(
    {
        "clip": ["a.mp4", "b.mp4", "c.mp4"],
        "label": [0, 1, 1],
        "group": ["a", "b", "c"],
        "predicted": [0, 0, -1],
        "rank": [0, 1, 2],
        "nll": [0.1, 1.2, np.nan],
        "confidence": [0.9, 0.7, np.nan],
        "error": ["", "", "truncated"],
    }
)


def test_a_good_file_is_read_as_it_is(tmp_path) -> None:
    GOOD.to_parquet(tmp_path / "p.parquet")
    found = read_predictions(tmp_path / "p.parquet")
    assert found.correct.tolist() == [True, False, False] and found.decoded.tolist() == [True, True, False]
    assert found.clips == ("a.mp4", "b.mp4", "c.mp4")


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("confidence", 1, np.nan, r"row 2 \(clip 'b.mp4'\): its probability \('confidence'\) is NaN"),
        ("confidence", 0, 1.5, r"row 1 \(clip 'a.mp4'\): its probability \('confidence'\) is not in 0..1"),
        ("nll", 0, np.inf, r"row 1 \(clip 'a.mp4'\): its negative log-likelihood \('nll'\) is NaN or inf"),
        ("nll", 0, -1.0, "row 1 .*is below 0"),
        ("label", 2, -1, "row 3 .*true class is negative"),
        ("predicted", 1, -1, "row 2 .*was decoded, but has no predicted class"),
        ("predicted", 2, 1, "row 3 .*was not decoded, but has a predicted class"),
        ("rank", 0, -2, "row 1 .*rank is negative"),
        ("clip", 2, "a.mp4", r"row 3: a clip occurs twice \('a.mp4'\)"),
        ("group", 1, None, "row 2: column 'group' is empty"),
        ("label", None, ["x", "y", "z"], "column 'label' must hold whole numbers"),
        ("nll", None, ["x", "y", "z"], "column 'nll' must hold numbers"),
    ],
)
def test_a_row_that_cannot_be_is_named_with_file_and_cure(tmp_path, column, row, value, message) -> None:
    table = GOOD.copy()
    if row is None:
        table[column] = value
    else:
        table.loc[row, column] = value
    table.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(UserError, match=rf"p\.parquet: {message}.*delete the trial's folder and run"):
        read_predictions(tmp_path / "p.parquet")
