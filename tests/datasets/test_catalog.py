from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import catalog
from datasets.errors import UserError
from datasets.types import ClipRef


@pytest.fixture
def lists(tmp_path: Path, clip: Callable[..., ClipRef]) -> dict[str, Path]:
    for key in ("a.mp4", "b.mp4", "c.mp4"):
        clip(key)
    (tmp_path / "train.txt").write_text("a.mp4 0\nb.mp4 1\n")
    (tmp_path / "test.txt").write_text("c.mp4 1\n")
    return {"train": tmp_path / "train.txt", "test": tmp_path / "test.txt", "root": tmp_path / "videos"}


def test_a_registered_set_is_there_in_the_next_process(home: Path, lists: dict[str, Path]) -> None:
    assert catalog.entries() == {}
    added = catalog.add("mine", **lists, mirror=True)
    assert list(catalog.entries()) == ["mine"]
    loaded = catalog.load("mine")
    assert loaded.table() == added.table()
    assert loaded.table().mirror
    assert loaded.present()


def test_paths_do_not_depend_on_the_folder_of_the_call(
    home: Path, lists: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    catalog.add("mine", **{field: path.relative_to(tmp_path) for field, path in lists.items()})
    monkeypatch.chdir("/")
    assert catalog.load("mine").table().train[0].path.is_file()


def test_a_removed_set_is_forgotten_and_its_files_stay(home: Path, lists: dict[str, Path]) -> None:
    catalog.add("mine", **lists)
    catalog.add("other", **lists)
    catalog.remove("mine")
    assert list(catalog.entries()) == ["other"]
    assert (lists["root"] / "a.mp4").is_file()


@pytest.mark.parametrize("action", [catalog.load, catalog.remove])
def test_an_unknown_name_is_answered_with_the_nearest(
    home: Path, lists: dict[str, Path], action: Callable[[str], object]
) -> None:
    catalog.add("fights", **lists)
    with pytest.raises(UserError, match=r"'fight'.*Did you mean 'fights'"):
        action("fight")


@pytest.mark.parametrize("name", ["", "Mine", "a/b", "..", ".hidden", "a b", "ä"])
def test_bad_names_are_refused(home: Path, lists: dict[str, Path], name: str) -> None:
    with pytest.raises(UserError, match="cannot name a data set"):
        catalog.add(name, **lists)
    assert catalog.entries() == {}


def test_a_taken_name_is_refused(home: Path, lists: dict[str, Path]) -> None:
    catalog.add("mine", **lists)
    other = lists["test"].with_name("other.txt")
    other.write_text("c.mp4 0\n")
    with pytest.raises(UserError, match="bench data rm mine"):
        catalog.add("mine", **{**lists, "test": other})
    assert catalog.entries()["mine"].test == lists["test"].resolve()


def test_nothing_is_registered_when_a_list_has_a_mistake(home: Path, lists: dict[str, Path]) -> None:
    lists["test"].write_text("c.mp4 9\n")
    with pytest.raises(UserError, match=r"test\.txt:1"):
        catalog.add("mine", **lists)
    lists["test"].write_text("c.mp4 1\n")
    with pytest.raises(UserError, match="--root"):
        catalog.add("mine", lists["train"], lists["test"], lists["root"] / "nowhere")
    assert catalog.entries() == {}


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "[]", '{"mine": 3}', '{"mine": {"train": "a"}}'])
def test_a_damaged_catalog_is_named(home: Path, content: str) -> None:
    home.mkdir()
    (home / "catalog.json").write_text(content)
    with pytest.raises(UserError, match=r"catalog\.json"):
        catalog.entries()
    assert (home / "catalog.json").read_text() == content
