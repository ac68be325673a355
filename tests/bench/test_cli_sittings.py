"""Several runs of one suite in one folder: what shares a board, what leaves it, what is not forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from bench import experiment
from bench.evaluate import DivergedError
from bench.store import read_json


def test_seeds_of_two_sittings_share_a_board(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite, "--seeds", "0")
    bench("run", "--suite", suite, "--seeds", "1")
    plan = read_json(bench.folder / "runs/tiny/plan.json")
    assert sorted((t["entry"], t["seed"]) for t in plan["trials"]) == [
        ("fixmatch", 0),
        ("fixmatch", 1),
        ("supervised", 0),
        ("supervised", 1),
    ]
    results = (bench.folder / "runs/tiny/report/results.csv").read_text(encoding="utf-8")
    assert results.count("fixmatch") >= 2


def test_what_diverged_in_one_sitting_stays_an_outcome_in_the_next(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second sitting must not make the first one's bad outcomes good."""
    predict = experiment._predict

    def diverging(spec: Any, *arguments: Any) -> Any:
        if spec.method == "fixmatch" and spec.seed == 0:
            raise DivergedError("its predictions are not finite")
        return predict(spec, *arguments)

    monkeypatch.setattr(experiment, "_predict", diverging)
    suite = bench.suite()
    first = bench("run", "--suite", suite, "--seeds", "0")
    assert first.status == 3
    assert "1 of them diverged: an outcome, scored at chance" in first.out
    assert "--retry-failed" not in first.out
    bench("run", "--suite", suite, "--seeds", "1")
    plan = read_json(bench.folder / "runs/tiny/plan.json")
    assert ("fixmatch", 0) in {(t["entry"], t["seed"]) for t in plan["trials"]}
    results = (bench.folder / "runs/tiny/report/results.csv").read_text(encoding="utf-8")
    assert "diverged" in results
    again = bench("run", "--suite", suite, "--seeds", "0", "--retry-failed")
    assert again.status == 3 and bench.executed.count("synthgym_tiny@2 fixmatch seed=0") == 1
    assert (
        "1 done, 0 stale, 0 failed, 1 diverged, 0 missing"
        in bench("plan", "--suite", suite, "--seeds", "0").out
    )


@pytest.mark.parametrize(
    "option", [("--decoder", "pyav"), ("--limit-steps", "1"), ("--init", "random")], ids=lambda o: o[0]
)
def test_sittings_with_the_same_option_share_a_board(bench: Any, option: tuple[str, str]) -> None:
    suite = bench.suite()
    for seeds in ("0", "1"):
        run = bench("run", "--suite", suite, "--seeds", seeds, *option)
        assert run.status == 0 and "has changed since" not in run.out, run.err
    name = "tiny-limited" if option[0] == "--limit-steps" else "tiny"
    plan = read_json(bench.folder / "runs" / name / "plan.json")
    assert sorted(t["seed"] for t in plan["trials"]) == [0, 0, 1, 1]


def test_trials_of_a_changed_entry_leave_the_board(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0")

    def retune(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["entries"][1]["config"] = {"threshold": 0.7}

    bench("run", "--suite", bench.suite(retune), "--seeds", "1")
    plan = read_json(bench.folder / "runs/tiny/plan.json")
    assert sorted((t["entry"], t["seed"]) for t in plan["trials"]) == [
        ("fixmatch", 1),
        ("supervised", 0),
        ("supervised", 1),
    ]


def test_limited_steps_take_no_place_of_full_trials(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite)
    plan, page = bench.folder / "runs/tiny/plan.json", bench.folder / "runs/tiny/report/leaderboard.md"
    before = plan.read_bytes(), page.read_bytes()
    assert bench("run", "--suite", suite, "--limit-steps", "1").status == 0
    assert (plan.read_bytes(), page.read_bytes()) == before
    assert "4 done" in bench("plan", "--suite", suite).out
    assert "4 done" in bench("plan", "--suite", suite, "--limit-steps", "1").out


def test_a_suite_that_changed_says_what_leaves_the_board(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0")

    def retune(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["entries"][1]["config"] = {"threshold": 0.7}

    for command in ("report", "status"):
        assert "has changed since" not in bench(command, "--suite", bench.folder / "tiny.yaml").out
    changed = bench.suite(retune)
    for command in ("report", "status"):
        said = bench(command, "--suite", changed).out
        assert (
            "suite 'tiny' has changed since its last run here: 1 finished trials shown are no longer" in said
        )
    out = bench("run", "--suite", bench.suite(retune), "--seeds", "0").out
    assert "suite 'tiny' has changed since its last run here: 1 finished trials" in out
    assert "has changed since" not in bench("run", "--suite", bench.suite(retune), "--seeds", "0").out


def test_a_suite_with_lists_among_its_settings_has_not_changed(bench: Any) -> None:
    def levels(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["entries"][1].update(method="sefar", config={"levels": [1, 1, 2]})

    assert bench("run", "--suite", bench.suite(levels), "--seeds", "0").status == 0
    assert "has changed since" not in bench("report", "--suite", bench.suite(levels)).out


def test_a_method_that_was_tried_once_stays_on_the_board_and_is_not_run_again_unasked(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite, "--methods", "softmatch", "--seeds", "0")
    bench.executed.clear()
    run = bench("run", "--suite", suite)
    assert run.status == 0, run.err
    assert not [line for line in bench.executed if "softmatch" in line]
    assert "has changed since" not in run.out
    plan = read_json(bench.folder / "runs/tiny/plan.json")
    assert ("softmatch", 0) in {(t["entry"], t["seed"]) for t in plan["trials"]} and plan["added"] == [
        "softmatch"
    ]
    assert "softmatch" in (bench.folder / "runs/tiny/report/leaderboard.md").read_text(encoding="utf-8")
    assert bench("report", "--suite", suite).status == 0


def test_an_entry_that_was_taken_out_of_the_file_is_neither_run_nor_shown(bench: Any) -> None:
    def more(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["entries"].append({"label": "softmatch", "method": "softmatch"})

    bench("run", "--suite", bench.suite(more), "--seeds", "0")
    bench.executed.clear()
    run = bench("run", "--suite", bench.suite(), "--seeds", "0")
    assert "1 finished trials are no longer of it" in run.out and not bench.executed
    assert "softmatch" not in (bench.folder / "runs/tiny/report/leaderboard.md").read_text(encoding="utf-8")
