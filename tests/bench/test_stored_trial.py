"""Trials in a store: whole or not there, taken up elsewhere, published by who holds the lease alone."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_trial import PowerCut, spec  # noqa: F401  # a fixture

from bench import lease, run_stored, store, trial
from bench.checkpoints import Checkpoints
from bench.claims import claimed
from bench.run_stored import run_kept
from bench.spec import TrialSpec
from bench.storage import Storage, StorageError
from bench.storage_uri import open_storage
from bench.store import RunFolder, TrialFolder, read_json, sealed, write_json
from bench.stored_run import StoredRun
from bench.stored_trial import StoredTrial
from bench.trial import Manner
from datasets.errors import UserError

ID = "0123456789abcdef"


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A store of each kind, in which no result is so young that it is looked at again."""
    monkeypatch.setattr("bench.stored_trial.YOUNG_SECONDS", 0.0)
    uri = str(tmp_path / "shared") if request.param == "folder" else request.getfixturevalue("s3").uri()
    return open_storage(uri)


def _done(folder: TrialFolder, *, top1: float = 0.5, predictions: bytes = b"numbers") -> None:
    """A finished trial, as an attempt leaves it."""
    with folder.attempt() as attempt:
        (attempt / store.PREDICTIONS).write_bytes(predictions)
        (attempt / store.METRICS).write_text('{"step": 1}\n', encoding="utf-8")
        write_json(folder.path / store.SPEC, {"a": 1})
        folder.publish_done(attempt, {"status": "done", "metrics": {"top1": top1}})


def _content(folder: TrialFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir()} if folder.path.is_dir() else {}


def _published(place: Storage, run: RunFolder, **values: Any) -> StoredTrial:
    stored = StoredTrial(place, "smoke", run.trial(ID))
    _done(stored.folder, **values)
    with claimed(place, stored.home) as held:
        stored.publish(held, "done")
    return stored


def test_a_result_comes_to_an_empty_folder_as_it_was(place: Storage, tmp_path: Path) -> None:
    first = _published(place, RunFolder(tmp_path / "one/smoke"))
    other = StoredTrial(place, "smoke", RunFolder(tmp_path / "two/smoke").trial(ID))
    assert other.fetch()
    assert _content(other.folder) == _content(first.folder)
    assert other.folder.done() is not None
    assert not other.fetch() and not first.fetch()


def test_what_is_here_already_is_not_read_again(
    place: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _published(place, RunFolder(tmp_path / "one/smoke"))
    mirror = StoredRun(place, RunFolder(tmp_path / "two/smoke"))
    assert mirror.pull() == 1
    monkeypatch.setattr(Storage, "read", None)
    monkeypatch.setattr(Storage, "download", None)
    assert mirror.pull() == 0


def test_a_new_result_replaces_an_older_one_here_but_not_a_newer_one(place: Storage, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "one/smoke")
    _published(place, run)
    other = RunFolder(tmp_path / "two/smoke")
    StoredRun(place, other).pull()
    _wait_for_the_clock(place)
    _published(place, run, top1=0.75)
    assert StoredRun(place, other).pull() == 1
    assert (other.trial(ID).done() or {})["metrics"] == {"top1": 0.75}
    _wait_for_the_clock(place)
    _done(other.trial(ID), top1=0.875)
    assert StoredRun(place, other).pull() == 0
    assert StoredRun(place, other).push_results([ID]) == 1
    assert StoredRun(place, other).push_results([ID]) == 0
    assert StoredRun(place, run).pull() == 1
    assert (run.trial(ID).done() or {})["metrics"] == {"top1": 0.875}


def _wait_for_the_clock(place: Storage) -> None:
    """Until the store tells another time than now: some tell whole seconds."""
    place.write("clock", b"")
    first = place.look("clock")
    while place.look("clock") == first:
        place.write("clock", b"")


def test_a_failure_and_then_a_success_leave_the_success_alone(place: Storage, tmp_path: Path) -> None:
    stored = StoredTrial(place, "smoke", RunFolder(tmp_path / "one/smoke").trial(ID))
    with stored.folder.attempt() as attempt:
        stored.folder.publish_failed(attempt, {"status": "failed", "kind": "exception"}, "Traceback")
    with claimed(place, stored.home) as held:
        stored.publish(held, "failed")
    other = StoredTrial(place, "smoke", RunFolder(tmp_path / "two/smoke").trial(ID))
    assert other.fetch()
    assert set(_content(other.folder)) == {"failed.json", "error.txt"}
    _wait_for_the_clock(place)
    _published(place, RunFolder(tmp_path / "one/smoke"))
    assert other.fetch()
    assert other.folder.failed() is None and other.folder.done() is not None
    attempts = {entry.path.split("/")[3] for entry in place.listed(stored.home)}
    assert len(attempts) == 1


def test_who_lost_the_lease_publishes_nothing(place: Storage, tmp_path: Path) -> None:
    first = _published(place, RunFolder(tmp_path / "one/smoke"), top1=0.25)
    before = place.read(first.result)
    late = StoredTrial(place, "smoke", RunFolder(tmp_path / "late/smoke").trial(ID))
    _done(late.folder, top1=0.99, predictions=b"others")
    with claimed(place, late.home) as held:
        pass
    with pytest.raises(StorageError, match="taken over"):
        late.publish(held, "done")
    assert place.read(first.result) == before
    other = StoredTrial(place, "smoke", RunFolder(tmp_path / "two/smoke").trial(ID))
    assert other.fetch() and (other.folder.done() or {})["metrics"] == {"top1": 0.25}


def test_a_store_that_goes_away_while_a_result_is_copied_leaves_the_old_one(
    place: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _published(place, RunFolder(tmp_path / "one/smoke"), top1=0.25)
    upload = Storage.upload
    sent: list[str] = []

    def some(self: Storage, local: Path, path: str) -> dict[str, Any]:
        if len(sent) == 2:
            raise StorageError("away")
        sent.append(path)
        return upload(self, local, path)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="away"):
        patch.setattr(Storage, "upload", some)
        _published(place, RunFolder(tmp_path / "one/smoke"), top1=0.75)
    assert first.folder.done() is not None
    other = StoredTrial(place, "smoke", RunFolder(tmp_path / "two/smoke").trial(ID))
    assert other.fetch() and (other.folder.done() or {})["metrics"] == {"top1": 0.25}


def test_a_damaged_object_is_no_result(place: Storage, tmp_path: Path) -> None:
    first = _published(place, RunFolder(tmp_path / "one/smoke"))
    path = next(e.path for e in place.listed(first.home) if e.path.endswith(store.PREDICTIONS))
    place.write(path, b"numberz")
    other = StoredTrial(place, "smoke", RunFolder(tmp_path / "two/smoke").trial(ID))
    assert not other.fetch()
    assert other.folder.done() is None
    place.write(first.result, b"{ torn")
    assert not other.fetch()


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", ".lease.json", "a/b", ""])
def test_a_store_cannot_name_a_file_outside_the_folder(place: Storage, tmp_path: Path, name: str) -> None:
    first = _published(place, RunFolder(tmp_path / "one/smoke"))
    told = json.loads(place.read(first.result) or b"")
    told["files"][name] = told["files"][store.PREDICTIONS]
    place.write(first.result, json.dumps(told).encode())
    other = StoredTrial(place, "smoke", RunFolder(tmp_path / "two/smoke").trial(ID))
    assert not other.fetch()
    assert _content(other.folder) == {}
    assert not list(tmp_path.rglob("escaped"))


def test_plans_of_two_machines_become_one(place: Storage, tmp_path: Path) -> None:
    one, two = (StoredRun(place, RunFolder(tmp_path / name / "smoke")) for name in ("one", "two"))
    assert not one.pull_plan()
    write_json(one.run.path / "plan.json", {"suite": "smoke", "trials": [{"seed": 0}]})
    write_json(two.run.path / "plan.json", {"suite": "smoke", "trials": [{"seed": 1}]})
    (one.run.path / "splits").mkdir()
    (one.run.path / "splits/a.tsv").write_text("clips", encoding="utf-8")
    one.push_files()
    assert two.pull_plan(merge=True)
    assert read_json(two.run.path / "plan.json")["trials"] == [{"seed": 0}, {"seed": 1}]
    assert (two.run.path / "splits/a.tsv").read_text(encoding="utf-8") == "clips"
    assert two.pull_plan()
    assert read_json(two.run.path / "plan.json")["trials"] == [{"seed": 0}]


def test_two_runs_do_not_work_in_one_place(place: Storage, tmp_path: Path) -> None:
    one, two = (StoredRun(place, RunFolder(tmp_path / name / "smoke")) for name in ("one", "two"))
    said = rf"another run works on 'smoke' .*pid {lease.myself().pid}"
    with one.lock(), pytest.raises(UserError, match=said), two.lock():
        pass
    with two.lock():
        pass


@contextlib.contextmanager
def _power_cut(at: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The power goes after step `at`; checkpoints are made at every step, and copied before the next."""
    look = trial._Keeper.look

    def cut(self: trial._Keeper) -> None:
        look(self)
        if self._experiment.state.step == at:
            raise PowerCut

    def at_once(self: run_stored._Pusher, path: Path) -> None:
        self._newest = path
        self._push()

    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(trial._Keeper, "look", cut)
        patch.setattr(run_stored._Pusher, "saved", at_once)
        yield


def test_a_trial_goes_on_elsewhere_from_the_last_whole_checkpoint_of_the_store(
    spec: TrialSpec,  # noqa: F811
    s3: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = open_storage(s3.uri())
    calm = RunFolder(tmp_path / "calm/smoke").trial(spec.id)
    record = run_kept(spec, calm, None, Manner())
    one = RunFolder(tmp_path / "one/smoke").trial(spec.id)
    with _power_cut(7, monkeypatch):
        run_kept(spec, one, place, Manner(checkpoint_seconds=0.0))
    home = f"smoke/trials/{spec.id}"
    saved = sorted(entry.path for entry in place.listed(f"{home}/checkpoints"))
    assert len(saved) == 2
    place.write(saved[-1], b"torn")
    shutil.rmtree(tmp_path / "one")

    two = RunFolder(tmp_path / "two/smoke").trial(spec.id)
    loaded: list[int] = []
    load = Checkpoints.load

    def watched(self: Checkpoints) -> dict[str, Any] | None:
        saved = load(self)
        loaded.append(saved["state"]["step"] if saved else 0)
        return saved

    monkeypatch.setattr(Checkpoints, "load", watched)
    again = run_kept(spec, two, place, Manner())
    assert loaded == [6]
    assert (two.path / "predictions.parquet").read_bytes() == (calm.path / "predictions.parquet").read_bytes()
    assert again["metrics"] == record["metrics"]
    names = {entry.path.split("/")[3] for entry in place.listed(home)}
    assert len(names) == 1 and "checkpoints" not in names and "checkpoint.json" not in names

    # A third machine computes nothing, not even when its copy is damaged.
    three = RunFolder(tmp_path / "three/smoke").trial(spec.id)
    assert run_kept(spec, three, place, Manner())["metrics"] == record["metrics"]
    (three.path / "predictions.parquet").write_bytes(b"rot")
    assert run_kept(spec, three, place, Manner())["metrics"] == record["metrics"]
    assert three.done() is not None
    assert loaded == [6]


def test_a_trial_that_was_finished_while_the_store_was_away_is_copied_later(
    spec: TrialSpec,  # noqa: F811
    s3: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = open_storage(s3.uri())
    folder = RunFolder(tmp_path / "one/smoke").trial(spec.id)
    folder.path.mkdir(parents=True)
    _as_finished(folder, spec)
    monkeypatch.setattr(run_stored, "run_trial", None)  # nothing may be computed
    assert run_kept(spec, folder, place, Manner())["status"] == "done"
    assert place.look(f"smoke/results/{spec.id}.json") is not None


def _as_finished(folder: TrialFolder, spec: TrialSpec) -> None:  # noqa: F811
    (folder.path / store.PREDICTIONS).write_bytes(b"numbers")
    record = {
        "status": "done",
        "code_hash": trial.trial_code_hash(spec),
        "predictions_bytes": 7,
        "predictions_sha256": store.sha256(folder.path / store.PREDICTIONS),
    }
    write_json(folder.path / store.DONE, sealed(record))
