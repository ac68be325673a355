"""The index of finished trials: never in the way of the truth, which is `done.json` and its predictions."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from bench import index
from bench.spec import TrialSpec
from bench.store import DONE, PREDICTIONS, RunFolder, TrialFolder

TRIALS = ("a", "b", "c")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Three finished trials of yesterday, which the index knows."""
    run = RunFolder(tmp_path / "run")
    for name in TRIALS:
        _finish(run.trial(name))
    assert list(index.finished(run, TRIALS)) == list(TRIALS)
    return run


def _finish(folder: TrialFolder) -> None:
    with folder.attempt() as attempt:
        (attempt / PREDICTIONS).write_bytes(b"answers of " + folder.path.name.encode())
        folder.publish_done(attempt, {"id": folder.path.name, "code_hash": "code"})


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SETTLED_SECONDS", -60.0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The trials that are read in full from here on."""
    found: list[str] = []
    whole = TrialFolder.done

    def done(self: TrialFolder) -> Any:
        found.append(self.path.name)
        return whole(self)

    monkeypatch.setattr(TrialFolder, "done", done)
    return found


def test_a_second_look_reads_no_record(run: RunFolder, reads: list[str]) -> None:
    found = index.finished(run, TRIALS)
    assert {name: known["code_hash"] for name, known in found.items()} == dict.fromkeys(TRIALS, "code")
    assert reads == []


def test_a_trial_that_came_or_went_is_seen(run: RunFolder, reads: list[str]) -> None:
    shutil.rmtree(run.trial("a").path)
    _finish(run.trial("d"))
    reads.clear()
    assert list(index.finished(run, (*TRIALS, "d"))) == ["b", "c", "d"]
    assert reads == ["d"]


@pytest.mark.parametrize("name", [DONE, PREDICTIONS])
def test_damage_is_seen_even_where_size_and_date_are_the_old_ones(
    run: RunFolder, reads: list[str], name: str
) -> None:
    path = run.trial("b").path / name
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    time.sleep(0.02)  # a tick of the file system's clock
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert list(index.finished(run, TRIALS)) == ["a", "c"]
    assert reads == ["b"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 1, "trials": {"a": 3}}', '{"format": 99, "trials": {}}', "\0"]
)
def test_an_index_that_is_damaged_or_of_another_form_is_made_again(
    run: RunFolder, reads: list[str], content: str
) -> None:
    (run.path / index.NAME).write_text(content, encoding="utf-8")
    assert list(index.finished(run, TRIALS)) == list(TRIALS)
    assert reads == list(TRIALS)
    assert set(json.loads((run.path / index.NAME).read_text(encoding="utf-8"))["trials"]) == set(TRIALS)


def test_a_copied_run_folder_is_read_again(run: RunFolder, reads: list[str], tmp_path: Path) -> None:
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    assert list(index.finished(copy, TRIALS)) == list(TRIALS)
    assert reads == list(TRIALS)


def test_what_changed_just_now_is_not_noted(
    run: RunFolder, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "SETTLED_SECONDS", 60.0)
    _finish(run.trial("a"))
    for _ in range(2):
        reads.clear()
        assert list(index.finished(run, TRIALS)) == list(TRIALS)
        assert reads == ["a"]


def test_a_folder_that_cannot_be_written_is_scanned_all_the_same(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.path / index.NAME).unlink()

    def refuse(path: Path, value: Any) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(index, "write_bytes", refuse)
    assert list(index.finished(run, TRIALS)) == list(TRIALS)


def test_a_look_at_nothing_makes_no_folder(tmp_path: Path) -> None:
    assert index.finished(RunFolder(tmp_path / "none"), ["a"]) == {}
    assert not (tmp_path / "none").exists()


def test_an_id_that_was_asked_for_does_not_stick_to_changed_copies() -> None:
    spec = _spec()
    assert spec.id == TrialSpec.model_validate(json.loads(spec.canonical())).id
    changed = spec.model_copy(update={"seed": 1})
    protocol = spec.protocol.model_copy(update={"steps": 2})
    longer = spec.model_copy(update={"protocol": protocol})
    assert len({spec.id, changed.id, longer.id}) == 3
    assert json.loads(longer.canonical())["protocol"]["steps"] == 2
    for each in (spec, changed, longer):
        values = {k: v for k, v in each.model_dump(mode="json").items() if k != "allow_empty_classes"}
        assert each.canonical() == json.dumps(values, sort_keys=True, separators=(",", ":"))


def _spec() -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "method": "supervised",
            "config": {"b": 1, "a": {"d": [1, 2], "c": None}},
            "data": "set",
            "labels": "2",
            "split_hash": "0",
            "seed": 0,
            "backbone": {"name": "net"},
            "protocol": {
                "frames": 8,
                "short_side": 48,
                "size": 32,
                "normalize": "clip",
                "augmentations": {"weak": {}},
                "steps": 1,
                "batch": {"labeled": 2, "unlabeled": 2, "warmup": 2},
                "optimizer": {"name": "adamw", "lr": 0.01},
            },
        }
    )
