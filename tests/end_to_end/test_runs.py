"""Real command line, real Ray, real files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

pytestmark = pytest.mark.slow

RESULT = r"\[\d+/6\] synthgym_tiny@2 (supervised|fixmatch) seed=\d top1 \d+\.\d \d+:\d\d( \(\d+:\d\d left\))?"
EXPECTED = rf"6 of 6 trials to run|all 6 trials are done|report: .*leaderboard\.md|{RESULT}"
PREPARING = r"Making synthgym_tiny.*|decoding synthgym_tiny.*"

POISON = """raise ImportError("this package must not be imported here")\n"""


def _poison(folder: Path, *names: str) -> str:
    """A folder for PYTHONPATH in which the named packages break on import."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(POISON, encoding="utf-8")
    return str(folder)


def test_smoke_then_nothing_then_a_single_trial(shell: Any) -> None:
    status, out, err = shell.run("run", "--suite", "smoke")
    assert status == 0, err
    assert len(re.findall(RESULT, out)) == 6
    for line in out.splitlines():
        assert re.fullmatch(EXPECTED, line), f"noise: {line}"
    for line in err.splitlines():
        assert re.fullmatch(PREPARING, line), f"noise: {line}"
    folder = shell.folder / "runs/smoke"
    assert (folder / "report/leaderboard.md").is_file()
    assert {path.name for path in folder.iterdir()} == {
        ".index.json",
        "plan.json",
        "env.json",
        "splits",
        "trials",
        "report",
    }
    assert not shell.processes()
    assert not shell.litter()

    # A rerun does nothing, and nothing of Ray.
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/*")}
    poison = _poison(shell.folder / "no-ray", "ray")
    status, out, err = shell.run("run", "--suite", "smoke", PYTHONPATH=poison)
    assert status == 0, err
    assert "all 6 trials are done" in out
    assert {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/*")} == stamps

    # A single trial gives the same bits with neither Ray nor a decoder, since its clips are cached.
    poison = _poison(shell.folder / "bare", "ray", "decord", "av", "cv2")
    for name in ("supervised", "fixmatch"):
        spec = next(p for p in folder.glob("trials/*/spec.json") if _method(p) == name)
        status, _, err = shell.run("trial", spec, "--out", "again", PYTHONPATH=poison)
        assert status == 0, err
        again = shell.folder / "again/single/trials" / spec.parent.name / "predictions.parquet"
        assert again.read_bytes() == (spec.parent / "predictions.parquet").read_bytes()


def _method(spec: Path) -> str:
    return str(json.loads(spec.read_text(encoding="utf-8"))["method"])


PLUGIN = """
import os

from datasets.errors import UserError
from methods.supervised import Supervised


class Dies(Supervised):
    name = "dies"

    def step(self, batch, progress):
        with open(os.environ["SEFAR_BENCH_HOME"] + "/deaths", "a") as file:
            file.write("x")
        os.kill(os.getpid(), 9)


class Breaks(Supervised):
    name = "breaks"

    def step(self, batch, progress):
        raise ValueError("the third wheel came off")


class Complains(Supervised):
    name = "complains"

    def step(self, batch, progress):
        raise UserError("method 'complains' needs a telephone; give it one.")
"""


def _only(*methods: str) -> Any:
    def change(section: dict[str, Any]) -> None:
        baseline = section["entries"][0]
        section["entries"] = [*({"label": name, "method": name} for name in methods), baseline]
        section["seeds"] = "0"
        section["protocol"]["steps"] = 4

    return change


def test_trials_that_break_or_die_are_records_and_the_others_go_on(shell: Any) -> None:
    (shell.folder / "wheels.py").write_text(PLUGIN, encoding="utf-8")
    suite = shell.suite("wheels", _only("dies", "breaks"))
    status, out, err = shell.run("run", "--suite", suite, "--plugin", "wheels.py")
    assert status == 3, err
    assert "dies seed=0 FAILED (lost worker)" in out
    assert "breaks seed=0 FAILED (exception): the third wheel came off" in out
    assert "supervised seed=0 top1" in out
    assert "Traceback" not in out + err
    assert (shell.home / "deaths").read_text(
        encoding="utf-8"
    ) == "xxx"  # `--max-retries 2`: two further chances
    assert not shell.processes()


HUNGRY = """
import os
import time
from pathlib import Path

from methods.supervised import Supervised


class Hungry(Supervised):
    name = "hungry"

    def after_step(self, progress):
        fed = Path(os.environ["SEFAR_BENCH_HOME"]) / "fed"
        if not fed.exists():
            fed.touch()
            food = b"x" * (6 << 30)
            time.sleep(60 if food else 0)
        super().after_step(progress)
"""


def test_a_run_whose_workers_a_memory_monitor_kills_goes_on(shell: Any) -> None:
    memory = psutil.virtual_memory()
    if memory.available < 12 << 30:
        pytest.skip("this test fills 6 GiB and needs 12 free")
    threshold = (memory.total - memory.available + (4 << 30)) / memory.total
    monitor = {"RAY_memory_monitor_refresh_ms": "100", "RAY_memory_usage_threshold": f"{threshold:.4f}"}
    (shell.folder / "hungry.py").write_text(HUNGRY, encoding="utf-8")
    suite = shell.suite("hungry", _only("hungry"))
    status, out, err = shell.run("run", "--suite", suite, "--plugin", "hungry.py", **monitor)
    assert (shell.home / "fed").exists()
    assert status == 0, err
    assert "hungry seed=0 top1" in out and "FAILED" not in out
    assert "Traceback" not in out + err
    assert not shell.processes()


def test_a_mistake_that_shows_in_a_worker_is_one_sentence(shell: Any) -> None:
    (shell.folder / "wheels.py").write_text(PLUGIN, encoding="utf-8")
    suite = shell.suite("phone", _only("complains"))
    status, _, err = shell.run("run", "--suite", suite, "--plugin", "wheels.py")
    assert status == 1
    lines = [line for line in err.splitlines() if not re.fullmatch(PREPARING, line)]
    assert lines == ["error: method 'complains' needs a telephone; give it one."]
    assert not list(shell.folder.glob("runs/phone/trials/*/failed.json"))
    assert not shell.processes()


def test_tuning_end_to_end(shell: Any) -> None:
    command = ("tune", "--suite", "smoke", "--configs", "2", "--limit-steps", "3", "--to", "chosen.yaml")
    status, _, err = shell.run(*command)
    assert status == 0, err
    text = (shell.folder / "chosen.yaml").read_text(encoding="utf-8")
    chosen = yaml.safe_load(text)
    assert set(chosen["entries"]) == {"supervised", "fixmatch"}
    assert len(list(shell.folder.glob("runs/smoke-tune/trials/*/done.json"))) == 4
    status, out, err = shell.run(*command)
    assert status == 0, err
    assert "all 4 trials are done" in out
    assert (shell.folder / "chosen.yaml").read_text(encoding="utf-8") == text
