"""`bench status`, `--max-hours` and `--fail-fast` through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import runner
from bench.schedule import Outcome
from bench.store import RunFolder


def test_status_of_a_run_that_is_done(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite, "--seeds", "0")
    for name in (suite, "tiny"):
        answer = bench("status", "--suite", name)
        assert answer.status == 0, answer.err
        assert answer.out.startswith("2 of 2 trials done\n")
        assert "synthgym_tiny@2 supervised: 1 of 1 done top1 " in answer.out
        assert answer.out.endswith("nothing is left to do\n")
    found = json.loads(bench("status", "--suite", "tiny", "--json").out)
    assert (found["suite"], found["done"], found["total"], found["left_seconds"]) == ("tiny", 2, 2, 0.0)
    assert [each["entry"] for each in found["entries"]] == ["supervised", "fixmatch"]
    assert all(0 <= each["top1"] <= 1 for each in found["entries"])
    assert bench("status", "--suite", "tiny", "--watch").out.startswith("2 of 2 trials done\n")


def test_status_of_a_run_that_was_killed_and_of_one_that_works(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0")
    run = RunFolder(bench.folder / "runs/tiny")
    trial = next(run.path.glob("trials/*"))
    (trial / "done.json").unlink()
    answer = bench("status", "--suite", "tiny")
    assert answer.out.startswith("1 of 2 trials done, 1 to do\n")
    assert answer.out.endswith("nobody works here now; the same 'bench run' command goes on\n")
    with run.lock(), run.trial(trial.name).attempt():
        out = bench("status", "--suite", "tiny").out
        assert out.startswith("1 of 2 trials done, 1 running, about ")
        assert " prepares\n" in out and "\na run works here: " in out
        (running,) = json.loads(bench("status", "--suite", "tiny", "--json").out)["running"]
        assert running["trial"] == trial.name and running["step"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--suite", "smoke"), "nothing of suite 'smoke' has run here"),
        (("--suite", "tinny"), "Did you mean 'tiny'"),
        (("--suite", "nowhere.yaml"), "nowhere.yaml"),
        (("--suite", "tiny", "--watch", "--json"), "--json prints one object"),
    ],
)
def test_status_of_what_is_not_there(bench: Any, arguments: tuple[str, ...], said: str) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0", "--methods", "supervised")
    answer = bench("status", *arguments)
    assert answer.status == 1
    assert said in answer.sentence


def test_a_run_with_fewer_steps_is_pointed_at_and_looked_at(bench: Any) -> None:
    suite = bench.suite()
    assert bench("run", "--suite", suite, "--seeds", "0", "--limit-steps", "1", "--out", "r1").status == 0
    for command in ("status", "report"):
        answer = bench(command, "--suite", suite, "--out", "r1")
        assert answer.status == 1
        assert (
            "a run with fewer steps (--limit-steps) is in r1/tiny-limited: add --limited" in answer.sentence
        )
        answer = bench(command, "--suite", suite, "--out", "r1", "--limited")
        assert answer.status == 0, answer.err
    assert answer.out == "report: r1/tiny-limited/report/leaderboard.md\n"
    assert bench("status", "--suite", "tiny-limited", "--out", "r1").out.startswith("2 of 2 trials done")
    assert bench("run", "--suite", suite, "--seeds", "0", "--out", "r2").status == 0
    for command in ("status", "report"):
        sentence = bench(command, "--suite", suite, "--out", "r2", "--limited").sentence
        assert "all steps is in r2/tiny: leave out --limited" in sentence


def _stopping(bench: Any, monkeypatch: pytest.MonkeyPatch, why: Any) -> list[Any]:
    """Runs one trial of those that there are and then stops, as the scheduler does."""
    given = []
    whole = runner.run_trials

    def some(trials: Any, run: Any, settings: Any, on_result: Any) -> Outcome:
        given.append((settings, [trial.line for trial in trials]))
        outcome = whole(trials[:1], run, settings, on_result)
        folder = run.trial(trials[1].spec.id).path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "checkpoint-0000000001-0123456789abcdef.pt").touch()
        outcome.stopped = why
        return outcome

    monkeypatch.setattr(runner, "run_trials", some)
    return given


def test_a_run_out_of_time_says_what_remains_and_has_a_status_of_its_own(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        given = _stopping(bench, patch, "time")
        answer = bench("run", "--suite", bench.suite(), "--max-hours", "0.5")
    assert answer.status == 4, answer.err
    assert "the time of --max-hours is over: 3 of 4 trials remain, 1 of them with a checkpoint" in answer.out
    assert "the same command goes on" in answer.out
    assert "report: " in answer.out
    ((settings, _),) = given
    assert settings.deadline is not None and not settings.fail_fast
    assert bench("run", "--suite", bench.suite()).status == 0
    assert len(bench.executed) == 4


def test_fail_fast_says_what_remains(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _stopping(bench, monkeypatch, "failure")
    answer = bench("run", "--suite", bench.suite(), "--fail-fast")
    assert "--fail-fast: a trial failed: 3 of 4 trials remain" in answer.out
    assert given[0][0].fail_fast


def test_a_search_that_ran_out_of_time_chooses_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _stopping(bench, monkeypatch, "time")
    answer = bench("tune", "--suite", "smoke", "--configs", "2", "--limit-steps", "2", "--to", "chosen.yaml")
    assert answer.status == 4, answer.err
    assert "3 of 4 trials remain" in answer.out
    assert not Path("chosen.yaml").exists()
