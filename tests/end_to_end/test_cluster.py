"""Ray on several nodes, of which one is lost while its trials run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import psutil
import pytest
import walking

pytestmark = pytest.mark.slow


@pytest.fixture
def start_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Starts a cluster whose head runs no trials."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    from ray.cluster_utils import Cluster

    started = []

    def start() -> Any:
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        started.append(made)
        return made

    yield start
    for made in started:
        made.shutdown()


def _node(cluster: Any, name: str, shell: Any) -> Any:
    return cluster.add_node(
        num_cpus=1, env_vars={"NODE_NAME": name, "NODE_CACHE": str(shell.folder / f"cache-{name}")}
    )


def test_a_node_is_lost_and_its_trials_go_on_elsewhere(shell: Any, start_cluster: Any) -> None:
    cluster = start_cluster()
    first = _node(cluster, "first", shell)
    _node(cluster, "second", shell)
    what = ("run", *walking.suite(shell, "0-1"), "--address", cluster.address)
    status, _, err = shell.run(*what, "--out", "calm")
    assert status == 0, err
    assert {step.node for step in walking.walked(shell)} == {"first", "second"}
    before = len(walking.walked(shell))

    process = shell.start(
        *(*what, "--checkpoint-seconds", "0.2", "--cache", "$NODE_CACHE"),
        NODE_CACHE=str(shell.folder / "cache-driver"),
    )

    def both_are_on_their_way() -> bool:
        steps = walking.walked(shell)[before:]
        return all(any(s.node == node and s.step >= 8 for s in steps) for node in ("first", "second"))

    walking.until(shell, process, both_are_on_their_way)
    cluster.remove_node(first, allow_graceful=False)
    workers = {int(step.process) for step in walking.walked(shell)[before:] if step.node == "first"}
    shell.wait_for(lambda: not any(map(psutil.pid_exists, workers)))  # they end a moment after their node
    gone = len(walking.walked(shell))
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert "FAILED" not in out and "Traceback" not in out + err

    after = walking.walked(shell)[gone:]
    assert {step.node for step in after} == {"second"}
    starts = walking.starts(walking.walked(shell)[before:])
    assert any(step.node == "second" and step.step > 0 for step in starts), starts
    pd.testing.assert_frame_equal(
        walking.results(shell.folder / "runs/walk"), walking.results(shell.folder / "calm/walk")
    )
    for name in ("driver", "first", "second"):
        assert any((shell.folder / f"cache-{name}").rglob("*")), f"no cache on {name}"


def test_a_run_that_is_stopped_lets_workers_save_on_every_node(shell: Any, start_cluster: Any) -> None:
    """Nodes that the driver has not started, whose workers are no processes of its own."""
    cluster, steps = start_cluster(), 120  # no trial may end before it is asked
    for name in ("first", "second"):
        _node(cluster, name, shell)
    what = ("run", *walking.suite(shell, "0-1", steps, alone=True), "--address", cluster.address)
    (shell.home / "walk.txt").unlink(missing_ok=True)
    process = shell.start(*what)
    walking.until(
        shell, process, lambda: {step.node for step in walking.walked(shell)} == {"first", "second"}
    )
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130 and "Traceback" not in err, err
    stopped = walking.walked(shell)
    last = {step.process: step.step for step in stopped}
    names = [path.name for path in shell.folder.glob("runs/walk/trials/*/checkpoint-*")]
    saved = sorted(int(name.split("-")[1]) for name in names)
    assert saved == sorted(step + 1 for step in last.values()), "somebody was not asked"

    status, _, err = shell.run(*what)
    assert status == 0, err
    again = {step.step for step in walking.starts(walking.walked(shell)[len(stopped) :])}
    assert again == {*saved, steps - 1}  # the last one is made once more, to count what a step costs
