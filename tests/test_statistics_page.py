"""docs/statistics.md: its worked example is right, and it explains what the boards show."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.render.tables import MEASUREMENT, RANKING
from bench.stats import two_way_paired_t

PAGE = (Path(__file__).parent.parent / "docs/statistics.md").read_text(encoding="utf-8")


def example() -> np.ndarray:
    block = PAGE.split("<!-- example:begin -->")[1].split("<!-- example:end -->")[0]
    rows = re.findall(r"seed \d +([-+· ]+)\n", block)
    return np.array([[{"+": 1, "-": -1, "·": 0}[cell] for cell in row.split()] for row in rows])


def test_the_worked_example_is_what_the_package_computes():
    d = example()
    assert d.shape == (5, 12) and (d == 1).sum() == 14 and (d == -1).sum() == 3
    found = two_way_paired_t(d == 1, d == -1)
    assert found.estimate == pytest.approx(11 / 60)
    for value, printed in (
        (found.V_seed, "V_seed = their variance / 5 = 0.00097"),
        (found.V_clip, "V_clip = their variance / 12 = 0.01179"),
        (found.V_inter, "cells / 60 = 0.00423"),
    ):
        assert f"{value:.5f}" == printed.split("= ")[-1] and printed in " ".join(PAGE.split())
    assert (f"{100 * found.se:.1f}", f"{found.df:.0f}", f"{found.p:.2f}") == ("10.9", "11", "0.12")
    assert (f"{100 * found.low:.1f}", f"{100 * found.high:.1f}") == ("-5.6", "42.2")
    over_seeds = scipy_stats.ttest_1samp(d.mean(1), 0)
    assert (f"{over_seeds.statistic:.1f}", f"{over_seeds.pvalue:.3f}") == ("5.9", "0.004")
    for said in ("t = 5.9 and p = .004", "t = 18.3 / 10.9 = 1.69", "p = .12", "−5.6 to 42.2", "10.9 points"):
        assert said in " ".join(PAGE.split()), said


def test_every_column_of_the_boards_is_explained():
    names = {
        "rank": "**rank**",
        "group": "**group**",
        "entry": "**entry**",
        "accuracy": "**top-1 % (95 %)**",
        "to_baseline": "**vs. the baseline (95 %)**",
        "p_baseline": "**p (B)**",
        "to_best": "**vs. best (95 %)**",
        "p_best": "**p (A)**",
        "record": "**wins/ties/losses**",
        "superiority": "**P(better)**",
        "seeds": "**seeds**",
        "clips": "**test clips**",
        "detectable": "**detectable: alone / in B**",
        "tuned": "**tuned**",
        "time": "**time per trial",
        "time_all": "time in all**",
        "hashes": "**code / settings**",
    }
    assert set(names) == {*RANKING, *MEASUREMENT} - {"method", "note"}
    for printed in names.values():
        assert printed in PAGE, printed


def test_there_is_a_place_for_the_calibration():
    assert PAGE.count("<!-- calibration:begin -->") == PAGE.count("<!-- calibration:end -->") == 1
