from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.errors import UserError
from datasets.list_labels import missing_numbers
from datasets.types import UNKNOWN, ClipRef
from datasets.video_list import ListEntry, VideoListSet, read_list


def listed(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def pairs(path: Path, labeled: bool = True) -> list[tuple[str, str | None]]:
    return [(line.file, line.label) for line in read_list(path, labeled)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.mp4 0\nb.mp4 1\n", [("a.mp4", "0"), ("b.mp4", "1")]),
        ("a.mp4,0\nb.mp4, 1", [("a.mp4", "0"), ("b.mp4", "1")]),
        ("a.mp4\t0\r\nb.mp4\t1\r\n", [("a.mp4", "0"), ("b.mp4", "1")]),
        ("a.mp4   0  \n\n# comment\n  b.mp4 1", [("a.mp4", "0"), ("b.mp4", "1")]),
        ("my clips/a b.mp4 0\nc.mp4 1", [("my clips/a b.mp4", "0"), ("c.mp4", "1")]),
        ("a.mp4 copy 2.mp4 0\nset 1/b 0 x.avi 1", [("a.mp4 copy 2.mp4", "0"), ("set 1/b 0 x.avi", "1")]),
        ("jump v1.2 take 3 walk", [("jump v1.2 take 3", "walk")]),
        ("a b.mp4,back tuck\nc.mp4,pike", [("a b.mp4", "back tuck"), ("c.mp4", "pike")]),
        ("a, b.mp4 0\nc.mp4 1", [("a, b.mp4", "0"), ("c.mp4", "1")]),
        ("path,label\na.mp4,0", [("a.mp4", "0")]),
        ("\ufeffa.mp4 0", [("a.mp4", "0")]),
        ("fight\\a.mp4 0", [("fight/a.mp4", "0")]),
        ("#2_Gum.avi 0\n#made by hand\n# a.mp4 0\nb.avi 1", [("#2_Gum.avi", "0"), ("b.avi", "1")]),
    ],
)
def test_forms_of_lists(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(listed(tmp_path, "l.txt", text)) == expected


def test_lines_are_counted_as_editors_count_them(tmp_path: Path) -> None:
    lines = read_list(listed(tmp_path, "l.txt", "# head\r\n\r\na.mp4 0\r\nb.mp4 1"))
    assert [line.number for line in lines] == [3, 4]


def test_unlabeled_lists_may_have_no_labels(tmp_path: Path) -> None:
    assert pairs(listed(tmp_path, "l.txt", "a.mp4\nmy clip.mp4\nb.mp4 1"), labeled=False) == [
        ("a.mp4", None),
        ("my clip.mp4", None),
        ("b.mp4", "1"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 0\nb.mp4\n", r"l\.txt:2: expected 'path label', found 1 column"),
        ("a.mp4,0\nb.mp4,4,1\n", r"l\.txt:2: .* found 3 column"),
        ("a.mp4 0\nb.mp4 120 1\n", r"l\.txt:2: .* found 3 column.*; give one label a clip"),
        ("a.mp4 0\nfight/b.mp4 0 extra 3\n", r"l\.txt:2: .* found 4 column.*'fight/b.mp4 0 extra 3'"),
        ("a.mp4 0\nb.WEBM 1 1 1 1\n", r"l\.txt:2: .* found 5 column"),
        ("a.mp4 0\n\nb.mp4 1\na.mp4 1", r"l\.txt:4: 'a.mp4' is already in line 1"),
        ("x/b,74,0\n", r"l\.txt:1: .* found 3 column.*--format lists"),
        ("", "has no clips"),
        ("# nothing\n", "has no clips"),
        (b"\xff\xfe\x00a", "no UTF-8 text"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_list(listed(tmp_path, "l.txt", text))


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"l\.txt cannot be read"):
        read_list(tmp_path / "l.txt")


def made(folder: Path, train: str, test: str, **other: str) -> VideoListSet:
    files = {
        role: listed(folder, f"{role}.txt", text)
        for role, text in {**other, "train": train, "test": test}.items()
    }
    return VideoListSet(ListEntry(name="mine", root=folder / "videos", **files))  # type: ignore[arg-type]


def test_roles_and_labels(tmp_path: Path) -> None:
    table = made(
        tmp_path, "x/a.mp4 tuck\nb.mp4 pike", "c.mp4 tuck", unlabeled="d.mp4\ne.mp4 -1\nf.mp4 tuck"
    ).table()
    assert table.classes == ("pike", "tuck")
    assert table.train[0] == ClipRef("x/a.mp4", tmp_path / "videos" / "x" / "a.mp4", 1, "x/a.mp4")
    assert [clip.label for clip in table.train] == [1, 0]
    assert [clip.label for clip in table.unlabeled or ()] == [UNKNOWN, UNKNOWN, 1]
    assert table.pinned


def test_without_an_unlabeled_list_the_training_list_is_a_pool(tmp_path: Path) -> None:
    table = made(tmp_path, "a.mp4 0\nb.mp4 1", "c.mp4 1", validation="d.mp4 0").table()
    assert table.unlabeled is None
    assert not table.pinned
    assert [clip.key for clip in table.validation] == ["d.mp4"]


def test_numbers_are_in_numeric_order_and_gaps_make_no_classes(tmp_path: Path) -> None:
    table = made(tmp_path, "a.mp4 10\nb.mp4 2\nc.mp4 1", "d.mp4 2").table()
    assert table.classes == ("1", "2", "10")
    assert table.test[0].label == 1


def test_class_numbers_that_no_line_has_are_noted(tmp_path: Path) -> None:
    lists = made(tmp_path, "a.mp4 0\nb.mp4 1\nc.mp4 4\n", "d.mp4 1")
    assert [note for note in lists.notes() if "class number 2, 3, though" in note and "train.txt" in note]
    assert made(tmp_path, "a.mp4 1\nb.mp4 2\n", "d.mp4 1").notes() == [], "some count from 1"
    assert made(tmp_path, "a.mp4 walk\nb.mp4 run\n", "d.mp4 run").notes() == []
    assert made(tmp_path, "a.mp4 0\nb.mp4 2\n", "d.mp4 0", classes="x\ny\nz").notes() == []
    assert missing_numbers(["0", "500"]) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and 489 more"
    assert missing_numbers(["0", f"{10**12}"]) == f"1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and {10**12 - 11} more"


def test_numbers_and_names_may_mix_where_a_file_names_them_all(tmp_path: Path) -> None:
    table = made(tmp_path, "a.mp4 720\nb.mp4 cork\n", "d.mp4 cork", classes="720\ncork\n").table()
    assert [clip.label for clip in (*table.train, *table.test)] == [0, 1, 1]


def test_a_classes_file_names_the_numbers(tmp_path: Path) -> None:
    table = made(tmp_path, "a.mp4 0\nb.mp4 2", "d.mp4 1", classes="zero\none\ntwo\n").table()
    assert table.classes == ("zero", "one", "two")
    assert [clip.label for clip in (*table.train, *table.test)] == [0, 2, 1]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"train": "a.mp4 0\nb.mp4 1", "test": "c.mp4 1\nd.mp4 7"},
            r"test\.txt:2: .*'7'\. Known: 0, 1; .*--classes",
        ),
        (
            {"train": "a.mp4 0\nb.mp4 1\nc.mp4 walk\nd.mp4 1", "test": "e.mp4 1"},
            r"train\.txt:3: the label 'walk' is a name, but 3 lines have a number; .* --classes",
        ),
        (
            {"train": "a.mp4 walk\nb.mp4 run\nc.mp4 12", "test": "e.mp4 run"},
            r"train\.txt:3: the label '12' is a number, but 2 lines have a name",
        ),
        ({"train": "a.mp4 tuck", "test": "c.mp4 tukc"}, r"test\.txt:1: .*'tukc'\. Did you mean 'tuck'"),
        ({"train": "a.mp4 0", "test": "c.mp4 -1"}, r"test\.txt:1: .*'-1'"),
        ({"train": "a.mp4 0\nb.mp4 -2", "test": "c.mp4 0"}, r"train\.txt:2: the label -2 is negative"),
        ({"train": "a.mp4 0\nb.mp4 3", "test": "c.mp4 0", "classes": "x\ny\nz"}, r"train\.txt:2: .* 0 to 2"),
        (
            {"train": "a.mp4 0", "test": "c.mp4 0", "classes": "x\ny\nx"},
            r"classes\.txt:3: class 'x' .* line 1; remove one",
        ),
    ],
)
def test_wrong_labels_name_file_and_line(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(tmp_path, **lists).table()


def test_absolute_paths_below_the_root_have_relative_keys(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    table = made(tmp_path, f"{root}/a.mp4 0", "c.mp4 0").table()
    assert table.train[0].key == "a.mp4"
    assert table.train[0].path == root / "a.mp4"


def test_absolute_paths_through_a_link_are_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "videos")
    table = made(tmp_path, f"{tmp_path}/link/a.mp4 0", "c.mp4 0").table()
    assert table.train[0].key == "a.mp4"


@pytest.mark.parametrize("file", ["../a.mp4", "x/../../a.mp4", "/elsewhere/a.mp4", "{root}/../a.mp4", "x/.."])
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, file: str) -> None:
    written = file.format(root=tmp_path / "videos")
    with pytest.raises(UserError, match=r"test\.txt:2: .* is not in the folder .*videos.*--root"):
        made(tmp_path, "a.mp4 0", f"c.mp4 0\n{written} 0").table()


def test_lists_of_another_machine_are_found_by_the_rest_of_their_paths_or_by_name(tmp_path: Path) -> None:
    for name in ("sit/a.mp4", "deep/c.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True)
        path.touch()
    table = made(tmp_path, "/root/video/sit/a.mp4 0\n/root/video/run/b.mp4 1", "/root/video/c.mp4 0").table()
    assert [clip.key for clip in table.clips()] == ["sit/a.mp4", "run/b.mp4", "c.mp4"]
    root = tmp_path / "videos"
    assert [clip.path for clip in table.clips()] == [
        root / "sit/a.mp4",
        root / "run/b.mp4",
        root / "deep/c.mp4",
    ]
    with pytest.raises(UserError, match=r"train\.txt:2: '/r/\./a\.mp4' is already in line 1"):
        made(tmp_path, "/r/a.mp4 0\n/r/./a.mp4 0", "/r/c.mp4 0").table()


def test_clips_cut_from_one_video_are_one_source(tmp_path: Path) -> None:
    names = [f"A0xAXXysHUo_E_002184_002237_A_000{i}_000{i + 1}.mp4" for i in (1, 2)]
    table = made(tmp_path, f"{names[0]} 0\nmine.mp4 0", f"{names[1]} 0").table()
    assert table.train[0].group == table.test[0].group == "A0xAXXysHUo"
    assert table.train[1].group == "mine.mp4"


def test_two_spellings_are_one_clip(tmp_path: Path) -> None:
    assert made(tmp_path, "x/../a.mp4 0", "./c.mp4 0").table().train[0].key == "a.mp4"
    with pytest.raises(UserError, match=r"train\.txt:2: '\./a\.mp4' is already in line 1"):
        made(tmp_path, "a.mp4 0\n./a.mp4 0", "c.mp4 0").table()


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"test": "c.mp4 0\n./a.mp4 0"},
            r"test\.txt:2: 'a\.mp4' is in the test list .* training .*train\.txt:1",
        ),
        ({"unlabeled": "u.mp4", "test": "u.mp4 0"}, r"test\.txt:1: .* test list .* unlabeled list"),
        ({"validation": "a.mp4 0"}, r"validation\.txt:1: .* validation list .* training list"),
        ({"validation": "u.mp4 0", "unlabeled": "u.mp4"}, r"validation\.txt:1: .* unlabeled list"),
    ],
)
def test_clips_that_are_scored_and_trained_on_are_refused(
    tmp_path: Path, lists: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        made(tmp_path, **{"train": "a.mp4 0", "test": "c.mp4 0", **lists}).table()


def test_a_labeled_clip_may_also_be_unlabeled(tmp_path: Path) -> None:
    table = made(tmp_path, "a.mp4 0", "c.mp4 0", unlabeled="a.mp4\nb.mp4").table()
    assert [clip.key for clip in table.unlabeled or ()] == ["a.mp4", "b.mp4"]


def test_a_missing_root_is_refused_and_a_few_missing_files_are_not(
    tmp_path: Path, clip: Callable[..., ClipRef]
) -> None:
    dataset = made(tmp_path, "a.mp4 0\nb.mp4 0", "c.mp4 0")
    assert not dataset.present()
    with pytest.raises(UserError, match="--root"):
        dataset.prepare()
    clip("a.mp4")
    with pytest.raises(UserError, match=r"2 of 3 clips .*'b\.mp4'.*--root"):
        dataset.prepare()
    clip("b.mp4")
    dataset.prepare()
    assert dataset.present()


def test_a_list_with_frame_counts_names_the_command_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "videos/yawning/-0HKFF7F_BY_000003_000013").mkdir(parents=True)
    dataset = made(tmp_path, "yawning/-0HKFF7F_BY_000003_000013 74 0", "yawning/c 70 0")
    with pytest.raises(UserError, match=r"lists with frame counts are read with --format lists: .*data add"):
        dataset.prepare()


def test_boxes_of_persons_come_with_the_lists(tmp_path: Path) -> None:
    boxes = '{"clip": "a.mp4", "boxes": [[0.1, 0.1, 0.5, 0.9]]}\n'
    data = made(tmp_path, "a.mp4 0\nb.mp4 1", "c.mp4 0", boxes=boxes)
    assert list(data.table().boxes) == ["a.mp4"]
    assert f"--boxes {tmp_path / 'boxes.txt'}" in data.how_to_add()
    (tmp_path / "videos").mkdir()
    assert data.present()
    (tmp_path / "boxes.txt").unlink()
    assert not data.present()
    assert not made(tmp_path, "a.mp4 0\nb.mp4 1", "c.mp4 0").table().boxes
