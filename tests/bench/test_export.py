"""`plan --export` and `--storage` on the command line: what jobs are given, and what is found after them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.export import read_order
from datasets.errors import UserError

TIMES = ("_seconds", "_hours", "_mib")


def _results(folder: Path) -> pd.DataFrame:
    """The results table without what differs between two machines."""
    table = pd.read_csv(folder / "report/results.csv")
    return table.loc[:, [name for name in table.columns if not name.endswith(TIMES)]]


def _one_seed(content: dict[str, Any]) -> None:
    content["sections"]["embedded"]["seeds"] = "0"


def test_exported_trials_end_where_the_report_looks_for_them(bench: Any) -> None:
    suite = bench.suite(_one_seed)
    result = bench("plan", "--suite", suite, "--export", "jobs")
    assert result.status == 0, result.err
    assert "2 trials in jobs; each is: python -m bench trial jobs/00001.json --out " in result.out
    assert sorted(path.name for path in (bench.folder / "jobs").iterdir()) == [
        "00001.json",
        "00002.json",
        "array.sbatch",
        "index.json",
        "splits",
    ]
    index = json.loads((bench.folder / "jobs/index.json").read_text(encoding="utf-8"))
    assert [each["file"] for each in index["trials"]] == ["00001.json", "00002.json"]

    result = bench("trial", "jobs/00001.json")
    assert result.status == 0, result.err
    first = index["trials"][0]
    assert f"{first['line']} top1" in result.out
    assert (bench.folder / "runs/tiny/trials" / first["id"] / "done.json").is_file()
    result = bench("report", "--suite", suite)
    assert result.status == 0, result.err

    # Jobs may wait for the old folder, so it is left alone; a new one has what is still missing.
    sentence = bench("plan", "--suite", suite, "--export", "jobs").sentence
    assert "--export jobs: it is not an empty folder" in sentence
    result = bench("plan", "--suite", suite, "--export", "more")
    assert "1 trials in more" in result.out
    assert not (bench.folder / "more/00002.json").exists()
    assert bench("trial", "more/00001.json").status == 0
    assert "no trial of suite 'tiny' is missing" in bench("plan", "--suite", suite, "--export", "no").sentence

    # `run` finds both: nothing is left to do.
    result = bench("run", "--suite", suite)
    assert "all 2 trials are done" in result.out
    assert bench.executed == []


def test_a_failed_trial_is_exported_when_asked_for(bench: Any) -> None:
    suite = bench.suite(_one_seed)
    (bench.folder / "wheels.py").write_text(
        "from methods.supervised import Supervised\n"
        "class Breaks(Supervised):\n"
        "    name = 'breaks'\n"
        "    def step(self, batch, progress):\n"
        "        raise ValueError('the third wheel came off')\n",
        encoding="utf-8",
    )
    what = ("--suite", suite, "--methods", "breaks", "--plugin", "wheels.py")
    assert bench("plan", *what, "--export", "jobs").status == 0
    script = (bench.folder / "jobs/array.sbatch").read_text(encoding="utf-8")
    assert f"--plugin {bench.folder / 'wheels.py'}" in script
    for number in (1, 2):
        bench("trial", f"jobs/0000{number}.json", "--plugin", "wheels.py")
    assert "no trial" in bench("plan", *what, "--export", "again").sentence
    result = bench("plan", *what, "--retry-failed", "--export", "again")
    assert "1 trials in again" in result.out


def test_the_slurm_script_runs_its_trial_and_is_put_back_when_it_was_told_to_leave(bench: Any) -> None:
    """With stand-ins for Slurm's two commands, which write what they hear."""
    suite = bench.suite(_one_seed)
    assert bench("plan", "--suite", suite, "--export", "jobs", "--out", "the runs").status == 0
    tools = bench.folder / "tools"
    tools.mkdir()
    _program(tools / "srun", 'printf "%s\\n" "$@" > srun.txt\nexit "$ANSWER"')
    _program(tools / "scontrol", 'printf "%s " "$@" > scontrol.txt')
    for answer, requeued in (("0", None), ("3", None), ("130", "requeue 77_2 ")):
        environment = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "SLURM_ARRAY_TASK_ID": "2",
            "SLURM_ARRAY_JOB_ID": "77",
            "ANSWER": answer,
        }
        ended = subprocess.run(["bash", "jobs/array.sbatch"], env=environment, check=False)
        assert ended.returncode == int(answer)
        heard = bench.folder / "scontrol.txt"
        assert (heard.read_text(encoding="utf-8") if heard.exists() else None) == requeued
    words = (bench.folder / "srun.txt").read_text(encoding="utf-8").splitlines()
    assert words[0] == sys.executable
    assert words[1:] == [
        "-m",
        "bench",
        "trial",
        str(bench.folder / "jobs/00002.json"),
        "--out",
        str(bench.folder / "the runs"),
    ]


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_an_order_cannot_name_a_folder_elsewhere(bench: Any) -> None:
    assert bench("plan", "--suite", bench.suite(_one_seed), "--export", "jobs").status == 0
    path = bench.folder / "jobs/00001.json"
    order = json.loads(path.read_text(encoding="utf-8"))
    for run in ("../../elsewhere", "/elsewhere", "a/b", "", ".hidden"):
        path.write_text(json.dumps({**order, "run": run}), encoding="utf-8")
        with pytest.raises(UserError, match=r"00001.json: field 'run'"):
            read_order(path)
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(UserError, match=r"00001.json: field '\(top\)'"):
        read_order(path)


def test_a_second_machine_finds_in_the_store_what_the_first_has_done(bench: Any) -> None:
    suite = bench.suite(_one_seed)
    assert bench("run", "--suite", suite, "--out", "calm").status == 0
    result = bench("run", "--suite", suite, "--out", "one", "--storage", "shared")
    assert result.status == 0, result.err
    shutil.rmtree(bench.folder / "one")
    bench.executed.clear()

    result = bench("plan", "--suite", suite, "--out", "two", "--storage", "shared")
    assert "2 trials: 2 done" in result.out
    result = bench("run", "--suite", suite, "--out", "two", "--storage", "shared")
    assert "all 2 trials are done" in result.out and bench.executed == []
    result = bench("report", "--suite", suite, "--out", "three", "--storage", "shared")
    assert result.status == 0, result.err
    calm = _results(bench.folder / "calm/tiny")
    for folder in ("two/tiny", "three/tiny"):
        pd.testing.assert_frame_equal(_results(bench.folder / folder), calm)


def test_a_trial_leaves_its_result_in_the_store(bench: Any, s3: Any) -> None:
    suite, uri = bench.suite(_one_seed), s3.uri()
    assert bench("plan", "--suite", suite, "--export", "jobs", "--storage", uri).status == 0
    assert f"--storage '{uri}'" in (bench.folder / "jobs/array.sbatch").read_text(encoding="utf-8")
    assert bench("trial", "jobs/00001.json", "--out", "one", "--storage", uri).status == 0
    result = bench("report", "--suite", suite, "--out", "two", "--storage", uri)
    assert result.status == 0, result.err
    assert len(_results(bench.folder / "two/tiny")) == 2
    result = bench("plan", "--suite", suite, "--out", "two", "--storage", uri)
    assert "2 trials: 1 done, 0 stale, 0 failed, 1 missing" in result.out


@pytest.mark.parametrize("command", ["run", "plan", "report"])
def test_a_storage_that_cannot_be_used_costs_one_sentence(bench: Any, command: str) -> None:
    result = bench(command, "--suite", bench.suite(_one_seed), "--storage", "swift://box/x")
    assert result.status == 1
    assert "there is no driver for 'swift://'" in result.sentence
    assert bench.executed == []
