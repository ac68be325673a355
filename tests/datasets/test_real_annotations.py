"""The readers on real annotation files, where they are; the numbers are those of the official pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.annotated import AnnotatedSet, Place
from datasets.audit import audit_table
from datasets.audit_lists import audit_lists, compare_official, read_published
from datasets.errors import UserError
from datasets.finegym import FineGym
from datasets.hmdb51 import HMDB51
from datasets.kinetics import Kinetics
from datasets.list_lines import read_clip_list
from datasets.types import ClipTable
from datasets.ucf101 import UCF101

SHARED = Path(__file__).parents[2].parent / "shared"
FORMATS, SPLITS = SHARED / "formats", SHARED / "splits/sefar"
pytestmark = pytest.mark.skipif(not FORMATS.is_dir(), reason="the real annotation files are not here")


def table(reader: type[AnnotatedSet], form: str, below: str = "") -> ClipTable:
    return reader(Place(form, form, Path("nowhere"), FORMATS / below)).table()


@pytest.mark.parametrize(
    ("form", "classes", "train", "test"),
    [
        ("gym99", 99, 26_320, 8_521),
        ("gym99_v1.0", 99, 20_484, 8_521),
        ("gym288", 288, 29_334, 9_646),
        ("gym288_v1.0", 288, 22_671, 9_646),
        ("gym99_vt", 6, 1_080, 446),
        ("gym99_fx", 35, 5_408, 2_226),
        ("gym99_ub", 25, 9_594, 2_814),
        ("gym99_ub_s1", 15, 4_964, 1_471),
        ("gym99_fx_s1", 11, 1_892, 777),
        ("gym288_new", 40, 6_508, 1_998),
    ],
)
def test_finegym(form: str, classes: int, train: int, test: int) -> None:
    found = table(FineGym, form)
    assert (len(found.classes), len(found.train), len(found.test)) == (classes, train, test)


@pytest.mark.parametrize(
    "name", ["finegym/all99_5", "finegym/UB_10", "finegym/FX_S1_10", "finegym-new/list_finegym_new_5"]
)
def test_published_finegym_lists_keep_to_the_official_parts(name: str) -> None:
    forms = {"all99_5": "gym99", "UB_10": "gym99_ub", "FX_S1_10": "gym99_fx_s1"}
    form = forms.get(name.rpartition("/")[2], "gym288_new")
    assert compare_official(read_published(SPLITS / name), table(FineGym, form)) == []


def test_ucf101() -> None:
    sizes = [(len(t.train), len(t.test)) for t in (table(UCF101, f"ucf101_split{i}") for i in (1, 2, 3))]
    assert sizes == [(9_537, 3_783), (9_586, 3_734), (9_624, 3_696)]
    assert compare_official(read_published(SPLITS / "list_ucf_1"), table(UCF101, "ucf101")) == []


def test_hmdb51_and_the_clips_that_published_lists_add() -> None:
    official = table(HMDB51, "hmdb51", "hmdb51_splits")
    assert (len(official.classes), len(official.train), len(official.test)) == (51, 3_570, 1_530)
    found = {
        each.check: each.count for each in compare_official(read_published(SPLITS / "list_hmdb_40"), official)
    }
    assert found["not official"] == 1_666


def test_films_of_hmdb51_that_training_and_test_share() -> None:
    tables = [table(HMDB51, f"hmdb51_split{split}", "hmdb51_splits") for split in (1, 2, 3)]
    found = [each for clips in tables for each in audit_table(clips) if each.check == "shared sources"]
    assert [each.count for each in found] == [457, 527, 529]


def test_kinetics_subsets() -> None:
    assert len(table(Kinetics, "kinetics400", "kinetics400").classes) == 2


def test_mmaction2_lists() -> None:
    (first, second) = read_clip_list(FORMATS / "kinetics400/kinetics400_val_list_rawframes.txt").rows
    assert (first.frames, first.label, second.frames) == (273, "1", 300)
    with pytest.raises(UserError, match="one label a clip"):
        read_clip_list(FORMATS / "mmaction2-tests/rawframe_test_list_multi_label.txt")


STATED = {
    "finegym/all99_5": (1, 97, 0, 3417),
    "finegym/all99_10": (3, 142, 0, 3417),
    "finegym/all288_5": (1, 81, 0, 9353),
    "finegym/all288_10": (0, 188, 74, 9353),
    "finegym/UB_10": (5, 169, 0, 990),
    "finegym/UB_20": (18, 326, 0, 990),
    "finegym/FX_10": (4, 43, 0, 766),
    "finegym/FX_20": (6, 84, 0, 766),
    "finegym/VT_10": (1, 38, 0, 102),
    "finegym/VT_20": (5, 87, 0, 102),
    "finegym/UB_S1_10": (9, 123, 0, 316),
    "finegym/UB_S1_20": (13, 234, 0, 316),
    "finegym/FX_S1_10": (3, 39, 0, 236),
    "finegym/FX_S1_20": (13, 82, 0, 236),
    "finegym-new/list_finegym_new_5": (1, 82, 0, 1429),
    "finegym-new/list_finegym_new_10": (0, 180, 9, 1429),
    "list_ucf_1": (1, 1, 0, 0),
    "list_ucf_5": (0, 11, 1, 0),
    "list_ucf_10": (10, 10, 0, 0),
    "list_hmdb_40": (23, 215, 0, 647),
    "list_hmdb_50": (30, 272, 0, 647),
    "list_hmdb_60": (38, 298, 0, 647),
}
"""Folder -> least and most labels a class, classes without labels, test clips that share a source."""


@pytest.mark.skipif(not SPLITS.is_dir(), reason="the published lists are not here")
@pytest.mark.parametrize("name", STATED)
def test_the_audit_states_what_is_known_of_the_published_lists(name: str) -> None:
    least, most, empty, shared = STATED[name]
    found = {(each.severity, each.check): each for each in audit_lists(read_published(SPLITS / name))}
    assert all(severity != "leak" for severity, _ in found)
    said = " / ".join(each.sentence for each in found.values())
    assert "the validation clips are the test clips" in said
    stratified = least == most
    assert ("not stratified" in said) != stratified
    assert stratified or f"{least} to {most} labels per class" in said
    assert ("classes have no labeled clip" in said or "class has no labeled clip" in said) == bool(empty)
    assert (f"{empty} of " in said) or not empty
    assert (f"{shared} of " in said and "come from a source video" in said) == bool(shared)
    assert ("132 labels contradict the folder" in said) == ("hmdb" in name)
    assert ("CRLF" in said) == ("new" not in name)
    assert ("is the list of no role" in said) == (name == "finegym/UB_10")
    assert ("unlabe.csv" in said) == (name == "list_ucf_5")
