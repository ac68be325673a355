"""Stores: what is asked of them, leases in them, and what becomes of a URI that is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow import fs

from bench import lease, storage
from bench.claims import claimed
from bench.lease import HeldError
from bench.storage import Storage, StorageError, without_secrets
from bench.storage_uri import open_storage
from datasets.errors import UserError


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A store of each kind."""
    uri = str(tmp_path / "shared") if request.param == "folder" else request.getfixturevalue("s3").uri()
    return open_storage(uri)


def test_objects_come_back_as_they_were_written(place: Storage, tmp_path: Path) -> None:
    assert place.read("run/a.json") is None
    assert place.look("run/a.json") is None
    assert place.listed("run") == []
    place.write("run/a.json", b"one")
    place.write("run/a.json", b"two")
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    told = place.upload(tmp_path / "big", "run/trials/big")
    assert place.read("run/a.json") == b"two"
    assert sorted((entry.path, entry.size) for entry in place.listed("run")) == [
        ("run/a.json", 3),
        ("run/trials/big", 100_000),
    ]
    entry = place.look("run/a.json")
    assert entry is not None and abs(entry.written_ns / 1e9 - time.time()) < 60
    assert place.download("run/trials/big", tmp_path / "back/big", told)
    assert (tmp_path / "back/big").read_bytes() == b"x" * 100_000
    place.delete("run/a.json")
    place.delete("run/a.json")
    assert [entry.path for entry in place.listed("run")] == ["run/trials/big"]


def test_a_torn_object_is_not_brought_and_leaves_the_old_file(place: Storage, tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(b"whole")
    told = place.upload(tmp_path / "whole", "a")
    place.write("a", b"who")
    (tmp_path / "here").write_bytes(b"older")
    assert not place.download("a", tmp_path / "here", told)
    assert not place.download("missing", tmp_path / "here", told)
    assert (tmp_path / "here").read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_only_one_holds_a_lease_and_who_it_is_can_be_told(place: Storage) -> None:
    with claimed(place, "run/trials/x") as held:
        assert held.holds()
        with pytest.raises(HeldError) as refused, claimed(place, "run/trials/x"):
            pass
        assert refused.value.holder.pid == lease.myself().pid
        with claimed(place, "run/trials/y") as other:
            assert other.holds() and held.holds()
    with claimed(place, "run/trials/x") as again:
        assert again.holds()
        assert not held.holds()


class Memory:
    """An object store in memory whose every request takes its time, so that requests of several meet."""

    def __init__(self, seed: int) -> None:
        self._objects: dict[str, tuple[bytes, int]] = {}
        self._lock, self._random = threading.Lock(), random.Random(seed)

    def _travel(self) -> None:
        time.sleep(self._random.random() * 0.002)

    def open_input_stream(self, path: str, compression: None) -> io.BytesIO:
        self._travel()
        with self._lock:
            if path not in self._objects:
                raise FileNotFoundError(path)
            return io.BytesIO(self._objects[path][0])

    @contextlib.contextmanager
    def open_output_stream(self, path: str, compression: None) -> Iterator[io.BytesIO]:
        stream = io.BytesIO()
        yield stream
        self._travel()
        with self._lock:
            self._objects[path] = (stream.getvalue(), time.time_ns())
        self._travel()

    def get_file_info(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        self._travel()
        with self._lock:
            return [
                fs.FileInfo(path, type=fs.FileType.File, size=len(content), mtime_ns=written)
                for path, (content, written) in self._objects.items()
                if path.startswith(f"{selector.base_dir}/")
            ]

    def delete_file(self, path: str) -> None:
        self._travel()
        with self._lock:
            self._objects.pop(path, None)


@pytest.mark.parametrize("seed", range(3))
def test_of_many_that_come_at_once_one_at_a_time_enters(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.01)
    monkeypatch.setattr("bench.claims.WAIT_SECONDS", 0.01)
    place = Storage("memory", "memory", Memory(seed), "box")
    for left in range(2):  # of processes that were killed
        _claim_of(place, born=float(left))
    inside, most, entered = [0], [0], []

    def come(name: int) -> None:
        with claimed(place, "x", wait=True) as held:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            assert held.holds()
            inside[0] -= 1
            entered.append(name)

    threads = [threading.Thread(target=come, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(entered) == list(range(8))
    assert most == [1]
    assert place.listed("x") == []


def _claim_of(store: Storage, **changes: Any) -> str:
    """Leaves the claim of another process in the folder `x`, as if it had been killed."""
    holder = dataclasses.replace(lease.myself(), **changes)
    claim = {"holder": dataclasses.asdict(holder), "entered": True, "taken_over": []}
    store.write(f"x/claims/{holder.token}.json", json.dumps(claim).encode())
    return holder.token


def test_a_killed_holder_of_this_machine_holds_nothing_at_once(s3: Any) -> None:
    place = open_storage(s3.uri())
    _claim_of(place, born=1.0)
    with claimed(place, "x") as held:
        assert held.holds()
    assert place.listed("x") == []


def test_a_holder_elsewhere_is_believed_until_its_heartbeat_stays_away(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_storage(s3.uri())
    token = _claim_of(place, place="far away", host="far")
    with pytest.raises(HeldError) as refused, claimed(place, "x"):
        pass
    assert refused.value.holder.host == "far"
    monkeypatch.setattr(lease, "SECONDS", -1.0)
    with claimed(place, "x") as held:
        assert held.holds()
        left = [json.loads(place.read(entry.path) or b"") for entry in place.listed("x")]
        assert [claim["taken_over"] for claim in left] == [[token]]


def test_a_holder_that_slept_has_lost_even_when_it_beats_again(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_storage(s3.uri())
    with claimed(place, "x") as sleeper:
        monkeypatch.setattr(lease, "lives", lambda holder: None)
        monkeypatch.setattr(lease, "SECONDS", -1.0)
        with claimed(place, "x") as awake:
            assert awake.holds()
            sleeper._write()  # type: ignore[attr-defined]  # a beat that was under way when it was taken over
            assert not sleeper.holds()
            assert awake.holds()
        assert not sleeper.holds()


def test_a_damaged_claim_is_nobodys(s3: Any) -> None:
    place = open_storage(s3.uri())
    place.write("x/claims/torn.json", b'{"holder": ')
    with claimed(place, "x") as held:
        assert held.holds()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("swift://cluster/box", r"no driver for 'swift://'; give a folder, file://, s3://"),
        ("abfs://c@acc.dfs.core.windows.net/x", r"'fsspec\+abfs://...' after installing"),
        ("s3:///prefix", r"names no bucket; write s3://BUCKET/PREFIX"),
        ("fsspec+nosuch://box", r"fsspec\+nosuch"),
        ("s3://box/x?colour=red", "colour"),
    ],
)
def test_a_uri_that_is_wrong_is_one_sentence(uri: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as told:
        open_storage(uri)
    assert "\n" not in str(told.value) and str(told.value).startswith("--storage ")


def test_a_bucket_that_is_missing_is_named_with_the_cure(s3: Any) -> None:
    with pytest.raises(StorageError, match=r"bucket.*make the bucket first; nothing was lost"):
        open_storage(s3.uri(make=False)).write("a", b"1")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"file.*cannot be written"):
        open_storage(str(tmp_path / "file/below"))


def test_secrets_in_a_uri_are_not_told() -> None:
    uri = "s3://id:verysecret@box/x?secret_key=hidden&region=eu&sas_token=gone"
    assert without_secrets(uri) == "s3://box/x?secret_key=...&region=eu&sas_token=..."
    with pytest.raises(StorageError) as told:
        open_storage("nosuch" + uri)
    assert not any(word in str(told.value) for word in ("verysecret", "hidden", "gone"))


def test_a_request_that_the_network_failed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "WAITS", (0.0, 0.0))
    answers = [OSError("curlCode: 7"), OSError("curlCode: 7"), None]

    class Flaky:
        def delete_file(self, path: str) -> None:
            answer = answers.pop(0)
            if answer is not None:
                raise answer

    place = Storage("s3://box", "s3://box", Flaky(), "box")
    place.delete("x")
    assert answers == []
    answers += [OSError("curlCode: 7")] * 3
    with pytest.raises(StorageError, match=r"s3://box: curlCode: 7; see whether it runs"):
        place.delete("x")
    answers += [OSError("ACCESS_DENIED"), None]
    with pytest.raises(StorageError, match="credentials"):
        place.delete("x")
    assert answers == [None]


def test_a_store_that_says_nothing_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.storage_uri.ANSWER_SECONDS", 0.05)
    silent = SimpleNamespace(from_uri=lambda uri: time.sleep(1))
    monkeypatch.setattr("bench.storage_uri.fs", SimpleNamespace(FileSystem=silent))
    with pytest.raises(StorageError, match="no answer within"):
        open_storage("s3://a-silent-box/x")


@pytest.mark.parametrize("message", ["Unable to load libjvm: no such file", "Unable to load libhdfs"])
def test_what_hdfs_needs_is_named_where_it_is_missing(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def from_uri(uri: str) -> None:
        raise OSError(message)

    monkeypatch.setattr(
        "bench.storage_uri.fs", SimpleNamespace(FileSystem=SimpleNamespace(from_uri=from_uri))
    )
    with pytest.raises(StorageError, match=r"hdfs:// needs Java \(JAVA_HOME\) and Hadoop with libhdfs"):
        open_storage(f"hdfs://names/{len(message)}")
