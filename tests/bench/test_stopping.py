"""A run on a cluster that it joined: its workers hear that it is stopped; Ray is left as it was."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ray.experimental import internal_kv

from bench.preemption import Preempted, noticed
from bench.schedule import cluster, elsewhere


class _Cluster:
    """Ray in a driver or in a worker of a cluster: its keys, and the table of its actors."""

    def __init__(self, *runs: str, joined: bool = True) -> None:
        self.keys: dict[bytes, bytes] = {}
        self.looks, self._runs, self._joined = 0, list(runs), joined
        self._private = SimpleNamespace(state=SimpleNamespace(actors=self._actors))

    def is_initialized(self) -> bool:
        return self._joined

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_job_id=lambda: "ours")

    def internal_kv_put(self, key: bytes, value: bytes, overwrite: bool, namespace: None) -> int:
        self.keys[key] = value
        return 0

    def internal_kv_exists(self, key: bytes, namespace: None) -> bool:
        self.looks += 1
        if self.looks == 1:
            raise ConnectionError("the head is busy")
        return key in self.keys

    def _actors(self, actor_state_name: str) -> dict[str, dict[str, str]]:
        """Every look at the table finds one worker of ours less."""
        assert actor_state_name == "ALIVE"
        found = {str(number): {"JobID": run} for number, run in enumerate(self._runs)}
        if "ours" in self._runs:
            self._runs.remove("ours")
        return found


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Joins a cluster and makes its workers look often."""
    monkeypatch.setattr(elsewhere, "LOOK_SECONDS", 0.01)

    def made(*runs: str, joined: bool = True) -> _Cluster:
        ray = _Cluster(*runs, joined=joined)
        monkeypatch.setattr(internal_kv, "global_gcs_client", ray)
        return ray

    return made


def _until(what: Any) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_worker_hears_that_its_run_is_stopped_and_saves_first(join: Any) -> None:
    ray = join("ours", "theirs")
    with noticed() as notice:
        notice.patient = True
        elsewhere.listen(ray)
        _until(lambda: ray.looks > 3)
        ray.keys[b"sefar-bench-stops-theirs"] = b"stop"
        _until(lambda: ray.looks > 6)
        assert not notice.given, "another run was stopped"
        elsewhere.let_save_elsewhere(ray)
        _until(lambda: notice.given)
        with pytest.raises(Preempted, match="SIGTERM"):
            notice.obey()


def test_the_driver_waits_for_its_own_workers_and_not_for_ever(
    join: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = join("ours", "theirs", "ours")
    elsewhere.let_save_elsewhere(ray)
    assert ray._runs == ["theirs"] and ray.keys
    busy = join(*["ours"] * 1000)
    monkeypatch.setattr(elsewhere, "SAVE_SECONDS", 0.3)
    elsewhere.let_save_elsewhere(busy)
    assert len(busy._runs) > 990


def test_a_cluster_that_was_never_joined_or_is_gone_hides_no_reason(join: Any) -> None:
    ray = join("ours", joined=False)
    elsewhere.let_save_elsewhere(ray)
    assert not ray.keys
    gone = join("ours")
    gone._private = None
    elsewhere.let_save_elsewhere(gone)


@pytest.mark.parametrize("said", [None, "0"])
def test_what_ray_was_told_before_a_run_holds_after_it(
    monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    monkeypatch.delenv(cluster.KNOWS_CLUSTERS, raising=False)
    if said is not None:
        monkeypatch.setenv(cluster.KNOWS_CLUSTERS, said)
    constants = SimpleNamespace(ENABLE_RAY_CLUSTER=said is None)
    ray = SimpleNamespace(_private=SimpleNamespace(ray_constants=constants))
    for alone in (True, False):
        with pytest.raises(KeyboardInterrupt), cluster._kept_to_loopback(ray, alone):
            assert os.environ[cluster.KNOWS_CLUSTERS] == ("0" if alone else "1")
            assert constants.ENABLE_RAY_CLUSTER is not alone
            raise KeyboardInterrupt
        assert os.environ.get(cluster.KNOWS_CLUSTERS) == said
        assert constants.ENABLE_RAY_CLUSTER is (said is None)
