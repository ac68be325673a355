"""What cannot run is said in one sentence before the first trial starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.plan import Choice, plan_section
from bench.preflight import short_clips
from bench.suite import load_suite
from datasets import video_io


def _entry(content: dict[str, Any], number: int, **values: Any) -> None:
    content["sections"]["embedded"]["entries"][number].update(values)


def _sefar(**config: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: _entry(content, 1, label="sefar", method="sefar", config=config)


def _size(size: int, **backbone: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        section = content["sections"]["embedded"]
        section["protocol"]["size"] = size
        section["backbone"] = backbone

    return change


def _both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for each in changes:
            each(content)

    return change


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            _sefar(levels=[4, 4, 8]),
            ["entry 'sefar'", "synthgym_tiny@2", "'levels' takes 16 frames", "the task gives 8"],
        ),
        (_sefar(levels=[]), ["entries.1", "config field 'levels'"]),
        (_sefar(levels=[2, 0, 4]), ["entries.1", "config field 'levels", "greater than or equal to 1"]),
        (_sefar(teacher_passes=0), ["entries.1", "config field 'teacher_passes' is 0", "at least 1"]),
        (_sefar(perturbation="mod_revers"), ["entries.1", "'perturbation' is 'mod_revers'", "mod_reverse"]),
        (_sefar(regulation="fixd"), ["entries.1", "'regulation' is 'fixd'"]),
        (
            _size(40, name="timesformer_tiny", config={"depth": 1}),
            ["protocol.size is 40", "'timesformer_tiny'", "patches of 16 x 16", "write 32 or 48"],
        ),
        (
            _both(_size(16, name="timesformer_tiny", config={"depth": 1}), _sefar(levels=[2, 2, 4])),
            ["entry 'sefar'", "'timesformer_tiny'", "16 x 16 pixels are one cell", "larger protocol.size"],
        ),
        (
            lambda content: _entry(
                content, 1, label="seq", method="sequencematch", config={"medium_view": "medium"}
            ),
            ["entry 'seq' (method 'sequencematch')", "'medium'", "protocol.augmentations"],
        ),
        (
            _size(32, name="shiftnet", config={"levels": "a"}),
            ["entry 'supervised'", "backbone 'shiftnet' cannot be built", "levels: a", "correct the setting"],
        ),
        (
            _size(32, name="timesformer_tiny", config={"depth": 1, "frames_per_level": 8}),
            ["entry 'supervised'", "backbone 'timesformer_tiny' cannot be built", "frames_per_level: 8"],
        ),
        (
            _size(9, name="shiftnet"),
            ["backbone 'shiftnet' cannot read clips of 9 x 9 pixels", "protocol.size", "8 frames"],
        ),
    ],
)
def test_what_cannot_run_is_one_sentence_before_training(bench: Any, change: Any, parts: list[str]) -> None:
    suite = bench.suite(change)
    answer = bench("run", "--suite", suite)
    assert answer.status == 1
    for part in parts:
        assert part in answer.sentence
    assert not bench.executed
    assert not list((bench.folder / "runs").glob("*/trials/*"))
    planned = bench("plan", "--suite", suite)
    assert planned.status == 1 and planned.sentence == answer.sentence
    assert "about" not in planned.out  # no forecast of what cannot be


def test_a_plan_fetches_no_weights(bench: Any) -> None:
    change = _size(32, name="timesformer_tiny", config={"depth": 1}, weights="absent.pth")
    answer = bench("plan", "--suite", bench.suite(change))
    assert answer.status == 0 and "missing" in answer.out


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"cls_token": torch.zeros(1, 1, 384)}, ["'cls_token' has shape", "384", "192"]),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, ["another architecture", "is missing"]),
        ([1, 2, 3], ["no state dict"]),
    ],
)
def test_weights_of_another_architecture(bench: Any, content: Any, parts: list[str]) -> None:
    file = bench.folder / "weights.pth"
    torch.save(content, file)
    change = _size(32, name="timesformer_tiny", config={"depth": 1}, weights=str(file))
    answer = bench("run", "--suite", bench.suite(change))
    assert answer.status == 1
    assert answer.sentence.startswith("error: entry 'supervised': weights ")
    for part in [str(file), *parts]:
        assert part in answer.sentence
    assert not bench.executed


def _levels_without_tables(content: dict[str, Any]) -> None:
    _size(32, name="timesformer_tiny", config={"depth": 1})(content)
    _sefar(levels=[2, 2, 4])(content)


@pytest.mark.parametrize(
    ("change", "start", "part"),
    [
        (
            _size(32, name="timesformer_tiny", config={"depth": 1}, weights="absent.pth"),
            "entry 'supervised': weights 'absent.pth'",
            "there is no such file",
        ),
        (_levels_without_tables, "entry 'sefar': ", "'frames_per_level'"),
        (
            _size(32, name="shiftnet", weights="absent.pth"),
            "entry 'supervised': backbone 'shiftnet'",
            "weights: random",
        ),
    ],
)
def test_what_a_backbone_refuses_is_said_of_the_first_entry_with_it(
    bench: Any, change: Callable[[dict[str, Any]], None], start: str, part: str
) -> None:
    answer = bench("run", "--suite", bench.suite(change))
    assert answer.status == 1 and not bench.executed
    assert answer.sentence.startswith(f"error: {start}")
    assert part in answer.sentence
    assert answer.sentence.count("entry '") == 1


def _list(bench: Any, lengths: dict[str, int]) -> None:
    folder = bench.folder / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, length in lengths.items():
        video_io.write_video(folder / name, rng.integers(0, 255, (length, 48, 48, 3), dtype=np.uint8))
    names = list(lengths)
    half = len(names) // 2
    for role, members in (("train", names[:half]), ("test", names[half:])):
        lines = [f"{name} class{i % 2}\n" for i, name in enumerate(members)]
        (bench.folder / f"{role}.txt").write_text("".join(lines), encoding="utf-8")
    added = bench("data", "add", "mine", "--train", "train.txt", "--test", "test.txt", "--root", folder)
    assert added.status == 0, added.err


def test_a_video_of_one_frame_is_named_before_training_and_costs_no_run(bench: Any) -> None:
    _list(bench, {"a.mp4": 12, "b.mp4": 1, "c.mp4": 12, "d.mp4": 5, "e.mp4": 12, "f.mp4": 12})
    try:
        suite = bench.suite(_sefar())
        answer = bench("run", "--suite", suite, "--data", "mine", "--seeds", "0")
        assert answer.status == 0, answer.err
        lines = answer.out.splitlines()
        single = next(i for i, line in enumerate(lines) if "single frame" in line)
        assert "data set 'mine': 1 of 6 clips ('b.mp4' first)" in lines[single]
        short = next(line for line in lines if "fewer frames than the 8 of a view" in line)
        assert "1 of 6 clips" in short and "'d.mp4' with 5" in short
        assert single < next(i for i, line in enumerate(lines) if "trials to run" in line)
        assert sorted(bench.executed) == ["mine@1 sefar seed=0", "mine@1 supervised seed=0"]
    finally:
        bench("data", "rm", "mine")


def test_clips_that_are_long_enough_are_no_matter_of_talk(bench: Any, shared_home: Path) -> None:
    planned = plan_section(load_suite(str(bench.suite())), "embedded", Choice(seeds=(0,)))
    assert list(short_clips(planned)) == []


def test_a_policy_whose_flips_the_data_set_forbids_is_named(bench: Any) -> None:
    def flips(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["protocol"]["augmentations"]["strong"]["flip"] = 0.5

    said = "data set 'synthgym_tiny': its clips are not flipped, though policy 'strong' would"
    suite = bench.suite(flips)
    assert said in bench("plan", "--suite", suite).out
    assert said in bench("run", "--suite", suite, "--limit-steps", "1").out
    assert "not flipped" not in bench("plan", "--suite", bench.suite()).out
