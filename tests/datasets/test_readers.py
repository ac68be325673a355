"""The readers of public data sets, on annotation files of the same shape that the tests write."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets import finegym
from datasets.annotated import AnnotatedSet, Place, read_json
from datasets.audit import audit_table
from datasets.diving48 import Diving48
from datasets.errors import UserError
from datasets.finediving import FineDiving
from datasets.finegym import FineGym, clip_times
from datasets.hmdb51 import HMDB51
from datasets.kinetics import Kinetics
from datasets.safe_pickle import load_plain
from datasets.ssv2 import SomethingSomething
from datasets.types import ClipRef, ClipTable
from datasets.ucf101 import UCF101


def opened(
    folder: Path, reader: type[AnnotatedSet], form: str, files: Mapping[str, str | bytes]
) -> AnnotatedSet:
    """A data set whose annotation folder holds these files; its videos are in `videos`."""
    notes, videos = folder / "notes", folder / "videos"
    notes.mkdir(exist_ok=True)
    videos.mkdir(exist_ok=True)
    for name, content in files.items():
        (notes / name).parent.mkdir(parents=True, exist_ok=True)
        (notes / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return reader(Place(form, form, videos, notes))


def shown(clips: tuple[ClipRef, ...], table: ClipTable) -> dict[str, str]:
    return {clip.key: table.classes[clip.label] for clip in clips}


VIDEO = "A0x_XXysHUo"  # a YouTube id may hold "_"
GYM = {
    "gym99_categories.txt": (
        "Clabel:   0; set:  1; Glabel:   1; (VT) salto\n"
        "Clabel:   1; set: 21; Glabel:  19; (FX) split leap; with turn\n"
        "Clabel:   2; set: 22; Glabel:  20; (FX) turn\n"
        "Clabel:   3; set: 41; Glabel:  21; (UB) circle"
    ),
    "gym99_train_element_v1.0.txt": f"{VIDEO}_E_000001_000009_A_0000_0002 0\n",
    "gym99_train_element_v1.1.txt": (
        f"{VIDEO}_E_000001_000009_A_0000_0002 0\n"
        "--wG6Rcak_-_E_000010_000019_A_0001_0002 1\n"
        "--wG6Rcak_-_E_000010_000019_A_0003_0004 3\n"
        "--wG6Rcak_-_E_000010_000019_A_0005_0006 2"
    ),
    "gym99_val_element.txt": (
        f"{VIDEO}_E_000020_000029_A_0000_0002 3\n{VIDEO}_E_000020_000029_A_0003_0004 1\n"
        f"{VIDEO}_E_000020_000029_A_0005_0006 2\n"
    ),
}


def test_gym_reads_versions_and_sources(tmp_path: Path) -> None:
    table = opened(tmp_path, FineGym, "gym99", GYM).table()
    assert len(table.train) == 4 and len(table.test) == 3
    assert table.train[0].group == VIDEO
    assert table.train[1].group == "--wG6Rcak_-"
    assert table.classes[1] == "(FX) split leap; with turn"
    assert table.test[0].group == VIDEO and table.test[0].label == 3
    older = opened(tmp_path, FineGym, "gym99_v1.0", GYM).table()
    assert len(older.train) == 1 and older.test == tuple(older.test)


@pytest.mark.parametrize(
    ("form", "train", "classes"),
    [("gym99_fx", [0, 1], 2), ("gym99_fx_s1", [0], 1), ("gym99_ub", [0], 1), ("gym99_ub_s1", [0], 1)],
)
def test_gym_events_and_sets_count_their_classes_from_zero(
    tmp_path: Path, form: str, train: list[int], classes: int
) -> None:
    table = opened(tmp_path, FineGym, form, GYM).table()
    assert sorted(clip.label for clip in table.train) == train
    assert len(table.classes) == classes
    assert all(clip.label < classes for clip in table.test)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            f"{VIDEO}_E_000001_000009_A_0000_0002 99",
            r"train_element_v1\.1\.txt:1: the label 99 is out of range",
        ),
        (f"{VIDEO}_E_000001_000009_A_0000_0002", r"v1\.1\.txt:1: expected '<video>_E_"),
        (f"{VIDEO}_E_000001_000009_A_0000_0002 one", r"'one' is no label"),
        (f"{VIDEO}_E_000001_000009_A_0000_0002 0\n" * 2, r"v1\.1\.txt:2: .* already in .*v1\.1\.txt:1"),
        ("", "is empty"),
    ],
)
def test_gym_mistakes_are_named_with_their_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        opened(tmp_path, FineGym, "gym99", {**GYM, "gym99_train_element_v1.1.txt": line}).table()


def test_a_missing_annotation_file_is_named_with_its_origin(tmp_path: Path) -> None:
    files = {name: text for name, text in GYM.items() if "val" not in name}
    with pytest.raises(UserError, match=r"gym99_val_element\.txt.*FineGym project page"):
        opened(tmp_path, FineGym, "gym99", files).table()


MMACTION = {
    **{name: text for name, text in GYM.items() if "train" not in name},
    "gym99_train_org.txt": GYM["gym99_train_element_v1.1.txt"],
}


def test_gym_takes_lists_of_mmaction2_only_as_the_version_that_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(finegym.TRAINING_CLIPS, "99", {"1.0": 4, "1.1": 6})
    assert len(opened(tmp_path, FineGym, "gym99_v1.0", MMACTION).table().train) == 4
    for form, wanted in (("gym99", "gym99_v1.0"), ("gym99_v1.1_ub_s1", "gym99_v1.0_ub_s1")):
        with pytest.raises(UserError, match=rf"train_org\.txt: has 4 lines.* 1\.0, not 1\.1.*{wanted}, "):
            opened(tmp_path, FineGym, form, MMACTION).table()
    monkeypatch.setitem(finegym.TRAINING_CLIPS, "99", {"1.0": 3, "1.1": 4})
    assert len(opened(tmp_path, FineGym, "gym99", MMACTION).table().train) == 4
    with pytest.raises(UserError, match=r"seems to be .* 1\.1, not 1\.0; .* --format gym99_v1\.1, "):
        opened(tmp_path, FineGym, "gym99_v1.0", MMACTION).table()


def test_gym_takes_no_part_of_a_list_as_the_list(tmp_path: Path) -> None:
    for form in ("gym99", "gym99_v1.0"):
        with pytest.raises(UserError, match=r"has 4 lines, which fits no version .*20,484 of 1\.0"):
            opened(tmp_path, FineGym, form, MMACTION).table()


def test_gym_times_are_relative_to_the_event_and_span_all_stages() -> None:
    info = {
        VIDEO: {
            "E_002407_002435": {
                "event": 1,
                "timestamps": [[2407.32, 2435.28]],
                "segments": {
                    "A_0000_0006": {"stages": 3, "timestamps": [[0.5, 1.0], [1.0, 2.0], [2.0, 3.25]]}
                },
            },
            "E_002500_002510": {"event": 1, "timestamps": [[2500.0, 2510.0]], "segments": None},
        }
    }
    times = clip_times(info, f"{VIDEO}_E_002407_002435_A_0000_0006", Path("x.json"))
    assert times == pytest.approx((2407.82, 2410.57))
    assert clip_times(info, f"{VIDEO}_E_002500_002510_A_0000_0001", Path("x.json")) is None
    with pytest.raises(UserError, match=r"x\.json: the times"):
        broken = {
            VIDEO: {"E_002407_002435": {"timestamps": [], "segments": {"A_0000_0006": {"timestamps": []}}}}
        }
        clip_times(broken, f"{VIDEO}_E_002407_002435_A_0000_0006", Path("x.json"))


DIVES = [("01", 1), ("Cup_Men10m_r1", 2), ("Cup_Men10m_r1", 3), ("Cup_Men3m_r1", 4)]
TYPES = ["407c", "5253b", "5253b", "407c"]


def diving_files() -> dict[str, bytes]:
    coarse = {
        dive: {"action_type": kind, "start_frame": 100, "end_frame": 105, "dive_score": 81.2}
        for dive, kind in zip(DIVES, TYPES, strict=True)
    }
    fine = {
        dive: {
            "action_type": kind,
            "steps_transit_frames": np.array([2, 4]),
            "frames_labels": np.array([2, 2, 31, 31, 36, 36]),
            "sub-action_types": {np.int64(2): "Back", np.int64(31): "1.5 Twists", np.int64(36): "Entry"},
        }
        for dive, kind in zip(DIVES, TYPES, strict=True)
    }
    contents = {
        "FineDiving_coarse_annotation.pkl": coarse,
        "FineDiving_fine-grained_annotation.pkl": fine,
        "train_split.pkl": DIVES[:2] + DIVES[3:],
        "test_split.pkl": DIVES[2:3],
    }
    return {name: pickle.dumps(content, protocol=3) for name, content in contents.items()}


def test_dives_by_type(tmp_path: Path) -> None:
    table = opened(tmp_path, FineDiving, "finediving", diving_files()).table()
    assert table.classes == ("407c", "5253b")
    assert shown(table.test, table) == {"Cup_Men10m_r1/3.mp4": "5253b"}
    assert [clip.group for clip in table.train] == ["01", "Cup_Men10m_r1", "Cup_Men3m_r1"]


def test_dives_from_10m_leave_out_competitions_that_tell_no_height(tmp_path: Path) -> None:
    table = opened(tmp_path, FineDiving, "finediving_10m", diving_files()).table()
    assert [clip.key for clip in table.train] == ["Cup_Men10m_r1/2.mp4"]


def test_steps_of_5253b_are_the_clips_of_its_set(tmp_path: Path) -> None:
    dataset = opened(tmp_path, FineDiving, "finediving_5253b", diving_files())
    table = dataset.table()
    assert shown(table.train, table) == {
        "Cup_Men10m_r1/2_step0.mp4": "Back",
        "Cup_Men10m_r1/2_step1.mp4": "1.5 Twists",
        "Cup_Men10m_r1/2_step2.mp4": "Entry",
    }
    assert len(table.test) == 3


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (
            "fine-grained",
            {"frames_labels": None},
            r"'frames_labels' of dive .*10m_r1', 2\) is not understood",
        ),
        (
            "fine-grained",
            {"frames_labels": ...},
            r"dive \('Cup_Men10m_r1', 2\) has no 'frames_labels'; fetch",
        ),
        ("fine-grained", {"sub-action_types": ...}, r".* has no 'sub-action_types'; fetch"),
        (
            "fine-grained",
            {"sub-action_types": ["Back"]},
            r"'sub-action_types' of dive .* not understood; fetch",
        ),
        (
            "fine-grained",
            {"sub-action_types": {"x": "Back"}},
            r"'sub-action_types' of dive .* not understood",
        ),
        ("coarse", {"start_frame": ...}, r"dive \('Cup_Men10m_r1', 2\) has no 'start_frame'; fetch"),
        ("coarse", {"start_frame": "early"}, r"'start_frame' of dive .* not understood"),
    ],
)
def test_damaged_dives_are_named_with_file_and_field(
    tmp_path: Path, kind: str, change: dict[str, Any], said: str
) -> None:
    files, name = diving_files(), f"FineDiving_{kind}_annotation.pkl"
    content = pickle.loads(files[name])
    content[DIVES[1]] = {k: v for k, v in {**content[DIVES[1]], **change}.items() if v is not ...}
    with pytest.raises(UserError, match=rf"{kind}_annotation\.pkl: {said}"):
        opened(tmp_path, FineDiving, "finediving_5253b", {**files, name: pickle.dumps(content)}).table()


@pytest.mark.parametrize("index", ["one", 1.5, None, -1])
def test_an_index_of_a_dive_that_is_no_number_is_named(tmp_path: Path, index: object) -> None:
    files = {**diving_files(), "test_split.pkl": pickle.dumps([DIVES[2], ("01", index)])}
    with pytest.raises(UserError, match=r"test_split\.pkl: entry 2: the index .* is no number; fetch"):
        opened(tmp_path, FineDiving, "finediving", files).table()


def test_json_that_is_nested_too_deeply_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"x\.json is nested too deeply; fetch"):
        read_json(tmp_path / "x.json")


class Harmful:
    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def test_a_pickle_that_names_code_is_refused_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {**diving_files(), "train_split.pkl": pickle.dumps([Harmful()])}
    with pytest.raises(
        UserError, match=r"train_split\.pkl is no annotation pickle.*system.*nothing of it was run"
    ):
        opened(tmp_path, FineDiving, "finediving", files).table()
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2])[:-3]])
def test_a_damaged_pickle_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.pkl is no annotation pickle"):
        load_plain(tmp_path / "x.pkl")


UCF = {
    "classInd.txt": "1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n",
    "trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
    "HandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n",
    "testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\n"
    "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n",
}


def test_ucf_counts_from_one_and_tests_by_folder(tmp_path: Path) -> None:
    (tmp_path / "videos/HandStandPushups").mkdir(parents=True)
    (tmp_path / "videos/HandStandPushups/v_HandStandPushups_g01_c01.avi").touch()
    table = opened(tmp_path, UCF101, "ucf101", UCF).table()
    assert [clip.label for clip in table.train] == [0, 1]
    assert table.test[1].label == 1
    assert table.test[1].key == "HandstandPushups/v_HandStandPushups_g01_c01.avi"
    assert table.test[1].path.is_file(), "the folder on the disk is spelled otherwise"
    assert table.train[0].group == "v_ApplyEyeMakeup_g08"


def test_ucf_copies_with_labels_in_the_test_list_and_other_case_are_the_same_set(tmp_path: Path) -> None:
    copy = (
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\nHandStandPushups/v_HandStandPushups_g01_c01.avi 2 2\n"
    )
    first = opened(tmp_path, UCF101, "ucf101", UCF).table()
    second = opened(tmp_path, UCF101, "ucf101_split1", {**UCF, "testlist01.txt": copy}).table()
    assert [(clip.key, clip.label) for clip in first.test] == [(clip.key, clip.label) for clip in second.test]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 2",
            r":1: label 2 is HandstandPushups, but .* ApplyEyeMakeup",
        ),
        (
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 0",
            r":1: the label 0 is out of range; expected 1 to 2",
        ),
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", r":1: expected 'Folder/file.avi label'"),
        (
            "Nowhere/v_ApplyEyeMakeup_g08_c01.avi 1",
            r":1: .* is in no folder of a class .*; take the lists as",
        ),
    ],
)
def test_ucf_mistakes_are_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(UserError, match=r"trainlist01\.txt" + said):
        opened(tmp_path, UCF101, "ucf101", {**UCF, "trainlist01.txt": row}).table()


HMDB = {
    "climb_test_split1.txt": "a!_(x);_climb_f_cm_np1_fr_med_0.avi 1 \nb_climb_f_cm_np10_fr_med_0.avi 2 \n",
    "climb_stairs_test_split1.txt": "c_climb_stairs_f_cm_np1_fr_med_0.avi 1 \n"
    "d_climb_stairs_f_cm_np1_fr_med_0.avi 0 \nb_climb_stairs_f_nm_np1_ba_bad_3.avi 2 \n",
    "climb_test_split2.txt": "b_climb_f_cm_np10_fr_med_0.avi 1 \na!_(x);_climb_f_cm_np1_fr_med_0.avi 2 \n",
}


def test_hmdb_flags_classes_and_odd_names(tmp_path: Path) -> None:
    table = opened(tmp_path, HMDB51, "hmdb51", HMDB).table()
    assert table.classes == ("climb", "climb_stairs")
    assert shown(table.train, table) == {
        "climb/a!_(x);_climb_f_cm_np1_fr_med_0.avi": "climb",
        "climb_stairs/c_climb_stairs_f_cm_np1_fr_med_0.avi": "climb_stairs",
    }
    assert [clip.group for clip in table.train] == ["a!_(x);", "c"]
    other = opened(tmp_path, HMDB51, "hmdb51_split2", HMDB).table()
    assert [clip.key for clip in other.train] == ["climb/b_climb_f_cm_np10_fr_med_0.avi"]


def test_a_film_of_several_classes_is_one_source_of_hmdb(tmp_path: Path) -> None:
    files = {
        "climb_test_split1.txt": "b_climb_f_cm_np1_fr_med_0.avi 1 \n",
        "climb_stairs_test_split1.txt": "b_climb_stairs_f_nm_np1_ba_bad_3.avi 2 \n"
        "c_climb_stairs_f_nm_np1_ba_bad_3.avi 2 \n",
    }
    table = opened(tmp_path, HMDB51, "hmdb51", files).table()
    assert [clip.group for clip in table.test] == ["b", "c"]
    (shared,) = [each for each in audit_table(table) if each.check == "shared sources"]
    assert shared.sentence.startswith("1 of 2 test clips come from a source video of training clips")


def test_a_flag_that_hmdb_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"climb_test_split1\.txt:1: expected '<file> <flag>'"):
        opened(tmp_path, HMDB51, "hmdb51", {**HMDB, "climb_test_split1.txt": "a.avi 3 \n"}).table()


def test_kinetics_tables_with_and_without_quotes_and_extra_columns(tmp_path: Path) -> None:
    files = {
        "kinetics_train.csv": "label,youtube_id,time_start,time_end,split,is_cc\n"
        'yawning,-08KE5FkRUU,1,11,train,0\n"air drumming",_axE99QAhe8,26,36,train,0\n',
        "kinetics_val.csv": "label,youtube_id,time_start,time_end,split\nyawning,--07WQ2iBlw,1,11,validate\n",
    }
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/_axE99QAhe8_000026_000036.mp4").touch()
    table = opened(tmp_path, Kinetics, "kinetics400", files).table()
    assert table.classes == ("air drumming", "yawning")
    assert shown(table.train, table) == {
        "yawning/-08KE5FkRUU_000001_000011.mp4": "yawning",
        "air_drumming/_axE99QAhe8_000026_000036.mp4": "air drumming",
    }
    assert table.train[1].path.is_file(), "clips may lie in one folder"
    assert table.train[1].group == "_axE99QAhe8"


def test_kinetics_mistakes_are_named(tmp_path: Path) -> None:
    good = "label,youtube_id,time_start,time_end,split\nyawning,-08KE5FkRUU,1,11,train\n"
    for bad, said in (
        ("label,youtube_id,time_start\nyawning,x,1\n", r":1: the column 'time_end' is missing.*; fetch"),
        (good + "yawning,-08KE5FkRUU,1\n", r":3: expected 5 columns, found 3.*; mend"),
        (good + "yawning,-08KE5FkRUU,one,11,train\n", r":3: the times 'one,11' .*; mend"),
    ):
        with pytest.raises(UserError, match=said):
            files = {"kinetics_train.csv": bad, "kinetics_val.csv": good}
            opened(tmp_path, Kinetics, "kinetics400", files).table()


def test_ssv2_templates_lose_their_brackets_and_are_not_mirrored(tmp_path: Path) -> None:
    clip = {"id": "78687", "label": "holding potato", "template": "Holding [something] next to [something]"}
    files = {
        "labels/labels.json": json.dumps(
            {"Holding something next to something": "1", "Approaching something": "0"}
        ),
        "labels/train.json": json.dumps([clip]),
        "labels/validation.json": json.dumps([{**clip, "id": "1", "template": "Approaching [something]"}]),
    }
    table = opened(tmp_path, SomethingSomething, "ssv2", files).table()
    assert shown(table.train, table) == {"78687.webm": "Holding something next to something"}
    assert not table.mirror
    files["labels/train.json"] = json.dumps([{**clip, "template": "Holding [something] next [something]"}])
    with pytest.raises(
        UserError, match=r"train\.json: entry 1: .*notes/labels/labels\.json .*Did you mean 'Holding.*; take"
    ):
        opened(tmp_path, SomethingSomething, "ssv2", files).table()
    files["labels/labels.json"] = json.dumps({"Holding something next to something": "7"})
    with pytest.raises(UserError, match=r"notes/labels/labels\.json: the label 7 is out of range"):
        opened(tmp_path, SomethingSomething, "ssv2", files).table()


def test_diving48_names_types_by_their_words(tmp_path: Path) -> None:
    rows = [{"vid_name": "_8Vy3dlHg2w_00000", "label": 1}]
    files = {
        "Diving48_V2_train.json": json.dumps(rows),
        "Diving48_V2_test.json": json.dumps([{"vid_name": "_8Vy3dlHg2w_00001", "label": 0}]),
        "Diving48_vocab.json": json.dumps(
            [["Back", "15som", "05Twis", "FREE"], ["Back", "15som", "15Twis", "FREE"]]
        ),
    }
    table = opened(tmp_path, Diving48, "diving48", files).table()
    assert shown(table.train, table) == {"_8Vy3dlHg2w_00000.mp4": "Back 15som 15Twis FREE"}
    assert table.train[0].group == "_8Vy3dlHg2w"
    files["Diving48_V2_test.json"] = json.dumps([{"vid_name": "x_00001", "label": 48}])
    with pytest.raises(UserError, match=r"test\.json: entry 1: the label 48 is out of range"):
        opened(tmp_path, Diving48, "diving48", files).table()


def test_missing_videos_are_refused_only_when_most_are_gone(tmp_path: Path) -> None:
    dataset = opened(tmp_path, UCF101, "ucf101", UCF)
    with pytest.raises(UserError, match=r"4 of 4 clips .*--videos"):
        dataset.prepare()
    for file in (
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
    ):
        path = tmp_path / "videos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    opened(tmp_path, UCF101, "ucf101", UCF).prepare()
    assert "--videos" in dataset.how_to_add() and "--annotations" in dataset.how_to_add()
