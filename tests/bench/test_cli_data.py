"""`bench data`: public sets by their annotations, published lists, the audit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import leaks, readers
from datasets import places

LISTS = {
    "trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nArchery/v_Archery_g08_c01.avi 2\r\n",
    "testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\nArchery/v_Archery_g01_c01.avi\r\n",
    "classInd.txt": "1 ApplyEyeMakeup\r\n2 Archery\r\n",
}


@pytest.fixture
def ucf(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Folders of videos and annotations in the shape of UCF101, and an empty data home."""
    from datasets import video_io

    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    notes, videos = tmp_path / "notes", tmp_path / "videos"
    notes.mkdir()
    import numpy as np

    for name, text in LISTS.items():
        (notes / name).write_bytes(text.encode())
    for place, row in enumerate(line for name in LISTS for line in LISTS[name].split("\r\n") if "/" in line):
        frames = np.full((6, 48, 64, 3), 10 * place, np.uint8)
        frames[:, 10:20, 10:20] += np.arange(6, dtype=np.uint8)[:, None, None, None] * 30
        video_io.write_video(videos / row.split()[0].replace(".avi", ".mp4"), frames)
        (videos / row.split()[0].replace(".avi", ".mp4")).rename(videos / row.split()[0])
    yield videos, notes
    places.opened.cache_clear()


def test_a_public_set_from_its_annotations_to_a_plan(bench: Any, ucf: tuple[Path, Path]) -> None:
    videos, notes = ucf
    answer = bench("data", "add", "ucf101", "--videos", videos, "--annotations", notes)
    assert answer.status == 0, answer.err
    assert "ucf101: 2 classes, 2 training, 2 test clips" in answer.out
    assert f"ucf101  {videos} (ucf101)" in bench("data", "ls").out
    assert "ucf101" in bench("ls", "datasets").out
    planned = bench("plan", "--suite", bench.suite(), "--data", "ucf101", "--seeds", "0")
    assert planned.status == 0, planned.err
    assert "ucf101@1" in planned.out
    assert (
        "already registered"
        in bench("data", "add", "ucf101", "--videos", videos, "--annotations", notes).sentence
    )
    assert bench("data", "rm", "ucf101").status == 0
    assert bench("data", "ls").out == ""


def test_the_format_names_the_reader_of_a_set_with_a_name_of_its_own(
    bench: Any, ucf: tuple[Path, Path]
) -> None:
    videos, notes = ucf
    both = ("--videos", videos, "--annotations", notes)
    assert "--format" in bench("data", "add", "myset", *both).sentence
    assert "Did you mean 'ucf101'" in bench("data", "add", "myset", "--format", "ucf10", *both).sentence
    assert bench("data", "add", "myset", "--format", "ucf101", *both).status == 0
    assert (
        "--format ucf101" in places.opened(places.entries()["myset"], readers.reader("ucf101")).how_to_add()
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ucf101"], ["--videos and --annotations", "--train"]),
        (["ucf101", "--videos", "."], ["--annotations is missing"]),
        (["ucf101", "--videos", "nowhere", "--annotations", "."], ["--videos", "nowhere"]),
        (["ucf101", "--videos", ".", "--annotations", ".", "--train", "x"], ["--train", "your own lists"]),
        (["ucf101", "--videos", ".", "--annotations", "videos"], ["classInd.txt", "UCF Center"]),
    ],
)
def test_mistakes_in_adding_a_public_set(
    bench: Any, ucf: tuple[Path, Path], arguments: list[str], said: list[str]
) -> None:
    sentence = bench("data", "add", *arguments).sentence
    assert all(word in sentence for word in said), sentence
    assert bench("data", "ls").out == ""


def published(folder: Path, videos: Path) -> Path:
    lists = folder / "ucf_1"
    lists.mkdir()
    train = [line.replace(" 1", " 0").replace(" 2", " 1") for line in LISTS["trainlist01.txt"].split("\r\n")]
    test = [f"{line} {place}" for place, line in enumerate(LISTS["testlist01.txt"].split("\r\n")[:2])]
    (lists / "train.csv").write_text("\n".join(f"/root/UCF-101/{line}" for line in train if line))
    (lists / "test.csv").write_text("\n".join(f"/root/UCF-101/{line}" for line in test))
    return lists


def test_published_lists_are_imported_and_audited(bench: Any, ucf: tuple[Path, Path], tmp_path: Path) -> None:
    videos, _ = ucf
    lists = published(tmp_path, videos)
    answer = bench("data", "splits", "import", lists, "--root", videos)
    assert answer.status == 0, answer.err
    assert "1 audited: 0 leaks" in bench("data", "audit", lists).out
    shutil.copytree(lists, tmp_path / "both/ucf_1")
    shutil.copytree(lists, tmp_path / "both/ucf_2")
    assert "2 audited: " in bench("data", "audit", tmp_path / "both").out  # not one more for all as a whole
    assert "ucf_1: 2 classes, 2 labeled, 2 test clips" in answer.out and "pins.json" in answer.out
    assert (
        "clips are never flipped; where a mirrored clip keeps its label, import with --mirror" in answer.out
    )
    audited = bench("data", "audit", "ucf_1", "--quick")
    assert audited.status == 0, audited.out
    assert "0 leaks, 0 flaws" in audited.out
    (lists / "val.csv").write_text((lists / "test.csv").read_text())
    audited = bench("data", "audit", lists)
    assert audited.status == 3
    assert "flaw: the validation clips are the test clips" in audited.out
    (lists / "train.csv").write_text((lists / "test.csv").read_text())
    audited = bench("data", "audit", lists)
    assert audited.status == 3 and "leak: 2 of 2 test clips are also trained on" in audited.out
    assert (
        "--accept-leak"
        in bench("data", "splits", "import", lists, "--root", videos, "--name", "two").sentence
    )


def test_equal_bytes_are_found_by_the_audit_of_a_set(bench: Any, ucf: tuple[Path, Path]) -> None:
    videos, notes = ucf
    bench("data", "add", "ucf101", "--videos", videos, "--annotations", notes)
    twin = videos / "Archery/v_Archery_g01_c01.avi"
    twin.write_bytes((videos / "Archery/v_Archery_g08_c01.avi").read_bytes())
    answer = bench("data", "audit", "ucf101", "--workers", "1")
    assert answer.status == 3
    assert "leak: 1 test clips have the same bytes" in answer.out


def test_seeded_splits_are_written_with_their_hash(
    bench: Any, ucf: tuple[Path, Path], tmp_path: Path
) -> None:
    videos, notes = ucf
    bench("data", "add", "ucf101", "--videos", videos, "--annotations", notes)
    answer = bench(
        "data", "splits", "write", "ucf101", "--labels", "1", "--seeds", "0-1", "--to", tmp_path / "out"
    )
    assert answer.status == 0, answer.err
    assert len(list((tmp_path / "out").glob("ucf101@1-seed*.tsv"))) == 2
    for wrong in ("few", "0", "0%", "100.5%", "500%", "3.5", "%"):
        answer = bench("data", "splits", "write", "ucf101", "--labels", wrong, "--to", tmp_path / "none")
        assert f"--labels: '{wrong}' is no budget; give a count from 1" in answer.sentence
    assert not (tmp_path / "none").exists()


def test_an_audit_of_nothing(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "train.csv" in bench("data", "audit", tmp_path / "empty").sentence
    assert "Did you mean 'synthgym" in bench("data", "audit", "synthgim").sentence


def test_every_format_has_a_line_and_a_reader(bench: Any) -> None:
    answer = bench("data", "formats")
    assert answer.status == 0
    for form in (
        "gym99",
        "gym288_v1.0",
        "gym99_ub_s1",
        "finediving_5253b",
        "hmdb51_split3",
        "kinetics400",
        "lists",
    ):
        assert f"\n{form} " in "\n" + answer.out
    assert readers.problems() == ()


def test_what_was_looked_at_before_the_lists_changed_is_to_be_looked_at_again(
    bench: Any, ucf: tuple[Path, Path]
) -> None:
    videos, notes = ucf
    bench("data", "add", "ucf101", "--videos", videos, "--annotations", notes)
    what = ("plan", "--suite", bench.suite(), "--data", "ucf101", "--seeds", "0")
    commands = {name: f"python -m bench data {name} ucf101" for name in ("verify", "audit")}
    assert f"test clips; not yet done: {commands['verify']}, {commands['audit']}\n" in bench(*what).out
    for name in commands:
        assert bench("data", name, "ucf101", "--workers", "1").status == 0
    assert "2 training, 2 test clips\n" in bench(*what).out
    video = videos / "Archery/v_Archery_g01_c01.avi"
    video.write_bytes((videos / "Archery/v_Archery_g08_c01.avi").read_bytes())
    said = bench(*what).out
    assert f"audited before its lists or videos changed: audit again with {commands['audit']}" in said
    assert "verified before" not in said
    other = "Archery/v_Archery_g09_c01.avi"
    (videos / "Archery/v_Archery_g08_c01.avi").rename(videos / other)
    (notes / "trainlist01.txt").write_text(f"ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n{other} 2\n")
    places.opened.cache_clear()
    said = bench(*what).out
    assert f"audited before its lists or videos changed: audit again with {commands['audit']}" in said
    assert f"verified before its lists changed: verify again with {commands['verify']}" in said


def test_a_run_on_leaked_data_needs_consent(bench: Any, ucf: tuple[Path, Path]) -> None:
    videos, notes = ucf
    bench("data", "add", "ucf101", "--videos", videos, "--annotations", notes)
    twin = videos / "Archery/v_Archery_g01_c01.avi"
    twin.write_bytes((videos / "Archery/v_Archery_g08_c01.avi").read_bytes())
    leaks.refuse_leaks(["ucf101"], [])  # nobody has looked yet
    bench("data", "audit", "ucf101", "--workers", "1")
    answer = bench("run", "--suite", bench.suite(), "--data", "ucf101", "--seeds", "0")
    assert answer.status == 1
    assert "same bytes" in answer.sentence and "--accept-leak ucf101" in answer.sentence
    leaks.refuse_leaks(["ucf101"], ["ucf101"])
    accepted = bench(
        *("run", "--suite", bench.suite(), "--data", "ucf101", "--seeds", "0", "--methods", "supervised"),
        *("--accept-leak", "ucf101"),
    )
    assert accepted.status == 0, accepted.err
    page = (bench.folder / "runs/tiny/report/leaderboard.md").read_text(encoding="utf-8")
    assert "Leak in ucf101, accepted for this run: 1 test clips have the same bytes" in page


def test_clips_that_are_not_here_are_counted_when_a_set_is_added(
    bench: Any, ucf: tuple[Path, Path], tmp_path: Path
) -> None:
    videos, notes = ucf
    (videos / "Archery/v_Archery_g08_c01.avi").unlink()
    said = "1 of 4 clips are missing (first: Archery/v_Archery_g08_c01.avi)"
    assert said in bench("data", "add", "ucf101", "--videos", videos, "--annotations", notes).out
    assert said in bench("data", "splits", "import", published(tmp_path, videos), "--root", videos).out
    (tmp_path / "own.txt").write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 0\nnone.avi 1\n")
    (tmp_path / "test.txt").write_text("Archery/v_Archery_g01_c01.avi 1\n")
    lists = ("--train", tmp_path / "own.txt", "--test", tmp_path / "test.txt", "--root", videos)
    assert "1 of 3 clips are missing (first: none.avi)" in bench("data", "add", "mine", *lists).out


def test_made_clips_are_told_of_when_they_fail_and_when_they_are_left(
    bench: Any, ucf: tuple[Path, Path], tmp_path: Path
) -> None:
    import cv2
    import numpy as np

    frames, lists = tmp_path / "frames", tmp_path / "lists"
    for name in ("a", "b", "c"):
        (frames / name).mkdir(parents=True)
        cv2.imwrite(str(frames / name / "00001.jpg"), np.zeros((48, 64, 3), np.uint8))
    (frames / "b/00001.jpg").write_text("no picture")
    lists.mkdir()
    (lists / "train.txt").write_text("a 1 0\nb 1 1\n")
    (lists / "test.txt").write_text("c 1 1\n")
    added = bench("data", "add", "mine", "--format", "lists", "--videos", frames, "--annotations", lists)
    assert "1 clips could not be made; the first, 'b.mp4': it cannot be read (00001.jpg" in added.out, (
        added.err
    )
    assert "1 of 3 clips are missing (first: b)" in added.out
    gone = bench("data", "rm", "mine")
    assert "2 clips made of its videos (0.0 MB in " in gone.out and "data rm mine --made" in gone.out
    made = tmp_path / "home/made/mine"
    assert made.is_dir()
    assert "2 clips made of its videos" in bench("data", "rm", "mine", "--made").out
    assert not made.exists()
    assert bench("data", "rm", "mine", "--made").status == 1
    assert bench("data", "rm", "..", "--made").status == 1 and (tmp_path / "home").is_dir()
