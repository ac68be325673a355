"""The audit, on small lists with the anomalies that published ones have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from closed_folders import close

from datasets import audit_record
from datasets.audit import AuditFinding, audit_table, sort_findings
from datasets.audit_files import audit_bytes, audit_footage
from datasets.audit_lists import audit_family, audit_lists, compare_official, list_folders, read_published
from datasets.types import ClipRef, ClipTable

Found = dict[tuple[str, str], AuditFinding]


def found(findings: list[AuditFinding]) -> Found:
    return {(each.severity, each.check): each for each in findings}


def lists(folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.csv").write_bytes(text.encode())
    return folder


def gym(video: str, number: int) -> str:
    return f"{video}_E_000001_000009_A_{number:04d}_0000.mp4"


CLEAN = {
    "train": f"/v/{gym('aaaaaaaaaaa', 1)} 0\n/v/{gym('aaaaaaaaaaa', 2)} 1\n",
    "unlabel": f"/v/{gym('aaaaaaaaaaa', 3)} 0\n/v/{gym('aaaaaaaaaaa', 4)} 1\n",
    "test": f"/v/{gym('bbbbbbbbbbb', 1)} 0\n/v/{gym('bbbbbbbbbbb', 2)} 1\n",
}


def audited(folder: Path, **change: str) -> Found:
    return found(audit_lists(read_published(lists(folder, **{**CLEAN, **change}))))


def test_clean_lists_have_no_findings(tmp_path: Path) -> None:
    assert audited(tmp_path) == {}


def test_a_test_clip_that_is_trained_on_is_a_leak(tmp_path: Path) -> None:
    rows = CLEAN["unlabel"] + f"/v/{gym('bbbbbbbbbbb', 2)} 1\n"
    result = audited(tmp_path, unlabel=rows)
    leak = result["leak", "same clip"]
    assert (leak.count, leak.examples) == (1, (gym("bbbbbbbbbbb", 2),))
    assert leak.sentence == "1 of 2 test clips are also trained on"


def test_val_that_is_test_is_a_flaw(tmp_path: Path) -> None:
    assert audited(tmp_path, val=CLEAN["test"])["flaw", "val = test"].count == 2


def test_validation_clips_that_are_test_clips_are_counted(tmp_path: Path) -> None:
    result = audited(tmp_path, val=CLEAN["test"] + f"/v/{gym('c' * 11, 1)} 0\n")
    flaw = result["flaw", "validation in test"]
    assert (flaw.count, flaw.examples) == (2, (gym("bbbbbbbbbbb", 1), gym("bbbbbbbbbbb", 2)))
    assert flaw.sentence == "2 of 3 validation clips are also test clips, so they are not used"


def test_validation_clips_of_the_source_video_of_a_labeled_clip_are_a_flaw(tmp_path: Path) -> None:
    near, far = gym("aaaaaaaaaaa", 9), gym("c" * 11, 1)
    result = audited(tmp_path, val=f"/v/{near} 0\n/v/{far} 0\n")
    assert set(result) == {("flaw", "validation shares sources")}
    flaw = result["flaw", "validation shares sources"]
    assert (flaw.count, flaw.examples) == (1, (near,))
    assert flaw.sentence.startswith("1 of 2 validation clips come from a source video of labeled clips")


def test_classes_without_labels_and_uneven_draws(tmp_path: Path) -> None:
    result = audited(tmp_path, train=f"/v/{gym('aaaaaaaaaaa', 1)} 0\n/v/{gym('aaaaaaaaaaa', 2)} 0\n")
    empty = result["flaw", "classes without labels"]
    assert (empty.count, empty.examples) == (1, ("1",))
    assert "0 to 2 labels per class, which are 0.0% to 66.7%" in result["note", "not stratified"].sentence


def test_shared_source_videos_are_a_note(tmp_path: Path) -> None:
    rows = f"/v/{gym('aaaaaaaaaaa', 8)} 0\n/v/{gym('bbbbbbbbbbb', 2)} 1\n"
    result = audited(tmp_path, test=rows)
    assert set(result) == {("note", "shared sources")}
    assert result["note", "shared sources"].count == 1


def test_names_and_forms_of_the_files(tmp_path: Path) -> None:
    folder = lists(
        tmp_path / "x_5", **{**CLEAN, "train": CLEAN["train"].replace(" ", ",").replace("\n", "\r\n")}
    )
    (folder / "unlabel.csv").rename(folder / "unlabe.csv")
    (folder / "test.csv").write_text(CLEAN["test"].rstrip())
    everything = (CLEAN["train"] + CLEAN["test"]).replace("/v/", "/elsewhere/")
    (folder / "total.csv").write_text(everything)
    result = found(audit_lists(read_published(folder)))
    assert set(result) == {
        ("flaw", "wrong list name"),
        ("note", "extra list"),
        ("note", "separators"),
        ("note", "CRLF"),
        ("note", "last newline"),
    }
    assert "'unlabe.csv'" in result["flaw", "wrong list name"].sentence
    assert result["note", "extra list"].sentence.endswith("it has the clips of train and test")
    assert result["note", "last newline"].examples == ("test.csv",)


def hmdb(swapped: int) -> str:
    rows = [
        f"/root/hmdb/{name}/{name}_{i}.avi {label}"
        for label, name in enumerate(("climb", "climb_stairs", "run"))
        for i in range(10)
    ]
    for i in range(swapped):
        rows[i] = rows[i].replace(" 0", " 1")
    return "\n".join(rows) + "\n"


def test_labels_against_the_folders_of_their_clips(tmp_path: Path) -> None:
    test = "/root/hmdb/climb/t.avi 0\n/root/hmdb/climb_stairs/u.avi 1\n/root/hmdb/run/w.avi 2\n"
    result = audited(tmp_path, train=hmdb(3), unlabel="/root/hmdb/run/z.avi 2\n", test=test)
    wrong = result["flaw", "labels contradict folders"]
    assert wrong.count == 3 and "climb_0.avi" in wrong.examples[0]
    other = tmp_path / "right"
    right = audited(other, train=hmdb(0), unlabel="/root/hmdb/run/z.avi 2\n", test=test)
    assert ("flaw", "labels contradict folders") not in right


def test_one_clip_with_two_labels(tmp_path: Path) -> None:
    clip = gym("aaaaaaaaaaa", 1)
    assert audited(tmp_path, unlabel=f"/v/{clip} 1\n")["flaw", "two labels"].examples == (f"/v/{clip}",)


def test_one_name_in_two_folders(tmp_path: Path) -> None:
    clip = gym("aaaaaaaaaaa", 1)
    result = audited(tmp_path, train=f"/v/p/{clip} 0\n/v/q/{clip} 1\n")
    assert result["flaw", "duplicate names in train"].examples == (clip,)


def test_fractions_nest_or_do_not(tmp_path: Path) -> None:
    small = f"/v/{gym('aaaaaaaaaaa', 1)} 0\n"
    nested = (
        lists(tmp_path / "nested/set_10", **CLEAN),
        lists(tmp_path / "nested/set_5", **{**CLEAN, "train": small}),
    )
    assert audit_family([read_published(each) for each in nested]) == []
    other = f"/v/{gym('aaaaaaaaaaa', 3)} 0\n/v/{gym('aaaaaaaaaaa', 2)} 1\n"
    apart = (
        lists(tmp_path / "apart/set_10", **{**CLEAN, "train": other}),
        lists(tmp_path / "apart/set_5", **CLEAN),
    )
    flaw = found(audit_family([read_published(each) for each in apart]))["flaw", "not nested"]
    assert flaw.sentence.endswith("1 of the 2 labeled clips of set_5 are not labeled in set_10")


def test_training_clips_that_another_set_scores_are_a_note(tmp_path: Path) -> None:
    lists(tmp_path / "large_5", **CLEAN)
    lists(
        tmp_path / "small_5",
        **{**CLEAN, "train": f"/v/{gym('bbbbbbbbbbb', 2)} 1\n", "unlabel": f"/v/{gym('c' * 11, 1)} 0\n"},
    )
    published = [read_published(each) for each in list_folders(tmp_path)]
    note = found(audit_family(published))["note", "crossing"]
    assert note.sentence.startswith("1 training clips of small_5 are test clips of large_5")


def test_lists_against_the_official_parts(tmp_path: Path) -> None:
    def ref(name: str, label: int) -> ClipRef:
        return ClipRef(f"{name}.mp4", Path(name), label, name)

    official = ClipTable("gym", ("a", "b"), train=(ref("p", 0), ref("q", 1)), test=(ref("t", 0), ref("u", 1)))
    folder = lists(
        tmp_path, train="/v/p.mp4 1\n/v/q.mp4 1\n", unlabel="/v/extra.mp4 0\n", test="/v/t.mp4 0\n"
    )
    result = found(compare_official(read_published(folder), official))
    assert result["flaw", "not official"].examples == ("extra",)
    assert result["flaw", "labels not official"].examples == ("p",)
    assert result["note", "left out"].examples == ("u",)


def test_leaks_come_first() -> None:
    findings = [AuditFinding(severity, "x", 1, "x") for severity in ("note", "leak", "flaw")]  # type: ignore[arg-type]
    assert [each.severity for each in sort_findings(findings)] == ["leak", "flaw", "note"]


def test_equal_bytes_under_another_name_are_a_leak(clip: Callable[..., ClipRef]) -> None:
    train, other, test = clip("train/a.mp4", seed=1), clip("train/b.mp4", seed=2), clip("test/c.mp4", seed=3)
    test.path.write_bytes(other.path.read_bytes())
    table = ClipTable("x", ("a",), train=(train, other), test=(test,))
    (leak,) = audit_bytes(table)
    assert (leak.severity, leak.examples) == ("leak", ("test/c.mp4 = train/b.mp4",))
    assert audit_bytes(ClipTable("x", ("a",), train=(train,), test=(test,))) == []
    assert [each.severity for each in audit_table(table)] == []


def test_clips_that_are_absent_or_closed_to_us_are_counted_and_end_nothing(
    clip: Callable[..., ClipRef], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = clip("open/a.mp4", count=40)
    twin, other = clip("shut/b.mp4", count=40), clip("shut/c.mp4", seed=2, count=40)
    gone = replace(here, key="gone.mp4", path=tmp_path / "gone.mp4")
    table = ClipTable("x", ("a",), train=(here, gone), test=(twin, other))
    close(monkeypatch, tmp_path / "videos/shut")
    assert audit_bytes(table) == []
    (note,) = audit_footage(table, progress=False)
    assert (note.check, note.count) == ("not compared", 3)
    assert "1 are missing, 2 cannot be read, 0 are too short" in note.sentence


def test_a_file_of_equal_size_that_cannot_be_read_ends_no_audit(
    clip: Callable[..., ClipRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = clip("a.mp4"), clip("b.mp4")
    close(monkeypatch, test.path, to_look=False)
    assert audit_bytes(ClipTable("x", ("a",), train=(train,), test=(test,))) == []


SHARED = Path(__file__).parents[2].parent / "shared/splits/sefar"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published lists are not here")
def test_the_published_lists_have_their_known_anomalies() -> None:
    """All 22 folders; the counts are those that were found by hand."""
    published = [read_published(folder) for folder in list_folders(SHARED)]
    by_name = {each.folder.name: found(audit_lists(each)) for each in published}
    assert len(by_name) == 22
    assert all(("flaw", "val = test") in result for result in by_name.values())
    assert not any(severity == "leak" for result in by_name.values() for severity, _ in result)
    empty = {
        name: r["flaw", "classes without labels"].count
        for name, r in by_name.items()
        if ("flaw", "classes without labels") in r
    }
    assert empty == {"all288_10": 74, "list_finegym_new_10": 9, "list_ucf_5": 1}
    shared = {
        name: r["note", "shared sources"].count
        for name, r in by_name.items()
        if ("note", "shared sources") in r
    }
    expected = {"all99": 3417, "all288": 9353, "UB": 990, "FX": 766, "VT": 102, "UB_S1": 316, "FX_S1": 236}
    for name, count in shared.items():
        family = name.rpartition("_")[0]
        assert count == {**expected, "list_finegym_new": 1429, "list_hmdb": 647}[family], name
    assert not any(name.startswith("list_ucf") for name in shared)
    even = {name for name, result in by_name.items() if ("note", "not stratified") not in result}
    assert even == {"list_ucf_1", "list_ucf_10"}
    swapped = {
        name: r["flaw", "labels contradict folders"].count
        for name, r in by_name.items()
        if ("flaw", "labels contradict folders") in r
    }
    assert swapped == {f"list_hmdb_{rate}": 132 for rate in (40, 50, 60)}
    assert [name for name, r in by_name.items() if ("flaw", "wrong list name") in r] == ["list_ucf_5"]
    assert [name for name, r in by_name.items() if ("note", "separators") in r] == ["list_ucf_5"]
    assert [name for name, r in by_name.items() if ("note", "last newline") in r] == ["list_finegym_new_10"]
    assert "train and validation" in by_name["UB_10"]["note", "extra list"].sentence
    whole = audit_family(published)
    crossing = {each.sentence.split(":")[0] for each in whole if each.check == "crossing"}
    assert "99 training clips of all99_5 are test clips of all288_5" in crossing
    assert "99 training clips of all288_5 are test clips of all99_5" in crossing
    nested = {
        each.sentence.split("clips of ")[1].split(" ")[0] for each in whole if each.check == "not nested"
    }
    assert {"all99_5", "all288_5", "UB_10", "list_hmdb_40", "list_ucf_5"} <= nested


def test_the_last_audit_is_remembered_until_the_lists_change(home: Path) -> None:
    def ref(name: str) -> ClipRef:
        return ClipRef(name, Path(name), 0, name)

    table = ClipTable("x", ("a",), train=(ref("p.mp4"),), test=(ref("t.mp4"),))
    assert audit_record.load(table) == ()
    leak = AuditFinding("leak", "same footage", 1, "1 test clips show the same footage", ("t.mp4 ~ p.mp4",))
    audit_record.save(table, [leak])
    assert audit_record.load(table) == (leak,)
    assert audit_record.load(ClipTable("x", ("a",), train=(ref("q.mp4"),), test=(ref("t.mp4"),))) == ()
    (home / "audits/x.json").write_text("{")
    assert audit_record.load(table) == ()


def test_an_audit_holds_until_a_video_changes(
    home: Path, clip: Callable[..., ClipRef], tmp_path: Path
) -> None:
    train, test = clip("a.mp4"), clip("b.mp4")
    table = ClipTable("x", ("a",), train=(train,), test=(test,))
    leak = AuditFinding("leak", "same footage", 1, "1 test clips show the same footage", ("b.mp4 ~ a.mp4",))
    audit_record.save(table, [leak])
    assert audit_record.state(table) == "now"
    moved = replace(train, path=tmp_path / "elsewhere/a.mp4")
    assert audit_record.state(replace(table, train=(moved,))) == "old", "another folder, other videos"
    before = train.path.read_bytes()
    clip("a.mp4", count=20)
    assert (audit_record.state(table), audit_record.load(table)) == ("old", (leak,)), (
        "a leak stands until then"
    )
    audit_record.save(table, [leak])
    train.path.unlink()
    assert audit_record.load(table) == (leak,), "what is cached can be trained on without its files"
    train.path.write_bytes(before)
    assert audit_record.state(table) == "old"


def test_an_audit_of_absent_files_is_old_once_they_come(home: Path, clip: Callable[..., ClipRef]) -> None:
    train, test = clip("a.mp4"), clip("b.mp4")
    table = ClipTable("x", ("a",), train=(train,), test=(test,))
    train.path.unlink()
    audit_record.save(table, [])
    assert audit_record.state(table) == "now"
    clip("a.mp4")
    assert audit_record.state(table) == "old"
