"""The simulation behind docs/statistics.md: it means what it says, and can be stopped."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from calibration import bounds, tables
from calibration.boards import CLASSES, Setting, simulate, true_sd
from calibration.outcomes import Outcome, outcome, run_all
from calibration.real_boards import Measured, measured
from calibration.settings import (
    diverging_settings,
    further_settings,
    null_settings,
    power_settings,
    seen_settings,
)

SMALL = Setting("equal", 2, 3, 60, 3.0, 0.0, 20)


def simulated(shape="equal", lead=0.0, sd=3.0):
    setting = Setting(shape, 4, 6, 4000, sd, lead, 1)
    rng = np.random.default_rng(5)
    return np.stack([simulate(setting, rng)[0].mean(2) for _ in range(40)])


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
    first = run_all([SMALL], kept, 1)
    kept.write_text(kept.read_text() + '{"setting": {"sha')  # killed while writing
    again = run_all([SMALL], kept, 1)
    assert first == again and "1 of 1 settings are done" in capsys.readouterr().out
    assert outcome(SMALL) == first[SMALL]


def test_what_exceeds_the_protocol_is_said():
    bad = Setting("noisy rival", 8, 5, 500, 3.0, 0.0, 1000)
    found = {bad: Outcome(0.071, 0.080, 0.0, 0.0, 3.0), SMALL: Outcome(0.07, 0.2, 0, 0, 3)}
    assert bounds.too_many(found) == [
        "family A, noisy rival, 8 methods, 5 seeds, 500 clips: 0.071 of 1000 boards, more than 0.07"
    ]
    weak = Setting("equal", 2, 5, 500, 2.1, 5.0, 500)
    assert len(bounds.too_weak({weak: Outcome(0.6, 0.6, 0.6, 0.6, 3.0)})) == 1
    assert bounds.too_weak({weak: Outcome(0.7, 0.7, 0.7, 0.7, 3.0)}) == []
    board = Setting("equal", 8, 5, 500, 2.1, 10.0, 500)
    assert len(bounds.too_weak({board: Outcome(0.9, 0.9, 0.89, 0.9, 3.0)})) == 1


def test_scores_vary_with_the_sd_that_was_asked_for():
    setting = Setting("equal", 2, 6, 500, true_sd(3.0, 500), 0.0, 1)
    rng = np.random.default_rng(1)
    gaps = [np.subtract(*simulate(setting, rng)[0].mean(2)).var(ddof=1) for _ in range(400)]
    assert 100 * float(np.mean(gaps)) ** 0.5 == pytest.approx(3.0, abs=0.15)


def test_tables_have_a_row_per_setting_and_go_between_the_marks(tmp_path):
    null = {s: Outcome(0.01, 0.02, 0.0, 0.0, 3.0) for s in [*null_settings(4000), *further_settings(4000)]}
    power = {s: Outcome(0.0, 0.0, 0.5, s.sd / 10, s.sd + 0.3) for s in power_settings(1000)}
    diverging = {s: Outcome(0.03, 0.04, 0.0, 0.0, 3.0) for s in diverging_settings(9)}
    seen = {s: Outcome(0.0, 0.0, 0.8, 0.9, 3.0) for s in seen_settings(1000)}
    real = [
        Measured("synthgym, 2 labels per class", 5, 4.1, 2.5, 6.0),
        Measured("other", 5, 9.0, 8.0, 10.0),
        Measured("odd", 7, 3.0, 2.0, 4.0),
    ]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.write_into(page, tables.tables(null, diverging, seen, power, real))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert text.count("\n| 8 | ") == 12 + 24 + 3 and text.count("\n| 2 | diverging") == 3
    assert text.count("\n| 2 | equal") == 6
    assert "4,000 boards per row" in text and "1,000 boards per row" in text and ".07 by .008" in text
    assert "| 3 | 500 | 3.3 | 5 | 0.50 / 0.50 | 0.30 / 0.30 | 0.50 / 0.50 |" in text
    assert (
        "4.1 points (2.5 to 6.0, by entry): between the rows of sd 3 and 5, where family B of 8 methods "
        "finds a lead of 5 points on .30 to .50 of boards."
    ) in text
    assert "beyond the row of sd 5" in text and "no row with 7 seeds" in text


def test_runs_that_diverge_answer_one_class_and_are_named():
    setting = Setting("diverging", 4, 5, 48, 3.0, 0.0, 1)
    chance = np.arange(48) % CLASSES == 0
    some = False
    for seed in range(10):
        correct, unstable = simulate(setting, np.random.default_rng(seed))
        lost = [i for i in range(4) if any((run == chance).all() for run in correct[i])]
        assert unstable == lost
        some |= bool(lost)
    assert some


def test_how_much_the_seeds_of_a_real_board_vary(tmp_path):
    rows = ["role,entry,data,labels,seed,status,top1"]
    for seed, (a, b) in enumerate([(0.5, 0.5), (0.6, 0.58), (0.7, 0.66)]):
        rows += [f"baseline,a,set,2,{seed},done,{a}", f"competitor,b,set,2,{seed},done,{b}"]
    (tmp_path / "results.csv").write_text("\n".join([*rows, "bound,c,set,2,0,done,0.9"]) + "\n")
    (found,) = measured(tmp_path / "results.csv")
    assert (found.cell, found.seeds) == ("set, 2 labels per class", 3)
    assert found.sd == found.low == found.high == pytest.approx(2.0)
