"""Workers that are reused, and runs that stop by themselves: real Ray, in this process or from the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.plan import Choice, PlannedTrial, plan_section
from bench.schedule import Settings, outcome, run_trials
from bench.store import PREDICTIONS, RunFolder
from bench.suite import load_suite

pytestmark = pytest.mark.slow

PLUGIN = """
import os
import time
from pathlib import Path

from methods.supervised import Supervised

HOME = Path(os.environ["SEFAR_BENCH_HOME"])


class Noted(Supervised):
    name = "noted"

    def __init__(self, config, task, build_backbone):
        with (HOME / "pids").open("a") as file:
            file.write(f"{self.name} {os.getpid()}\\n")
        super().__init__(config, task, build_backbone)


class Breaks(Noted):
    name = "breaks"

    def step(self, batch, progress):
        raise ValueError("the third wheel came off")


class Slow(Noted):
    name = "slow"

    def after_step(self, progress):
        if (HOME / "slow").exists():
            time.sleep(0.3)
        super().after_step(progress)
"""


@pytest.fixture
def home(shell: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process with the data home, folder and plugin of a shell of its own."""
    home: Path = shell.home
    for name in ("pids", "slow"):
        (home / name).unlink(missing_ok=True)
    plugin = shell.folder / "wheels.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(home))
    monkeypatch.setenv("SEFAR_BENCH_PLUGINS", str(plugin))
    monkeypatch.chdir(shell.folder)
    from bench import plugins

    plugins._registries.cache_clear()
    return home


def _planned(shell: Any, *methods: str, steps: int = 4, seeds: str = "0") -> list[PlannedTrial]:
    from bench.runner import prepare_data

    def change(section: dict[str, Any]) -> None:
        baseline = section["entries"][0]
        section["entries"] = [baseline, *({"label": name, "method": name} for name in methods)]
        section["seeds"] = seeds
        section["protocol"]["steps"] = steps

    trials = plan_section(load_suite(str(shell.suite("wheels", change))), "embedded", Choice(), "cpu")
    prepare_data(trials)
    return trials


def _pids(home: Path) -> list[tuple[str, int]]:
    lines = (home / "pids").read_text(encoding="utf-8").split("\n")
    return [(line.split()[0], int(line.split()[1])) for line in lines if line]


def test_workers_go_on_after_a_good_trial_and_not_after_a_failed_one(shell: Any, home: Path) -> None:
    trials = _planned(shell, "noted", "breaks", seeds="0-1")
    by_name = {(t.entry, t.seed): t for t in trials}
    order = [("noted", 0), ("breaks", 0), ("noted", 1), ("supervised", 0), ("breaks", 1)]
    run, seen = RunFolder(shell.folder / "out"), []
    result = run_trials(
        [by_name[each] for each in order],
        run,
        Settings(max_concurrent=1),
        lambda planned, record: seen.append((planned.entry, record["status"])),
    )
    assert seen == [(entry, "failed" if entry == "breaks" else "done") for entry, _ in order]
    assert (result.done, result.failed, result.stopped) == (3, 2, None)
    (_, first), (_, second), (_, third), (_, fourth) = _pids(home)
    assert first == second, "a good trial leaves its worker"
    assert third != second, "a failed one does not"
    assert fourth == third
    spec = by_name["supervised", 0].spec
    path = shell.folder / "alone.json"
    path.write_text(spec.canonical(), encoding="utf-8")
    status, _, err = shell.run("trial", path, "--out", "alone")
    assert status == 0, err
    alone = shell.folder / "alone/single/trials" / spec.id / PREDICTIONS
    assert alone.read_bytes() == (run.trial(spec.id).path / PREDICTIONS).read_bytes()


def test_at_the_time_limit_trials_save_and_the_next_run_goes_on(
    shell: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "slow").touch()
    trials = [t for t in _planned(shell, "slow", steps=60) if t.entry == "slow"]
    run = RunFolder(shell.folder / "out")

    def clock() -> float:
        logs = run.path.glob("trials/*/.attempt-*/metrics.jsonl")
        return 2.0 if any(log.stat().st_size for log in logs) else 0.0

    with monkeypatch.context() as patch:
        patch.setattr(outcome, "time", SimpleNamespace(monotonic=clock))
        result = run_trials(trials, run, Settings(deadline=1.0), lambda *_: None)
    assert (result.done, result.failed, result.stopped) == (0, 0, "time")
    folder = run.trial(trials[0].spec.id)
    assert list(folder.path.glob("checkpoint-*.pt")) and folder.done() is None and folder.failed() is None
    assert not list(Path("/tmp").glob(f"sefar-ray-{os.getpid()}-*"))
    (home / "slow").unlink()
    assert run_trials(trials, run, Settings(), lambda *_: None).done == 1
    done = folder.done()
    assert done is not None and done["train_seconds"] > 0.3, "it went on and did not begin anew"


def test_fail_fast_stops_the_others_which_keep_their_state(shell: Any, home: Path) -> None:
    (home / "slow").touch()

    def change(section: dict[str, Any]) -> None:
        baseline = section["entries"][0]
        slow, breaks = ({"label": name, "method": name} for name in ("slow", "breaks"))
        section["entries"] = [slow, breaks, baseline]
        section["seeds"] = "0"
        section["protocol"]["steps"] = 4000

    suite = shell.suite("fast", change)
    command = ("run", "--suite", suite, "--plugin", "wheels.py", "--fail-fast", "--max-concurrent", "2")
    status, out, err = shell.run(*command)
    assert status == 3, err
    assert "breaks seed=0 FAILED (exception): the third wheel came off" in out
    assert "--fail-fast: a trial failed: 2 of 3 trials remain" in out
    assert "the same command goes on" in out
    assert not list(shell.folder.glob("runs/fast/trials/*/done.json"))
    assert not shell.processes() and not shell.litter()


QUIET = """
import ray
from bench.schedule import Settings
from bench.schedule.cluster import ray_for

with ray_for(Settings(), {"x": {"cpu": 1}}):
    import json, os, psutil
    import ray._private.worker as worker
    node = worker._global_node
    processes = psutil.Process().children(recursive=True)
    places = [p.laddr.ip for each in processes for p in each.net_connections("tcp") if p.status == "LISTEN"]
    print(json.dumps({
        "dashboard": worker._global_node.webui_url,
        "address": ray.nodes()[0]["NodeManagerAddress"],
        "listening": sorted(set(places)),
        "usage": os.environ["RAY_USAGE_STATS_ENABLED"],
        "names": [" ".join(each.cmdline())[:4000] for each in processes],
    }))
"""


def test_a_local_ray_is_quiet_and_keeps_to_itself(shell: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "Ray's noise"
    found = json.loads(done.stdout)
    assert not found["dashboard"]
    assert found["address"] == "127.0.0.1"
    assert found["usage"] == "0"
    # Ray keeps a process of this name for its own bookkeeping; without a front end it serves no page.
    assert all("--disable-frontend" in name for name in found["names"] if "dashboard/dashboard.py" in name)
    assert found["listening"] and set(found["listening"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, found
