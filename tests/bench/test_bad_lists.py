"""Lists and annotations with mistakes: one sentence with file and line, and nothing is registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

GOOD = "a.mp4 0\nb.mp4 1\n"


@pytest.fixture
def folder(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with three files that pass for videos, and a data home of its own."""
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "clips").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / f"clips/{name}.mp4").touch()
    (tmp_path / "two.txt").write_text("sitting\nstanding\n")
    return tmp_path


@pytest.mark.parametrize(
    ("train", "test", "more", "said"),
    [
        ("a.mp4 0\na.mp4 1\n", "c.mp4 0\n", (), ["train.csv:2", "'a.mp4' is already in line 1"]),
        ("a.mp4,0\nb.mp4,1,2\n", "c.mp4,0\n", (), ["train.csv:2", "3 column"]),
        (GOOD, "c.mp4 0\nd.mp4\n", (), ["test.csv:2", "column"]),
        (GOOD, "c.mp4 2\n", (), ["test.csv:1", "class of the training list", "'2'"]),
        ("a.mp4 0\nb.mp4 -3\n", "c.mp4 0\n", (), ["train.csv:2", "-3 is negative"]),
        (GOOD, "c.mp4 2\n", ("--classes", "two.txt"), ["test.csv:1", "label 2 is out of range", "0 to 1"]),
        (GOOD, "a.mp4 0\n", (), ["test.csv:1", "'a.mp4' is in the test list and also in the training list"]),
        ("", "c.mp4 0\n", (), ["train.csv", "has no clips"]),
        ("\x00\udcff", "c.mp4 0\n", (), ["train.csv", "no UTF-8 text"]),
    ],
)
def test_own_lists(
    bench: Any, folder: Path, train: str, test: str, more: tuple[str, ...], said: list[str]
) -> None:
    (folder / "train.csv").write_bytes(train.encode(errors="surrogateescape"))
    (folder / "test.csv").write_text(test)
    lists = ("--train", folder / "train.csv", "--test", folder / "test.csv")
    answer = bench("data", "add", "mine", *lists, "--root", folder / "clips", *more)
    assert answer.status == 1
    assert all(word in answer.sentence for word in said), answer.sentence
    assert bench("data", "ls").out == ""


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ("/r/a.mp4 0\n/r/a.mp4 1\n", "/r/c.mp4 0\n", ["train.csv:2", "already in line 1"]),
        ("/r/a.mp4 0\n/r/b.mp4 1 1 1 1\n", "/r/c.mp4 0\n", ["train.csv:2", "as in line 1", "5 columns"]),
        ("/r/a.mp4 0\n/r/b.mp4 -3\n", "/r/c.mp4 0\n", ["train.csv:2", "-3 is negative"]),
        ("/r/a.mp4 sit\n/r/b.mp4 run\n", "/r/c.mp4 sat\n", ["test.csv:1", "Did you mean 'sit'"]),
        ("/r/a.mp4\n/r/b.mp4\n", "/r/c.mp4\n", ["test.csv:1", "has no label"]),
        (
            "/r/x.mp4 0\n/r/y.mp4 1\n",
            "/r/z.mp4 0\n",
            ["3 of 3 clips", "are not in", "x.mp4", "give with --root"],
        ),
        ("/r/a.mp4 0\n", "/r/a.mp4 0\n", ["trained on and also scored", "--accept-leak"]),
    ],
)
def test_published_lists(bench: Any, folder: Path, train: str, test: str, said: list[str]) -> None:
    lists = folder / "published"
    lists.mkdir()
    (lists / "train.csv").write_text(train)
    (lists / "test.csv").write_text(test)
    answer = bench("data", "splits", "import", lists, "--root", folder / "clips")
    assert answer.status == 1
    assert all(word in answer.sentence for word in said), answer.sentence
    assert str(folder / "home") not in answer.sentence, "the user's file is named, not a copy that is gone"
    assert bench("data", "ls").out == ""
    assert not list((folder / "home").glob("splits/*"))


def test_a_root_that_is_not_there(bench: Any, folder: Path) -> None:
    lists = folder / "published"
    lists.mkdir()
    (lists / "train.csv").write_text(GOOD)
    (lists / "test.csv").write_text("c.mp4 0\n")
    nowhere = folder / "nowhere"
    sentence = bench("data", "splits", "import", lists, "--root", nowhere).sentence
    assert "--root: there is no folder" in sentence and "nowhere" in sentence
    assert "--videos" not in sentence and "data rm" not in sentence, "nothing is registered yet"
    both = ("--train", lists / "train.csv", "--test", lists / "test.csv")
    sentence = bench("data", "add", "mine", *both, "--root", nowhere).sentence
    assert "nowhere" in sentence and "--root" in sentence


def test_a_label_of_official_lists_that_is_out_of_range(bench: Any, folder: Path) -> None:
    notes = folder / "notes"
    notes.mkdir()
    (notes / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    (notes / "trainlist01.txt").write_text("Archery/a.avi 1\nBiking/b.avi 3\n")
    (notes / "testlist01.txt").write_text("Archery/c.avi\n")
    both = ("--videos", folder / "clips", "--annotations", notes)
    sentence = bench("data", "add", "ucf101", *both).sentence
    assert "trainlist01.txt:2: the label 3 is out of range; expected 1 to 2" in sentence
    (notes / "trainlist01.txt").write_text("Archery/a.avi 1\nArchery/a.avi 1\n")
    assert (
        "trainlist01.txt:2: 'Archery/a.avi' is already in" in bench("data", "add", "ucf101", *both).sentence
    )


def test_a_class_number_that_no_line_has_is_a_note_and_no_mistake(bench: Any, folder: Path) -> None:
    (folder / "train.csv").write_text("a.mp4 0\nb.mp4 3\n")
    (folder / "test.csv").write_text("c.mp4 0\n")
    both = ("--train", folder / "train.csv", "--test", folder / "test.csv")
    answer = bench("data", "add", "mine", *both, "--root", folder / "clips")
    assert answer.status == 0, answer.err
    (note,) = [line for line in answer.out.splitlines() if line.startswith("note: ")]
    assert "train.csv has the class number 1, 2, though" in note


def test_the_advice_to_accept_a_leak_works(bench: Any, folder: Path) -> None:
    lists = folder / "published"
    lists.mkdir()
    (lists / "train.csv").write_text("a.mp4 0\nb.mp4 1\n")
    (lists / "test.csv").write_text("c.mp4 0\na.mp4 0\n")
    add = ("data", "add", "mine", "--format", "lists", "--videos", folder / "clips", "--annotations", lists)
    assert "--accept-leak" in bench(*add).sentence
    assert bench(*add, "--accept-leak").status == 0
    assert "mine" in bench("data", "ls").out
    own = ("--train", lists / "train.csv", "--test", lists / "test.csv", "--root", folder / "clips")
    assert "remove clips" in bench("data", "add", "other", *own, "--accept-leak").sentence
