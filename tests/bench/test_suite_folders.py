"""Suites in subfolders: named with their folder, kept in folders of that name, refused with a hint."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from bench.suite import SUITES, Suite, load_suite, suite_names
from datasets.errors import UserError


def test_a_suite_in_a_subfolder_is_planned_by_its_name(bench: Any) -> None:
    assert "paper/departures" in suite_names()
    answer = bench("plan", "--suite", "paper/departures", "--seeds", "0")
    assert answer.status == 0, answer.err
    for entry in load_suite("paper/departures").suite.sections["embedded"].entries:
        assert answer.out.count(f" synthgym_order@2 {entry.label} seed=0\n") == 1
    mistyped = bench("plan", "--suite", "paper/departure")
    assert mistyped.status == 1
    assert "Did you mean 'paper/departures'" in mistyped.sentence


def test_its_trials_are_kept_below_its_folder(bench: Any) -> None:
    suite = bench.suite(lambda content: content.update(name="group/tiny"), name="tiny")
    answer = bench("run", "--suite", suite, "--seeds", "0", "--methods", "supervised")
    assert answer.status == 0, answer.err
    folder = bench.folder / "runs/group/tiny"
    assert {path.name for path in folder.iterdir()} >= {"plan.json", "trials", "report"}
    assert (folder / "report/results.csv").is_file()
    again = bench("report", "--suite", suite)
    assert again.status == 0, again.err


@pytest.mark.parametrize("name", ["/tiny", "tiny/", "a//b", "../up", "a/../b", "a b/c"])
def test_names_that_leave_their_folder_are_refused(name: str) -> None:
    content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
    with pytest.raises((ValueError, UserError), match="must start with a letter or digit"):
        Suite.model_validate({**content, "name": name})
