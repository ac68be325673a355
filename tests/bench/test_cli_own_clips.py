"""Anybody's clips through the command line: from lists to a leaderboard, and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.plan import read_anew
from datasets.synthgym import SynthGymTiny


@pytest.fixture
def clips(bench: Any) -> Path:
    """A folder with real clips of four classes, three each in training and test, and their lists."""
    SynthGymTiny(quiet=True).prepare()
    source = SynthGymTiny().table()
    root = bench.folder / "clips"
    root.mkdir()
    for role, refs in (("train", source.train), ("test", source.test)):
        lines = []
        for ref in [ref for ref in refs if ref.label < 4][:12]:
            name = f"{role}_{ref.path.name}"
            shutil.copy(ref.path, root / name)
            lines.append(f"{name} {source.classes[ref.label]}\n")
        (bench.folder / f"{role}.txt").write_text("".join(lines), encoding="utf-8")
    return root


def _add(bench: Any, root: Path, **lists: Path) -> Any:
    train, test = lists.get("train", bench.folder / "train.txt"), lists.get("test", bench.folder / "test.txt")
    return bench("data", "add", "mine", "--train", train, "--test", test, "--root", root)


@pytest.fixture
def forget(bench: Any) -> Any:
    yield
    bench("data", "rm", "mine")


@pytest.mark.usefixtures("forget")
def test_own_clips_from_list_to_leaderboard(bench: Any, clips: Path) -> None:
    assert _add(bench, clips).status == 0
    assert "mine" in bench("data", "ls").out
    assert "mine" in bench("ls", "datasets").out
    assert bench("data", "verify", "mine").status == 0
    answer = bench("run", "--suite", bench.suite(), "--data", "mine", "--seeds", "0")
    assert answer.status == 0, answer.err
    assert sorted(bench.executed) == ["mine@3 fixmatch seed=0", "mine@3 supervised seed=0"]
    assert "mine" in (bench.folder / "runs/tiny/report/leaderboard.md").read_text(encoding="utf-8")
    assert "already registered" in _add(bench, clips).sentence


@pytest.mark.usefixtures("forget")
def test_own_clips_without_labels_run_without_the_bound(bench: Any, clips: Path) -> None:
    lines = (bench.folder / "train.txt").read_text(encoding="utf-8").splitlines()
    kept = [
        line for line in lines if line.split()[1] not in {k.split()[1] for k in lines[: lines.index(line)]}
    ]
    rest = [line.split()[0] for line in lines if line not in kept]
    (bench.folder / "train.txt").write_text("\n".join(kept), encoding="utf-8")
    (bench.folder / "rest.txt").write_text("\n".join(rest), encoding="utf-8")
    added = bench(
        "data", "add", "mine", "--train", "train.txt", "--unlabeled", "rest.txt", "--test", "test.txt",
        "--root", clips,
    )  # fmt: skip
    assert added.status == 0, added.err

    def bound(content: dict[str, Any]) -> None:
        entries = content["sections"]["embedded"]["entries"]
        entries.append({"label": "limit", "method": "supervised", "role": "bound"})

    answer = bench("plan", "--suite", bench.suite(bound), "--data", "mine", "--full")
    assert answer.status == 0, answer.err
    assert answer.out.count("data set 'mine' runs without the bound") == 1
    assert "supervised seed=0" in answer.out and "limit seed" not in answer.out


@pytest.mark.usefixtures("forget")
def test_own_clips_whose_lists_vanish_break_no_later_run(bench: Any, clips: Path) -> None:
    def add(name: str) -> None:
        lists = (bench.folder / f"{name}_train.txt", bench.folder / f"{name}_test.txt")
        for path, source in zip(lists, ("train.txt", "test.txt"), strict=True):
            shutil.copy(bench.folder / source, path)
        bench("data", "add", name, "--train", lists[0], "--test", lists[1], "--root", clips)

    command = ("run", "--suite", bench.suite(), "--seeds", "0", "--data")
    add("mine")
    assert bench(*command, "mine").status == 0
    (bench.folder / "mine_test.txt").unlink()
    add("mine_too")
    read_anew()  # as in the next process
    answer = bench(*command, "mine_too")
    bench("data", "rm", "mine_too")
    assert answer.status == 0, answer.err
    plan = json.loads((bench.folder / "runs/tiny/plan.json").read_text(encoding="utf-8"))
    assert {trial["cell"] for trial in plan["trials"]} == {"mine_too@3"}


@pytest.mark.parametrize("row", ["one_column\n", "{first}\n"])
def test_a_list_with_a_mistake_is_not_registered(bench: Any, clips: Path, row: str) -> None:
    path = bench.folder / "train.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + row.format(first=text.splitlines()[0]), encoding="utf-8")
    answer = _add(bench, clips)
    assert answer.status == 1
    assert f"{path}:13: " in answer.sentence
    assert "mine" not in bench("data", "ls").out


def test_a_test_list_with_a_label_that_training_lacks(bench: Any, clips: Path) -> None:
    path = bench.folder / "test.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(" forward_tucked", " forward_tuckt", 1), encoding="utf-8")
    answer = _add(bench, clips)
    assert answer.status == 1
    assert "test.txt:" in answer.sentence and "tuckt" in answer.sentence


def test_a_root_that_is_not_there(bench: Any, clips: Path) -> None:
    answer = _add(bench, clips / "deeper")
    assert answer.status == 1
    assert "--root" in answer.sentence


def test_a_name_that_is_taken_by_a_package(bench: Any, clips: Path) -> None:
    answer = bench("data", "add", "synthgym", "--train", "train.txt", "--test", "test.txt", "--root", clips)
    assert answer.status == 1
    assert "synthgym" in answer.sentence


@pytest.mark.usefixtures("forget")
def test_damaged_empty_and_one_frame_videos_cost_no_run(bench: Any, clips: Path) -> None:
    videos = sorted(path for path in clips.iterdir() if path.name.startswith("test_"))
    whole = videos[0].read_bytes()
    videos[0].write_bytes(whole[: len(whole) // 3])
    videos[1].write_bytes(b"")
    _one_frame(videos[2])
    first_train = min(path for path in clips.iterdir() if path.name.startswith("train_"))
    first_train.write_bytes(b"this is no video")
    assert _add(bench, clips).status == 0
    found = bench("data", "verify", "mine")
    assert found.status == 3
    for bad in (videos[0].name, videos[1].name, first_train.name):
        assert bad in found.out
    answer = bench("run", "--suite", bench.suite(), "--data", "mine", "--seeds", "0")
    assert answer.status == 0, answer.err
    for path in (bench.folder / "runs/tiny/trials").glob("*/done.json"):
        record = store.read_json(path)
        assert {videos[0].name, videos[1].name, first_train.name} <= set(record["excluded"])
        assert record["metrics"]["listed"] - record["metrics"]["evaluated"] == 2


def _one_frame(path: Path) -> None:
    import numpy as np

    from datasets.gym_files import encode
    from datasets.gymnast import GymParameters

    path.write_bytes(encode(np.full((1, 96, 96, 3), 90, np.uint8), GymParameters()))


@pytest.mark.usefixtures("forget")
def test_classes_with_too_few_clips_are_taken_as_they_are_when_that_is_asked_for(
    bench: Any, clips: Path
) -> None:
    def own(content: dict[str, Any]) -> None:
        section = content["sections"]["embedded"]
        section["tasks"] = [{"data": "mine", "labels": ["2"]}]
        for part in ("quick", "tune"):
            section.pop(part, None)

    lines = (bench.folder / "train.txt").read_text(encoding="utf-8").splitlines()
    scarce = lines[-1].split(maxsplit=1)[1]
    kept = [line for line in lines[:-1] if not line.endswith(scarce)] + lines[-1:]
    (bench.folder / "train.txt").write_text("\n".join(kept), encoding="utf-8")
    assert _add(bench, clips).status == 0
    suite = ("--suite", bench.suite(own), "--methods", "fixmatch", "--seeds", "0")
    assert "--allow-empty-classes" in bench("plan", *suite).sentence
    planned = bench("plan", *suite, "--allow-empty-classes")
    assert planned.status == 0 and "2 missing" in planned.out, planned.err
    run = bench("run", *suite, "--allow-empty-classes", "--keep-weights")
    assert run.status == 0, run.err
    assert sorted(bench.executed) == ["mine@2 fixmatch seed=0", "mine@2 supervised seed=0"]
    trial = next((bench.folder / "runs/tiny/trials").iterdir())
    assert bench("features", trial).status == 0


@pytest.mark.usefixtures("forget")
def test_a_list_of_unlabeled_clips_of_which_none_can_be_decoded_fails_before_training(
    bench: Any, clips: Path
) -> None:
    (clips / "broken.mp4").write_bytes(b"nothing")
    (bench.folder / "rest.txt").write_text("broken.mp4\n", encoding="utf-8")
    lists = ("--train", bench.folder / "train.txt", "--test", bench.folder / "test.txt")
    assert bench("data", "add", "mine", *lists, "--unlabeled", "rest.txt", "--root", clips).status == 0
    run = bench("run", "--suite", bench.suite(), "--data", "mine", "--seeds", "0")
    assert "it learns from unlabeled clips, and mine@list has none to learn from" in run.out + run.err
