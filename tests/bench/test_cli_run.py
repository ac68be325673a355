"""`bench run`, `plan`, `report` and `trial`, as a user meets them; Ray is replaced, see conftest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.store import RunFolder, read_json, sealed, write_json

LINE = r"\[\d+/\d+\] synthgym_tiny@2 (supervised|fixmatch) seed=\d top1 \d+\.\d \d+:\d\d"


def test_a_run_does_everything_once_and_reports(bench: Any) -> None:
    suite = bench.suite()
    first = bench("run", "--suite", suite)
    assert first.status == 0, first.err
    assert len(re.findall(LINE, first.out)) == 4
    report = bench.folder / "runs/tiny/report/leaderboard.md"
    assert f"report: {report.relative_to(bench.folder)}" in first.out
    assert "fixmatch" in report.read_text(encoding="utf-8")
    assert {p.name for p in (bench.folder / "runs/tiny").iterdir()} >= {"plan.json", "env.json", "trials"}
    splits = sorted(path.name for path in (bench.folder / "runs/tiny/splits").iterdir())
    assert [re.sub(r"-[0-9a-f]{12}\.tsv", "", name) for name in splits] == [
        "synthgym_tiny@2-seed0",
        "synthgym_tiny@2-seed1",
    ]
    again = bench("run", "--suite", suite)
    assert again.status == 0
    assert "all 4 trials are done" in again.out
    assert len(bench.executed) == 4


def test_a_rerun_renders_only_what_is_out_of_date(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite)
    page = bench.folder / "runs/tiny/report/leaderboard.md"
    page.write_text("as it was", encoding="utf-8")
    assert "report: " in bench("run", "--suite", suite).out
    assert page.read_text(encoding="utf-8") == "as it was"
    text = suite.read_text(encoding="utf-8").replace("Rendered saltos", "Drawn saltos")
    suite.write_text(text, encoding="utf-8")
    assert "report: " in bench("run", "--suite", suite).out
    assert "Drawn saltos" in page.read_text(encoding="utf-8")


def test_plan_tells_what_is_done_and_what_is_missing(bench: Any) -> None:
    suite = bench.suite()
    assert "4 missing" in bench("plan", "--suite", suite).out
    bench("run", "--suite", suite, "--seeds", "1")
    out = bench("plan", "--suite", suite).out
    assert "2 done, 0 stale, 0 failed, 2 missing" in out
    assert re.search(r"done +synthgym_tiny@2 fixmatch seed=1", out)
    assert re.search(r"missing +synthgym_tiny@2 fixmatch seed=0", out)


def test_methods_take_the_baseline_along(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--methods", "fixmatch", "--seeds", "0")
    assert sorted(bench.executed) == ["synthgym_tiny@2 fixmatch seed=0", "synthgym_tiny@2 supervised seed=0"]


def test_limited_steps_are_stamped_and_barred(bench: Any) -> None:
    answer = bench("run", "--suite", bench.suite(), "--limit-steps", "1", "--seeds", "0")
    assert answer.status == 0, answer.err
    folder = bench.folder / "runs/tiny-limited"
    records = [read_json(done) for done in (folder / "trials").glob("*/done.json")]
    assert [record["spec"]["limited"] for record in records] == [True, True]
    assert "limit-steps" in (folder / "report/leaderboard.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "options", [("--limit-steps", "1"), ("--methods", "fixmatch"), ("--data", "synthgym_tiny_other")]
)
def test_small_runs_leave_the_committed_pages_alone(bench: Any, options: tuple[str, str]) -> None:
    def committed(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["entries"].append({"label": "soft", "method": "softmatch"})

    suite = bench.suite(committed, name="fine_grained")
    plugin = bench.folder / "tiny_other.py"
    plugin.write_text(OTHER_DATA, encoding="utf-8")
    arguments = ("run", "--suite", suite, "--seeds", "0", "--plugin", plugin)
    small = bench(*arguments, *options)
    assert small.status == 0, small.err
    assert re.search(r"report: runs/fine_grained(-limited)?/report/leaderboard\.md", small.out)
    assert not (bench.folder / "reports").exists()
    whole = bench(*arguments)
    assert "report: reports/leaderboard.md" in whole.out
    page = (bench.folder / "reports/leaderboard.md").read_text(encoding="utf-8")
    assert "soft" in page and "synthgym_tiny_other" not in page


OTHER_DATA = """
import dataclasses
from datasets.synthgym import SynthGymTiny as Tiny

class Other(Tiny):
    name = "synthgym_tiny_other"
    def table(self):
        return dataclasses.replace(super().table(), name=self.name)
"""


def test_two_runs_that_share_a_folder_of_pages_keep_no_foreign_page(bench: Any) -> None:
    first, second = bench.suite(), bench.suite(lambda content: content.update(title="Another"), name="two")
    for suite in (first, second, first):
        assert bench("run", "--suite", suite, "--seeds", "0", "--to", "pages").status == 0
    page, other = bench.folder / "pages/leaderboard.md", bench.folder / "runs/tiny/report/leaderboard.md"
    assert bench("run", "--suite", first, "--seeds", "0").status == 0
    assert page.read_bytes() == other.read_bytes()
    assert bench("report", "--suite", second, "--to", "pages", "--format", "csv").status == 0
    assert bench("run", "--suite", first, "--seeds", "0", "--to", "pages").status == 0
    assert (page.parent / "results.csv").read_bytes() == (other.parent / "results.csv").read_bytes()


@pytest.mark.parametrize("name", ["leaderboard.md", "results.csv", "stats.json"])
def test_a_rerun_renders_a_file_that_is_missing(bench: Any, name: str) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite, "--seeds", "0")
    file = bench.folder / "runs/tiny/report" / name
    content = file.read_bytes()
    file.unlink()
    bench("run", "--suite", suite, "--seeds", "0")
    assert file.read_bytes() == content


def _change_code(folder: Path) -> None:
    """Pretends that the trials were done by other code."""
    for done in folder.glob("trials/*/done.json"):
        write_json(done, sealed({**read_json(done), "code_hash": "0" * 16}))


def test_stale_trials_wait_for_a_decision(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite)
    _change_code(bench.folder / "runs/tiny")
    assert "4 stale" in bench("plan", "--suite", suite).out
    stopped = bench("run", "--suite", suite)
    assert stopped.status == 1
    assert "--stale redo" in stopped.sentence and "--stale keep" in stopped.sentence
    assert len(bench.executed) == 4
    assert bench("run", "--suite", suite, "--stale", "keep").status == 0
    assert len(bench.executed) == 4
    assert bench("run", "--suite", suite, "--stale", "redo").status == 0
    assert len(bench.executed) == 8
    assert "4 done, 0 stale" in bench("plan", "--suite", suite).out


PLUGIN = """
from methods.supervised import Supervised

class Breaks(Supervised):
    name = "breaks"
    def step(self, batch, progress):
        raise ValueError("the third wheel came off")

class Plain(Supervised):
    name = "plain"
"""


def test_a_failed_trial_is_a_record_and_the_others_go_on(bench: Any) -> None:
    plugin = bench.folder / "wheels.py"
    plugin.write_text(PLUGIN, encoding="utf-8")

    def add(content: dict[str, Any]) -> None:
        entries = content["sections"]["embedded"]["entries"]
        entries.insert(0, {"label": "breaks", "method": "breaks"})

    command = ("run", "--suite", bench.suite(add), "--plugin", plugin, "--seeds", "0")
    answer = bench(*command)
    assert answer.status == 3, answer.err
    assert "breaks seed=0 FAILED (exception): the third wheel came off" in answer.out
    assert len(re.findall(LINE, answer.out)) == 2
    failed = next((bench.folder / "runs/tiny/trials").glob("*/error.txt"))
    assert "Traceback" in failed.read_text(encoding="utf-8")

    again = bench(*command)
    assert again.status == 3
    assert "--retry-failed" in again.out
    assert len(bench.executed) == 3
    assert bench(*command, "--retry-failed").status == 3
    assert bench.executed[3:] == ["synthgym_tiny@2 breaks seed=0"]


def test_a_method_that_no_suite_lists_runs_by_name(bench: Any) -> None:
    plugin = bench.folder / "wheels2.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    suite = bench.suite()
    answer = bench("run", "--suite", suite, "--plugin", plugin, "--methods", "plain", "--seeds", "0")
    assert answer.status == 0, answer.err
    assert "synthgym_tiny@2 plain seed=0" in bench.executed
    board = bench.folder / "runs/tiny/report/leaderboard.md"
    assert "plain" in board.read_text(encoding="utf-8")
    board.unlink()
    assert bench("report", "--suite", suite, "--plugin", plugin).status == 0
    assert "plain" in board.read_text(encoding="utf-8")


def test_a_second_run_in_the_same_folder_is_refused(bench: Any) -> None:
    suite = bench.suite()
    with RunFolder(bench.folder / "runs/tiny").lock():
        answer = bench("run", "--suite", suite)
    assert answer.status == 1
    assert "another run works here" in answer.sentence
    assert bench("run", "--suite", suite, "--seeds", "0").status == 0


def test_a_single_trial_has_the_predictions_of_the_run(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0")
    for spec in (bench.folder / "runs/tiny/trials").glob("*/spec.json"):
        answer = bench("trial", spec, "--out", bench.folder / "again")
        assert answer.status == 0, answer.err
        again = bench.folder / "again/single/trials" / spec.parent.name / "predictions.parquet"
        assert again.read_bytes() == (spec.parent / "predictions.parquet").read_bytes()


def test_a_plan_can_be_taken_along_as_specifications(bench: Any) -> None:
    bench("plan", "--suite", bench.suite(), "--specs", "specs")
    names = {path.stem for path in (bench.folder / "specs").glob("*.json")}
    assert len(names) == 4
    bench("run", "--suite", bench.suite(), "--seeds", "0")
    assert {path.name for path in (bench.folder / "runs/tiny/trials").iterdir()} <= names


def test_report_formats_and_target(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite)
    answer = bench("report", "--suite", suite, "--to", "here", "--format", "csv")
    assert answer.status == 0
    assert [path.name for path in (bench.folder / "here").glob("[!.]*") if path.is_file()] == ["results.csv"]
    wrong = bench("report", "--suite", suite, "--format", "pdf")
    assert wrong.status == 1
    assert "pdf" in wrong.sentence


def test_nothing_done_is_nothing_to_report(bench: Any) -> None:
    answer = bench("report", "--suite", bench.suite())
    assert answer.status == 1
    assert "bench run" in answer.sentence


@pytest.mark.parametrize("kind", ["methods", "datasets", "suites", "backbones"])
def test_lists_are_readable_by_programs(bench: Any, kind: str) -> None:
    rows = json.loads(bench("ls", kind, "--json").out)
    assert rows and all({"name", "summary"} <= set(row) for row in rows)
    plain = bench("ls", kind)
    assert plain.status == 0
    assert all(row["name"] in plain.out for row in rows)


def test_a_trial_is_reproduced_bit_for_bit_or_it_is_said(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0", "--methods", "supervised")
    done = next((bench.folder / "runs/tiny/trials").glob("*/done.json"))
    answer = bench("reproduce", done.parent.name)
    assert answer.status == 0, answer.err
    assert "identical bit for bit" in answer.out and answer.out.endswith("reproduced\n")
    record = read_json(done)
    record["metrics"]["top1"] += 0.3
    write_json(done, sealed(record))
    wrong = bench("reproduce", done.parent)
    assert wrong.status == 3
    assert "NOT reproduced" in wrong.out
    elsewhere = {**record, "environment": {**record["environment"], "processor": "another"}}
    write_json(done, sealed(elsewhere))
    assert bench("reproduce", done, "--tolerance", "50").status == 0
    assert bench("reproduce", done).status == 3
    assert "processor: another -> " in bench("reproduce", done).out


def test_env_json_names_code_data_and_plugins(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0", "--methods", "supervised")
    found = read_json(bench.folder / "runs/tiny/env.json")
    assert set(found) >= {"command", "machine", "packages", "git", "code", "plugins", "splits", "data"}
    assert found["packages"]["torch"] and len(found["data"]) == 1 and len(found["splits"]) == 1
    record = read_json(next((bench.folder / "runs/tiny/trials").glob("*/done.json")))
    assert found["code"] == {"supervised on shiftnet": record["code_hash"]}
    assert set(record["plugins"]) == {"method", "data", "backbone"} and all(record["plugins"].values())


def test_a_run_folder_of_another_schema_is_left_alone(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite, "--seeds", "0", "--methods", "supervised")
    path = bench.folder / "runs/tiny/plan.json"
    plan = read_json(path)
    for trial in plan["trials"]:
        trial["spec"]["schema_version"] = 0
    write_json(path, plan)
    before = path.read_bytes()
    for command in ("run", "report", "plan"):
        answer = bench(command, "--suite", suite)
        assert answer.status == 1
        assert (
            "schema 0" in answer.sentence and "bench run --suite tiny --out runs-schema-1" in answer.sentence
        )
    assert path.read_bytes() == before
    trial = next((bench.folder / "runs/tiny/trials").iterdir())
    spec = {**read_json(trial / "spec.json"), "schema_version": 0, "younger": 1}
    write_json(trial / "spec.json", spec)
    write_json(trial / "done.json", sealed({**read_json(trial / "done.json"), "spec": spec}))
    for command, given, file in (("trial", trial / "spec.json", "spec"), ("reproduce", trial, "done")):
        sentence = bench(command, given).sentence
        assert f"{file}.json: field 'schema_version' is 0" in sentence and "bench plan" in sentence


def test_a_report_that_is_older_than_its_suite_says_so(bench: Any) -> None:
    bench("run", "--suite", bench.suite(), "--seeds", "0")

    def rename(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["entries"][1]["label"] = "other"

    answer = bench("report", "--suite", bench.suite(rename))
    assert answer.status == 1 and "the plan is older than the suite: run again" in answer.sentence
    assert bench("run", "--suite", bench.suite(rename), "--seeds", "0").status == 0
    assert bench("report", "--suite", bench.suite(rename)).status == 0


def test_cells_for_which_the_suite_names_other_rows_are_said_and_not_run_for_the_baseline_alone(
    bench: Any,
) -> None:
    def named(content: dict[str, Any]) -> None:
        section = content["sections"]["embedded"]
        section["tasks"].append({"data": "synthgym_tiny", "labels": ["4"], "entries": ["supervised"]})
        section.pop("quick", None)

    planned = bench("plan", "--suite", bench.suite(named), "--methods", "fixmatch")
    assert planned.status == 0, planned.err
    assert "'fixmatch' is not run on synthgym_tiny@4, for which the suite names other rows" in planned.out
    assert "synthgym_tiny@4 supervised" not in planned.out and "synthgym_tiny@2 supervised" in planned.out
    assert "not run on" not in bench("plan", "--suite", bench.suite(named)).out


def test_weights_that_were_not_kept_are_said_with_the_cure(bench: Any) -> None:
    suite = bench.suite()
    bench("run", "--suite", suite, "--seeds", "0")
    late = bench("run", "--suite", suite, "--seeds", "0", "--keep-weights")
    assert "2 trials were done without --keep-weights" in late.out
    command = late.out.split("with: python -m bench ")[1].split("\n")[0]
    assert bench(*command.split()).status == 0
    assert list((bench.folder / "weights").rglob("model.safetensors"))
    kept = bench("run", "--suite", suite, "--seeds", "1", "--keep-weights")
    assert "without --keep-weights" not in kept.out
