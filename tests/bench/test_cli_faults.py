"""What is nobody's mistake: full disks, faults of ours, interrupts; and what every command says of itself."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import cli, doctor, exit_codes, runner
from datasets.video_writing import write_video


def test_a_full_disk_is_one_sentence_and_loses_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = bench.suite()
    assert bench("run", "--suite", suite, "--seeds", "0").status == 0
    kept = {path: path.read_bytes() for path in (bench.folder / "runs").rglob("done.json")}

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bench.evaluate.write_predictions", full)
        answer = bench("run", "--suite", suite)
    assert answer.status == 1
    assert "the disk is full" in answer.sentence
    assert {path: path.read_bytes() for path in (bench.folder / "runs").rglob("done.json")} == kept
    assert not list((bench.folder / "runs").rglob("failed.json"))
    assert bench("run", "--suite", suite).status == 0
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_folder_that_cannot_be_made(bench: Any) -> None:
    (bench.folder / "occupied").write_text("a file", encoding="utf-8")
    answer = bench("run", "--suite", bench.suite(), "--out", "occupied")
    assert answer.status == 1
    assert "occupied" in answer.sentence


def test_our_own_fault_is_one_line_with_a_place(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("the bench\nhas a loose screw")

    monkeypatch.setattr(runner, "make_agenda", broken)
    answer = bench("run", "--suite", bench.suite())
    assert answer.status == 2
    place = Path(answer.sentence.rsplit("traceback: ", 1)[1].strip().rstrip(")"))
    assert "loose screw" in place.read_text(encoding="utf-8")
    place.unlink()


def test_another_package_called_datasets_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/__init__.py").write_text("", encoding="utf-8")
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from bench.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), "ls", "suites"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert str(tmp_path / "datasets") in answer.stderr and "environment of its own" in answer.stderr


def test_every_help_shows_an_example_and_the_first_one_the_exit_statuses(bench: Any) -> None:
    top = bench("--help")
    assert top.status == 0
    for code, meaning in exit_codes.MEANING.items():
        assert f"{code}: {meaning.split()[0]}" in top.out
    commands = [
        ["run"],
        ["plan"],
        ["report"],
        ["trial"],
        ["tune"],
        ["doctor"],
        ["check-method"],
        ["new", "method"],
        *(["ls", kind] for kind in ("methods", "datasets", "suites", "backbones")),
        *(["data", kind] for kind in ("add", "ls", "rm", "verify")),
    ]
    for command in commands:
        answer = bench(*command, "--help")
        assert answer.status == 0
        assert f"python -m bench {' '.join(command)}" in answer.out.split("Example:")[1]


def test_doctor_finds_nothing_here(bench: Any) -> None:
    answer = bench("doctor")
    assert answer.status in (0, 3)
    for word in ("torch", "CPUs", "decord", "GiB free", "'datasets' is ours"):
        assert word in answer.out


@pytest.mark.parametrize(("speed", "advised"), [(0.5, True), (1.9, False)])
def test_doctor_advises_against_bfloat16_where_it_is_slower(
    bench: Any, monkeypatch: pytest.MonkeyPatch, speed: float, advised: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "_product_speed", lambda: speed)
    answer = bench("doctor")
    assert f"{speed:g} times the speed of float32" in answer.out
    assert ("leave protocol.precision at float32" in answer.out) == advised


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "suites"]])
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from bench import cli; status = cli.invoke(sys.argv[1:]);"
        "print(sorted({'torch', 'pandas', 'ray', 'scipy', 'cv2'} & set(sys.modules))); sys.exit(status)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0
    assert answer.stdout.rstrip().endswith("[]")


def test_interrupting_anything_gives_130(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "make_agenda", interrupted)
    answer = bench("run", "--suite", bench.suite())
    assert answer.status == 130
    assert "goes on" in answer.err
    assert cli.foreign_datasets() == ""


@pytest.mark.parametrize(
    ("command", "broken", "found"),
    [
        ("verify", "datasets.verify.save_rows", "missing: gone.mp4: the file does not exist"),
        ("audit", "datasets.audit_record.json.dumps", "were not compared by footage: 1 are missing"),
    ],
)
def test_a_full_disk_at_the_end_costs_no_finding(
    bench: Any, monkeypatch: pytest.MonkeyPatch, command: str, broken: str, found: str
) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        frames = np.random.default_rng(seed).integers(0, 256, (12, 40, 60, 3), dtype=np.uint8)
        write_video(bench.folder / "clips" / f"{name}.mp4", frames)
    (bench.folder / "train.txt").write_text("a.mp4 0\ngone.mp4 0\n", encoding="utf-8")
    (bench.folder / "test.txt").write_text("b.mp4 0\n", encoding="utf-8")
    home = bench.folder / "home"
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(home))
    assert bench(
        "data", "add", "mine", "--train", "train.txt", "--test", "test.txt", "--root", "clips"
    ).status == 0  # fmt: skip

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, full)
        answer = bench("data", command, "mine", "--workers", "1")
    assert answer.status == 1
    assert found in answer.out
    said = answer.err.splitlines()[-1]  # after the progress
    assert said.startswith("error: ") and str(home) in said
    assert "cannot be written (No space left on device)" in said
    assert "has space" in said and "SEFAR_BENCH_HOME" in said
    assert bench("data", command, "mine", "--workers", "1").status in {0, 3}
