"""The simulation behind docs/statistics.md: it means what it says, and can be stopped."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import calibrate
from calibrate import Outcome, Setting

SMALL = Setting("equal", 2, 3, 60, 3.0, 0.0, 20)


def simulated(shape="equal", lead=0.0, sd=3.0):
    setting = Setting(shape, 4, 6, 4000, sd, lead, 1)
    rng = np.random.default_rng(5)
    return np.stack([calibrate.simulate(setting, rng).mean(2) for _ in range(40)])


def test_a_lead_and_a_spread_are_those_that_were_asked_for():
    gaps = simulated(lead=10.0)
    assert 100 * float((gaps[:, -1] - gaps[:, 0]).mean()) == pytest.approx(10.0, abs=1.0)
    spread = (gaps[:, 2] - gaps[:, 1]).var(axis=1, ddof=1).mean() ** 0.5
    assert 100 * spread == pytest.approx(3.0, abs=0.6)


def test_a_noisy_rival_is_three_times_as_noisy():
    runs = simulated("noisy rival")
    ratio = (runs[:, -1].var(axis=1, ddof=1).mean() / runs[:, 1].var(axis=1, ddof=1).mean()) ** 0.5
    assert 2.3 < ratio < 3.7


def test_relatives_resemble_each_other():
    runs = simulated("two families")
    within = (runs[:, 1] - runs[:, 0]).mean(1).std()
    between = (runs[:, 2] - runs[:, 0]).mean(1).std()
    assert within < 0.8 * between


def test_a_stopped_calibration_goes_on_with_the_same_numbers(tmp_path, capsys):
    kept = tmp_path / "kept.jsonl"
    first = calibrate.run_all([SMALL], kept, 1)
    kept.write_text(kept.read_text() + '{"setting": {"sha')  # killed while writing
    again = calibrate.run_all([SMALL], kept, 1)
    assert first == again and "1 of 1 settings are done" in capsys.readouterr().out
    assert calibrate.outcome(SMALL) == first[SMALL]


def test_what_exceeds_the_protocol_is_said():
    bad = Setting("noisy rival", 8, 5, 500, 3.0, 0.0, 1000)
    found = {bad: Outcome(0.071, 0.080, 0.0, 0.0, 3.0), SMALL: Outcome(0.07, 0.2, 0, 0, 3)}
    assert calibrate.too_many(found) == [
        "family A, noisy rival, 8 methods, 5 seeds, 500 clips: 0.071 of 1000 boards, more than 0.07"
    ]
    weak = Setting("equal", 2, 5, 500, 3.0, 5.0, 500)
    assert len(calibrate.too_weak({weak: Outcome(0.6, 0.6, 0.6, 0.6, 3.0)})) == 1
    assert calibrate.too_weak({weak: Outcome(0.7, 0.7, 0.7, 0.7, 3.0)}) == []


def test_tables_have_a_row_per_setting_and_go_between_the_marks(tmp_path):
    null = {s: Outcome(0.01, 0.02, 0.0, 0.0, 3.0) for s in calibrate.null_settings(2000)}
    power = {s: Outcome(0.0, 0.0, 0.5, 0.6, 3.3) for s in calibrate.power_settings(500)}
    page = tmp_path / "page.md"
    page.write_text(f"before\n{calibrate.BEGIN}\nold\n{calibrate.END}\nafter\n")
    calibrate.write_into(page, calibrate.tables(null, power))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert text.count("\n| 8 | ") == 12 and text.count("\n| 2 | equal") == 6
    assert "| 3 | 500 | 3.3 | 5 | 0.50 / 0.50 | 0.60 / 0.60 | 0.50 / 0.50 |" in text
