"""Which file is meant: exact names first, then other spellings, and never one of two that are as good."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.annotated import AnnotatedSet, Place
from datasets.diving48 import Diving48
from datasets.errors import UserError
from datasets.finegym import FineGym
from datasets.hmdb51 import HMDB51
from datasets.kinetics import Kinetics
from datasets.list_folder import ListFolder
from datasets.ssv2 import SomethingSomething
from datasets.ucf101 import UCF101
from datasets.video_folder import Folder

GYM = "A0xAXXysHUo_E_000001_000009_A_0000_000"
KINETICS = "label,youtube_id,time_start,time_end\n"
READERS: dict[str, tuple[type[AnnotatedSet], tuple[str, str], dict[str, str]]] = {
    "gym99": (
        FineGym,
        (f"{GYM}1.mp4", f"{GYM}2.mp4"),
        {
            "gym99_categories.txt": "Clabel:   0; set:  1; Glabel:   1; (VT) salto\n",
            "gym99_train_element_v1.1.txt": f"{GYM}1 0\n",
            "gym99_val_element.txt": f"{GYM}2 0\n",
        },
    ),
    "diving48": (
        Diving48,
        ("_8Vy3dlHg2w_00000.mp4", "_8Vy3dlHg2w_00001.mp4"),
        {
            "Diving48_V2_train.json": json.dumps([{"vid_name": "_8Vy3dlHg2w_00000", "label": 0}]),
            "Diving48_V2_test.json": json.dumps([{"vid_name": "_8Vy3dlHg2w_00001", "label": 0}]),
        },
    ),
    "ssv2": (
        SomethingSomething,
        ("78687.webm", "1.webm"),
        {
            "labels.json": json.dumps({"Holding something": "0"}),
            "train.json": json.dumps([{"id": "78687", "template": "Holding [something]"}]),
            "validation.json": json.dumps([{"id": "1", "template": "Holding [something]"}]),
        },
    ),
    "kinetics400": (
        Kinetics,
        ("yawning/-08KE5FkRUU_000001_000011.mp4", "yawning/-08KE5FkRUu_000001_000011.mp4"),
        {
            "train.csv": f"{KINETICS}yawning,-08KE5FkRUU,1,11\n",
            "val.csv": f"{KINETICS}yawning,-08KE5FkRUu,1,11\n",
        },
    ),
    "ucf101": (
        UCF101,
        ("Archery/v_Archery_g08_c01.avi", "Archery/v_Archery_g01_c01.avi"),
        {
            "classInd.txt": "1 Archery\n",
            "trainlist01.txt": "Archery/v_Archery_g08_c01.avi 1\n",
            "testlist01.txt": "Archery/v_Archery_g01_c01.avi\n",
        },
    ),
    "hmdb51": (
        HMDB51,
        ("climb/a_climb_f_cm_np1_fr_med_0.avi", "climb/b_climb_f_cm_np1_fr_med_0.avi"),
        {
            "climb_test_split1.txt": "a_climb_f_cm_np1_fr_med_0.avi 1 \nb_climb_f_cm_np1_fr_med_0.avi 2 \n",
        },
    ),
    "lists": (
        ListFolder,
        ("Abc.mp4", "abC.mp4"),
        {"train.csv": "x/Abc.mp4 0\n", "test.csv": "x/abC.mp4 1\n"},
    ),
}
"""Reader, keys of a training and a test clip, annotations."""


@pytest.fixture(params=READERS)
def case(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Callable[[], AnnotatedSet], tuple[str, str], Path]:
    reader, keys, files = READERS[request.param]
    (tmp_path / "notes").mkdir()
    for name, text in files.items():
        (tmp_path / "notes" / name).write_text(text)
    place = Place(request.param, request.param, tmp_path / "videos", tmp_path / "notes")
    return (lambda: reader(place)), keys, tmp_path / "videos"


def lay(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


Case = tuple[Callable[[], AnnotatedSet], tuple[str, str], Path]


def test_every_reader_takes_the_exact_path_before_smaller_copies(case: Case) -> None:
    opened, keys, videos = case
    lay(*(videos / key for key in keys), *(videos / "0small" / key for key in keys))
    table = opened().table()
    assert [clip.path for clip in (*table.train, *table.test)] == [videos / key for key in keys]


def test_every_reader_refuses_two_that_are_as_good(case: Case) -> None:
    opened, keys, videos = case
    lay(*(videos / form / key for form in ("rgb", "flow") for key in keys))
    with pytest.raises(UserError, match=r"may be \S+/flow/\S+ or \S+/rgb/\S+; give the folder .* --videos"):
        opened().table()


def test_every_reader_finds_what_lies_deeper(case: Case) -> None:
    opened, keys, videos = case
    lay(*(videos / "rgb" / key for key in keys))
    table = opened().table()
    assert [clip.path for clip in (*table.train, *table.test)] == [videos / "rgb" / key for key in keys]


def test_a_file_of_another_clip_is_not_that_of_an_absent_one(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/train.csv").write_text("x/Abc.mp4 0\nx/one/1.mp4 0\n")
    (tmp_path / "notes/test.csv").write_text("x/abC.mp4 1\nx/two/1.mp4 1\n")
    lay(tmp_path / "videos/Abc.mp4", tmp_path / "videos/one/1.mp4")
    table = ListFolder(Place("mine", "lists", tmp_path / "videos", tmp_path / "notes")).table()
    assert [clip.path.is_file() for clip in (*table.train, *table.test)] == [True, True, False, False]


def test_other_spellings_and_depths(tmp_path: Path) -> None:
    lay(*(tmp_path / name for name in ("A/x.MP4", "b/y.mp4", "c/d/y.mp4", "e/z.mp4", "f/z.mp4", "u.webm")))
    lay(tmp_path / "u.avi", tmp_path / "g/V.mp4", tmp_path / "g/v.mp4")
    folder = Folder(tmp_path)
    assert folder.find("a/X.mp4") == tmp_path / "A/x.MP4"
    assert folder.find("q/y.mp4") == tmp_path / "b/y.mp4", "the nearer one"
    assert folder.find("q/z.mp4") == tmp_path / "q/z.mp4", "namesakes of other folders"
    assert folder.clip("u") == tmp_path / "u.avi" and folder.clip("none") == tmp_path / "none.mp4"
    assert folder.clip("V") == tmp_path / "g/V.mp4"
    assert folder.find("G/v.mp4") == tmp_path / "g/v.mp4"
    with pytest.raises(UserError, match=r"'g/v\.MP4' may be \S+/g/V\.mp4 or \S+/g/v\.mp4"):
        folder.find("g/v.MP4")
    with pytest.raises(UserError, match=r"e/z\.mp4 or \S+/f/z\.mp4"):
        folder.find("z.mp4")
