"""Folders that cannot be written: one sentence that names the folder and the option, and nothing lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def done(bench: Any) -> Iterator[dict[Path, bytes]]:
    """A finished seed of the suite `tiny` in `runs`; nothing of it may change in the test."""
    assert bench("run", "--suite", bench.suite(), "--seeds", "0").status == 0
    before = _files(bench.folder / "runs")
    yield before
    assert _files(bench.folder / "runs") == before


def _files(folder: Path) -> dict[Path, bytes]:
    """Index and the stamp apart, which any look may renew."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}


@pytest.fixture
def read_only(bench: Any, done: dict[Path, bytes]) -> Iterator[None]:
    """`runs` can only be read: by its mode, or for root, whom no mode stops, by a mount."""
    runs = bench.folder / "runs"
    if os.geteuid() != 0:
        folders = [runs, *(path for path in runs.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield
        for folder in folders:
            folder.chmod(0o755)
        return
    if subprocess.run(["mount", "--bind", runs, runs], capture_output=True, check=False).returncode:
        pytest.skip("root without the right to mount: the read-only folder was NOT tried")
    subprocess.run(["mount", "-o", "remount,ro,bind", runs], check=True)
    yield
    subprocess.run(["umount", runs], check=True)


@pytest.mark.usefixtures("read_only")
def test_a_run_folder_that_can_only_be_read(bench: Any) -> None:
    suite = bench.suite()
    trial = next((bench.folder / "runs/tiny/trials").iterdir())
    for arguments, named in (
        (("run", "--suite", suite), ("runs/tiny", "--out")),
        (("run", "--suite", suite, "--seeds", "0"), ("runs/tiny", "--out")),
        (("report", "--suite", suite), ("runs/tiny/report", "--to")),
        (("trial", trial / "spec.json"), ("runs/single", "--out")),
        (("plan", "--suite", suite, "--specs", "runs/specs"), ("runs/specs", "--specs")),
    ):
        answer = bench(*arguments)
        assert answer.status == 1
        assert all(part in answer.sentence for part in named), answer.sentence
    assert "2 done, 0 stale, 0 failed, 2 missing" in bench("plan", "--suite", suite).out
    assert bench("report", "--suite", suite, "--to", "elsewhere").status == 0
    assert bench("reproduce", trial).status == 0


@pytest.fixture
def full(bench: Any, done: dict[Path, bytes]) -> Iterator[Path]:
    """A file system of 16 KiB."""
    folder = Path(bench.folder / "full")
    folder.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small file system: the full disk was NOT tried")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(bench: Any, full: Path) -> None:
    suite = bench.suite()
    trial = next((bench.folder / "runs/tiny/trials").iterdir())
    for arguments, option in (
        (("run", "--suite", suite, "--out", full), "--out"),
        (("report", "--suite", suite, "--to", full / "report"), "--to"),
        (("trial", trial / "spec.json", "--out", full), "--out"),
        (("plan", "--suite", suite, "--specs", full / "specs"), "--specs"),
    ):
        answer = bench(*arguments)
        assert answer.status == 1
        assert str(full) in answer.sentence and "the disk is full" in answer.sentence
        assert option in answer.sentence


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_file_system_that_takes_no_folders(bench: Any, done: dict[Path, bytes]) -> None:
    suite, trial = bench.suite(), next((bench.folder / "runs/tiny/trials").iterdir())
    for arguments, option in (
        (("run", "--suite", suite, "--out", "/proc/x"), "--out"),
        (("report", "--suite", suite, "--to", "/proc/x"), "--to"),
        (("trial", trial / "spec.json", "--out", "/proc/x"), "--out"),
        (("plan", "--suite", suite, "--specs", "/proc/x"), "--specs"),
        (("plan", "--suite", suite, "--export", "/proc/x"), "--export"),
        (("plan", "--suite", suite, "--storage", "/proc/x"), "--storage"),
    ):
        answer = bench(*arguments)
        assert answer.status == 1
        assert "/proc/x" in answer.sentence and f"give another folder with {option}" in answer.sentence
