"""Pseudo-label coverage and precision from a metrics log; costs from records."""

from __future__ import annotations

import dataclasses
import json

import pytest
from synthetic_runs import suite, write_run

from bench.board import build_boards
from bench.costs import spent, total
from bench.records import load_run
from bench.render.tables import times
from bench.training_log import pseudo_labels, read_log
from datasets.errors import UserError

WARM = [{"step": s, "lr": 0.1, "loss/supervised": 2.0} for s in (0, 10)]


def pseudo(step, used, weight, precision=None, accuracy=0.5):
    line = {
        "step": step,
        "lr": 0.1,
        "pseudo/used": used,
        "pseudo/weight": weight,
        "pseudo/accuracy": accuracy,
    }
    return line if precision is None else {**line, "pseudo/precision": precision}


def written(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_coverage_leaves_out_the_warm_up_and_precision_weighs_by_what_was_used(tmp_path):
    lines = [*WARM, pseudo(20, 0.0, 0.0), pseudo(30, 0.5, 0.25, 0.6), pseudo(40, 1.0, 0.75, 0.8)]
    log = read_log(written(tmp_path / "m.jsonl", lines))
    found = pseudo_labels(log)
    assert found.coverage == pytest.approx(0.5) and found.weight == pytest.approx(1 / 3)
    assert found.precision == pytest.approx((0.25 * 0.6 + 0.75 * 0.8) / 1.0)
    assert found.accuracy == pytest.approx(0.5)
    assert (found.late_coverage, found.late_precision) == (1.0, pytest.approx(0.8))
    assert log.values("loss/supervised")[:2].tolist() == [2.0, 2.0]


def test_a_method_without_pseudo_labels_has_none(tmp_path):
    found = pseudo_labels(read_log(written(tmp_path / "m.jsonl", WARM)))
    assert found.coverage is None and found.precision is None and found.late_coverage is None


def test_nothing_used_has_coverage_zero_and_no_precision(tmp_path):
    found = pseudo_labels(read_log(written(tmp_path / "m.jsonl", [pseudo(0, 0.0, 0.0)])))
    assert (found.coverage, found.precision) == (0.0, None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"step": 0}', "{"], r"m\.jsonl:2: is no line of a metrics log"),
        (['{"lr": 0}'], r"m\.jsonl:1: is no line"),
        (['{"step": 0, "lr": "x"}'], r"m\.jsonl:1: is no line"),
        (['{"step": 5}', '{"step": 5}'], r"m\.jsonl:2: goes back to step 5"),
    ],
)
def test_a_damaged_log_names_its_line(tmp_path, lines, message):
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match=message):
        read_log(tmp_path / "m.jsonl")


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(UserError, match=r"m\.jsonl: cannot be read"):
        read_log(tmp_path / "m.jsonl")


def test_costs_are_summed_over_finished_trials(tmp_path):
    loaded = suite({"supervised": "baseline", "fixmatch": "competitor"}, seeds="0-2")
    run = write_run(loaded, tmp_path, lambda e, labels, s: "failed" if s == 2 else 0.6, clips=48)
    records = load_run(run).records
    found = total(records)
    assert found.seconds == pytest.approx(4 * 32.5)
    assert found.gpu_hours is None and found.cpu_hours == pytest.approx(4 * 32.5 / 3600)
    assert found.peak_memory_mib is None and found.energy_kwh is None
    assert total([r for r in records if r.status == "failed"]) is None
    done = {**records[0].done, "clips_seen": 605, "peak_memory_mib": 512.0, "energy_joules": 3.6e5}
    one = total([dataclasses.replace(records[0], done=done)])
    assert one.clips_per_second == pytest.approx(20.0)
    assert (one.peak_memory_mib, one.energy_kwh) == (512.0, pytest.approx(0.1))


def test_on_a_cpu_processor_time_counts_where_it_was_measured(tmp_path):
    loaded = suite({"supervised": "baseline"}, seeds="0-1")
    run = write_run(loaded, tmp_path, lambda e, labels, s: 0.6, clips=48)
    old, record = load_run(run).records
    new = dataclasses.replace(record, done={**record.done, "train_cpu_seconds": 20.0, "clips_seen": 605})
    assert spent(old) == (pytest.approx(32.5), "clock") and spent(new) == (20.0, "processor")
    assert total([new]).clips_per_second == pytest.approx(30.25)
    on_gpu = dataclasses.replace(new.planned, spec=new.spec.model_copy(update={"device": "cuda"}))
    assert spent(dataclasses.replace(new, planned=on_gpu))[1] == "clock"
    (board,) = build_boards([old, new], loaded.suite)
    row = dataclasses.replace((*board.ranked, *board.unranked)[0], records=(old, new))
    assert times(row) == ("32 s CPU (clock), 20 s CPU (processor)",) * 2
