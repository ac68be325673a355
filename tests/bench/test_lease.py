"""Leases: one holder, dead holders hold nothing, and who lost a lease publishes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench import lease
from bench.lease import HeldError, Lease, holder_of, is_mine
from bench.store import LostLeaseError, RunFolder, TrialFolder, read_json, sealed, write_json
from datasets.errors import UserError

HOLD = """
import sys, time
from pathlib import Path
from bench.lease import Lease
with Lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def _held_by_another_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def _as_if_elsewhere(folder: Path, age: float) -> str:
    """Writes the lease of a process of another machine, whose last beat was `age` seconds ago."""
    path = folder / lease.NAME
    other = dataclasses.asdict(lease._me()) | {"host": "far", "place": "far away", "token": "theirs"}
    path.write_text(json.dumps(other), encoding="utf-8")
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return "theirs"


def test_only_one_holds_and_who_it_is_can_be_told(tmp_path: Path) -> None:
    with Lease(tmp_path) as mine:
        assert is_mine(tmp_path, mine.token)
        with pytest.raises(HeldError) as refused:
            Lease(tmp_path)
        assert refused.value.holder.pid == os.getpid()
    assert holder_of(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_killed_holder_of_this_machine_holds_nothing_at_once(tmp_path: Path) -> None:
    process = _held_by_another_process(tmp_path)
    with pytest.raises(HeldError):
        Lease(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Lease(tmp_path) as mine:
        assert is_mine(tmp_path, mine.token)


def test_a_process_id_that_was_given_away_again_is_another_holder(tmp_path: Path) -> None:
    past = dataclasses.replace(lease._me(), born=1.0)
    (tmp_path / lease.NAME).write_text(json.dumps(dataclasses.asdict(past)), encoding="utf-8")
    assert holder_of(tmp_path) is None


@pytest.mark.parametrize(("age", "held"), [(0, True), (30, True), (61, False), (-30, True), (-3600, False)])
def test_the_heartbeat_tells_about_other_machines(tmp_path: Path, age: float, held: bool) -> None:
    _as_if_elsewhere(tmp_path, age)
    assert (holder_of(tmp_path) is not None) is held
    if held:
        with pytest.raises(HeldError):
            Lease(tmp_path)
    else:
        with Lease(tmp_path) as mine:
            assert is_mine(tmp_path, mine.token)


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with Lease(tmp_path):
        path = tmp_path / lease.NAME
        os.utime(path, (0, 0))
        for _ in range(500):
            if path.stat().st_mtime > 1:
                break
            threading.Event().wait(0.01)
        assert path.stat().st_mtime > 1


def test_a_lease_that_cannot_be_read_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / lease.NAME).write_bytes(b'{"token": "a", "ho\xff')
    with Lease(tmp_path) as mine:
        assert is_mine(tmp_path, mine.token)


def test_waiting_ends_when_the_holder_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.01)
    process = _held_by_another_process(tmp_path)
    threading.Timer(0.1, process.kill).start()
    with Lease(tmp_path, wait=True) as mine:
        process.wait()
        assert is_mine(tmp_path, mine.token)


def test_many_who_find_a_dead_holder_become_one(tmp_path: Path) -> None:
    for _ in range(20):
        _as_if_elsewhere(tmp_path, 100)
        start, got = threading.Barrier(4), []

        def take(start: threading.Barrier = start, got: list[Lease] = got) -> None:
            start.wait()
            try:
                got.append(Lease(tmp_path))
            except HeldError:
                return

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(is_mine(tmp_path, each.token) for each in got) == 1
        for each in got:
            each.__exit__()
        (tmp_path / lease.NAME).unlink(missing_ok=True)


def _attempt_files(attempt: Path) -> None:
    (attempt / "predictions.parquet").write_bytes(b"1234")


def test_who_outlived_the_lease_publishes_nothing(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trial")
    with folder.attempt() as zombie:
        _attempt_files(zombie)
        _as_if_elsewhere(folder.path, 0)
        for publish in (
            lambda: folder.publish_done(zombie, {"status": "done"}),
            lambda: folder.publish_failed(zombie, {"status": "failed"}, "Traceback"),
        ):
            with pytest.raises(LostLeaseError):
                publish()
    assert folder.done() is None and folder.failed() is None
    assert not (folder.path / "predictions.parquet").exists()
    assert is_mine(folder.path, "theirs")


def test_a_trial_and_a_run_name_who_works_on_them(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trial")
    with folder.attempt(), pytest.raises(UserError, match=f"pid {os.getpid()}"), folder.attempt():
        pass
    run = RunFolder(tmp_path)
    with run.lock(), pytest.raises(UserError, match=f"pid {os.getpid()}"), run.lock():
        pass
    with run.lock():
        pass


def test_what_a_killed_attempt_left_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    (tmp_path / ".attempt-gone").mkdir()
    (tmp_path / ".done.json.0123").write_text("{", encoding="utf-8")
    with folder.attempt() as attempt:
        assert [path for path in tmp_path.iterdir() if path.name != lease.NAME] == [attempt]
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_bit_of_a_record_or_its_predictions_is_noticed(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    with folder.attempt() as attempt:
        _attempt_files(attempt)
        folder.publish_done(attempt, {"status": "done", "metrics": {"top1": 0.5, "nll": float("nan")}})
    record = folder.done()
    assert record is not None and record["metrics"]["top1"] == 0.5
    for name in ("done.json", "predictions.parquet"):
        path = tmp_path / name
        whole = path.read_bytes()
        for place in range(len(whole)):
            for bit in (1, 4, 32):
                path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
                found = folder.done()
                assert found is None or found == record or str(found) == str(record), (name, place, bit)
        for length in range(0, len(whole), 3):
            path.write_bytes(whole[:length])
            assert folder.done() is None
        path.write_bytes(whole)
    assert folder.done() is not None


def test_records_of_before_there_were_checksums_count(tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").write_bytes(b"1234")
    write_json(tmp_path / "done.json", {"status": "done", "predictions_bytes": 4})
    assert TrialFolder(tmp_path).done() is not None
    write_json(tmp_path / "done.json", {**sealed({"status": "done", "predictions_bytes": 4}), "status": "x"})
    assert TrialFolder(tmp_path).done() is None
    assert read_json(tmp_path / "done.json")["status"] == "x"
