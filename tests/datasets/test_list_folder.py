"""Lists of clips in the forms of other programs, folders of them, and their pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import pinned, places
from datasets.annotated import Place
from datasets.errors import UserError
from datasets.list_folder import ListFolder, role_of
from datasets.list_lines import read_clip_list
from datasets.source_names import source_of


def rows(folder: Path, text: str) -> list[tuple[str, str | None, int | None, int | None]]:
    path = folder / "list.txt"
    path.write_bytes(text.encode())
    return [(row.file, row.label, row.offset, row.frames) for row in read_clip_list(path).rows]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("/root/video/a b.mp4 3\n/root/video/c.mp4 4\n", ("/root/video/a b.mp4", "3", None, None)),
        ("/root/video/a.mp4,3\r\n/root/video/c.mp4,4", ("/root/video/a.mp4", "3", None, None)),
        ("a.mp4\t3\nc.mp4\t4\n", ("a.mp4", "3", None, None)),
        ("x, y.mp4 3\nc.mp4 4\n", ("x, y.mp4", "3", None, None)),
        ("a!_(x);&.avi 1 \nc.avi 2 \n", ("a!_(x);&.avi", "1", None, None)),
        ("C:\\clips\\a.mp4 jump\n", ("C:/clips/a.mp4", "jump", None, None)),
        ("golf/--sGO9m2Was_000000_000010 300 0\n", ("golf/--sGO9m2Was_000000_000010", "0", None, 300)),
        ("imgs 2 5 127\nothers 2 5 126\n", ("imgs@2", "127", 2, 5)),
        ("x.mp4 frames/a 30 1\n", ("x.mp4 frames/a", "1", None, 30)),
        ("imgs 0 5 127\nothers 2 5 126\n", ("imgs", "127", 0, 5)),
        ("#2_Gum_chew_0.avi 2 \nc.avi 2 \n", ("#2_Gum_chew_0.avi", "2", None, None)),
        ("#old list\n# a.mp4 0\n#b c.MP4,1\nc.avi,2\n", ("#b c.MP4", "1", None, None)),
        ("a.mp4\nb.mp4\n", ("a.mp4", None, None, None)),
        ("a b.mp4\nc.mp4\n", ("a b.mp4", None, None, None)),
        ("path,label\na.mp4,3\n", ("a.mp4", "3", None, None)),
        ("\ufeff# made by hand\na.mp4 3\n\n", ("a.mp4", "3", None, None)),
    ],
)
def test_every_form_of_a_list_is_read(
    tmp_path: Path, text: str, first: tuple[str, str | None, int | None, int | None]
) -> None:
    assert rows(tmp_path, text)[0] == first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a.mp4 0\nb.mp4 0 3\n",
            r"list\.txt:2: expected 'path label' as in line 1, found 3 columns.*one label",
        ),
        ("a.mp4 0\nb.mp4\n", r"list\.txt:2: expected 'path label'"),
        ("a.mp4 0\nb.mp4 1\na.mp4 0\n", r"list\.txt:3: 'a\.mp4' is already in line 1"),
        ("a.mp4 0 2\nb.mp4 1 2\n", r"list\.txt:1: .*'a\.mp4 0 2' has more than one label.* not supported"),
        ("fi001.mp4 0 2 4\n", r"list\.txt:1: .*'fi001\.mp4 0 2 4' has more than one label"),
        ("a.mp4,0,2\n", r"list\.txt:1: .*more than one label"),
        ("a.mp4 walk\nb c.mp4 walk run\n", r"list\.txt:2: .*more than one label"),
        ("a 2 5 0\na 3 5 0\na 2 6 1\n", r"list\.txt:3: 'a@2' is already in line 1"),
        ("a 1 2 3 4 5\n", r"list\.txt:1: .* found 6 columns"),
        ("a,x,3\n", r"list\.txt:1: 'x' is no frame count"),
        ("\n\n", "is empty"),
        ("# nothing\n", "has no clips"),
    ],
)
def test_mistakes_in_a_list_are_named_with_their_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        rows(tmp_path, text)


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=r"x\.csv is no UTF-8 text"):
        read_clip_list(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("stem", "role"),
    [
        ("train", "train"),
        ("unlabel", "unlabeled"),
        ("unlabe", "unlabeled"),
        ("unlabeled_train", "unlabeled"),
        ("val", "validation"),
        ("kinetics400_val_list_videos", "validation"),
        ("video_test_list", "test"),
        ("total", None),
        ("training_notes", None),
    ],
)
def test_roles_by_the_names_of_lists(stem: str, role: str | None) -> None:
    assert role_of(stem) == role


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("A0x_XXysHUo_E_002184_002237_A_0035_0036.mp4", "A0x_XXysHUo"),
        ("Archery/v_Archery_g18_c07.avi", "v_Archery_g18"),
        ("run/metacafe_coolsoccer_run_f_cm_np10_le_bad_2.avi", "metacafe_coolsoccer_run"),
        ("golf/--sGO9m2Was_000000_000010.mp4", "--sGO9m2Was"),
        ("_8Vy3dlHg2w_00000.mp4", "_8Vy3dlHg2w"),
        ("anything/else.mp4", "anything/else.mp4"),
    ],
)
def test_the_source_video_is_read_off_the_name(key: str, source: str) -> None:
    assert source_of(key) == source


LISTS = {
    "train.csv": "/root/UCF/a/x1.avi,0\r\n/root/UCF/b/x2.avi,2\r\n",
    "unlabe.csv": "/root/UCF/a/x3.avi,0\r\n/root/UCF/b/x4.avi,2\r\n",
    "val.csv": "/root/UCF/a/x5.avi 0\r\n/root/UCF/b/x6.avi 2",
    "test.csv": "/root/UCF/a/x5.avi 0\r\n/root/UCF/b/x6.avi 2\r\n",
}


def published(folder: Path, change: dict[str, str] | None = None) -> Path:
    (folder / "lists").mkdir()
    for name, text in {**LISTS, **(change or {})}.items():
        (folder / "lists" / name).write_bytes(text.encode())
    for place, name in enumerate(("a/x1", "a/x3", "a/x5", "b/x2", "b/x4")):
        path = folder / "videos" / (f"{name}.avi" if place % 2 else f"deep/{name.rpartition('/')[2]}.avi")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder / "lists"


def test_published_lists_as_a_data_set(tmp_path: Path) -> None:
    table = ListFolder(Place("ucf", "lists", tmp_path / "videos", published(tmp_path))).table()
    assert [clip.key for clip in table.train] == ["a/x1.avi", "b/x2.avi"]
    assert table.unlabeled is not None and [clip.label for clip in table.unlabeled] == [0, 2]
    assert table.validation == (), "the val list is the test list"
    assert table.classes == ("0", "1", "2"), "a class without clips keeps its number"
    found = [clip.path.is_file() for clip in (*table.train, *table.unlabeled, *table.test)]
    assert found == [True, True, True, True, True, False], "by path below the root, else by name"


def test_several_clips_of_one_folder_of_frames(home: Path, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    from datasets import video_io

    (tmp_path / "videos/imgs").mkdir(parents=True)
    for number in range(1, 9):  # img_00001.jpg is the first, as mmaction2 has it
        picture = np.full((48, 64, 3), 20 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"videos/imgs/img_{number:05d}.jpg"), picture)
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text("imgs 0 3 0\nimgs 1 3 1\n")
    (lists / "test.txt").write_text("imgs 4 2 1\n")
    dataset = ListFolder(Place("mine", "lists", tmp_path / "videos", lists))
    dataset.prepare()
    table = dataset.table()
    assert [clip.key for clip in table.clips()] == ["imgs", "imgs@1", "imgs@4"]
    assert {clip.group for clip in table.clips()} == {"imgs"}, "they are of one source"
    shown = [[round(float(f.mean())) for f in video_io.decode(clip.path).frames] for clip in table.clips()]
    wanted = [[20, 40, 60], [40, 60, 80], [100, 120]]
    for frames, levels in zip(shown, wanted, strict=True):
        assert frames == pytest.approx(levels, abs=5)


def test_a_clip_that_is_trained_on_and_scored_needs_consent(tmp_path: Path) -> None:
    lists = published(tmp_path, {"train.csv": "/root/UCF/a/x5.avi,0\n/root/UCF/b/x2.avi,2\n"})
    place = Place("ucf", "lists", tmp_path / "videos", lists)
    with pytest.raises(UserError, match=r"1 clips .* first is 'a/x5\.avi'.*--accept-leak"):
        ListFolder(place).table()
    accepted = Place("ucf", "lists", tmp_path / "videos", lists, accept_leak=True)
    assert len(ListFolder(accepted).table().train) == 2
    assert ListFolder(accepted).how_to_add().endswith("--accept-leak")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test.csv": "/root/UCF/a/x5.avi -3\n"}, r"test\.csv:1: the label -3 is negative"),
        (
            {"test.csv": f"/root/UCF/a/x5.avi {10**11}\n"},
            rf"test\.csv:1: the label {10**11} is no class number",
        ),
        ({"train.csv": "/root/UCF/a/x1.avi\n"}, r"train\.csv:1: '/root/UCF/a/x1\.avi' has no label"),
        ({"train_list.csv": LISTS["train.csv"], "train.csv": ""}, "train.csv is empty"),
        ({"train.txt": LISTS["train.csv"]}, r"two train lists, 'train\.csv' and 'train\.txt'"),
    ],
)
def test_mistakes_of_published_lists(tmp_path: Path, change: dict[str, str], said: str) -> None:
    lists = published(tmp_path, change)
    with pytest.raises(UserError, match=said):
        ListFolder(Place("ucf", "lists", tmp_path / "videos", lists)).table()


def test_imported_lists_are_copied_byte_by_byte_and_pinned(home: Path, tmp_path: Path) -> None:
    lists = published(tmp_path)
    made = pinned.import_lists(lists, "ucf_1", tmp_path / "videos", mirror=True, accept_leak=False)
    assert made.table().mirror
    copies = made.place.annotations
    for name in LISTS:
        assert (copies / name).read_bytes() == (lists / name).read_bytes()
    assert places.entries()["ucf_1"] == made.place
    (lists / "train.csv").unlink()  # the copy is what counts
    assert ListFolder(made.place).table() == made.table()
    (copies / "train.csv").write_text("/root/UCF/a/x1.avi,1\n")
    with pytest.raises(UserError, match=r"train\.csv has changed since it was imported"):
        ListFolder(made.place).table()


def test_a_refused_import_leaves_nothing(home: Path, tmp_path: Path) -> None:
    lists = published(tmp_path, {"train.csv": "/root/UCF/a/x5.avi,0\n"})
    with pytest.raises(UserError, match="accept-leak"):
        pinned.import_lists(lists, "ucf_1", tmp_path / "videos", mirror=True, accept_leak=False)
    assert places.entries() == {}
    assert not (home / "splits/ucf_1").exists()


def test_a_taken_name_keeps_its_lists(home: Path, tmp_path: Path) -> None:
    lists = published(tmp_path)
    made = pinned.import_lists(lists, "ucf_1", tmp_path / "videos", mirror=False, accept_leak=False)
    with pytest.raises(UserError, match="already registered"):
        pinned.import_lists(lists, "ucf_1", tmp_path / "videos", mirror=False, accept_leak=False)
    assert (made.place.annotations / "train.csv").is_file()
    places.remove("ucf_1")
    assert places.entries() == {}


@pytest.mark.parametrize(
    "content", ["{", "[" * 100_000, "[]", '{"mine": 3}', '{"mine": {"format": "lists"}}']
)
def test_a_damaged_catalog_is_named(home: Path, content: str) -> None:
    home.mkdir()
    (home / "places.json").write_text(content)
    with pytest.raises(UserError, match=r"places\.json"):
        places.entries()
    assert (home / "places.json").read_text() == content
