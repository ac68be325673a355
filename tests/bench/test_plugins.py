"""Plugins: whoever comes first keeps a name; clashes and broken imports cost a line and stop nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import plugins
from bench.schedule import worker
from datasets.errors import UserError

METHOD = """
from methods.supervised import Supervised


class {cls}(Supervised):
    name = "{name}"
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv(plugins.PLUGIN_FILES, "")
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    plugins._registries.cache_clear()
    yield
    monkeypatch.undo()
    plugins._registries.cache_clear()


def _write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def _method(path: Path, name: str, cls: str = "Mine") -> str:
    return _write(path, METHOD.format(name=name, cls=cls))


class _Point(EntryPoint):
    """An entry point of a distribution that is not installed."""

    def __init__(self, name: str, value: str, group: str, owner: str) -> None:
        super().__init__(name, value, group)
        vars(self).update(dist=SimpleNamespace(name=owner))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Adds entry points of made-up packages, in the order given, before ours."""

    original = plugins.entry_points

    def add(*points: tuple[str, str, str]) -> None:
        def both(group: str) -> list[EntryPoint]:
            kind = group.removeprefix("sefar_bench.")
            made = [_Point(n, v, group, owner) for owner, n, v in points] if kind == "methods" else []
            return [*made, *original(group=group)]

        monkeypatch.setattr(plugins, "entry_points", both)
        plugins._registries.cache_clear()

    return add


def test_our_own_names_cannot_be_taken_over(install: Any) -> None:
    install(("aaa-thief", "fixmatch", "methods.supervised:Supervised"))
    assert plugins.method_class("fixmatch").__name__ == "FixMatch"
    (said,) = plugins.problems()
    assert "package 'aaa-thief'" in said and "'fixmatch'" in said and "package 'sefar-bench'" in said


def test_between_two_packages_the_order_of_installation_decides_nothing(install: Any) -> None:
    both = [("beta", "dice", "methods.softmatch:SoftMatch"), ("alpha", "dice", "methods.fixmatch:FixMatch")]
    for order in (both, both[::-1]):
        install(*order)
        assert plugins.method_class("dice").__name__ == "FixMatch"
        assert plugins.problems()[0].startswith("package 'beta': ")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("no_such_package_here:Method", ["ModuleNotFoundError", "no_such_package_here"]),
        ("methods.fixmatch:FixMach", ["AttributeError", "FixMach"]),
        ("methods.losses:supervised", ["no class derived from methods.base.Method"]),
    ],
)
def test_a_broken_package_is_named_and_stops_no_other_method(
    install: Any, value: str, parts: list[str]
) -> None:
    install(("torn-package", "torn", value))
    with pytest.raises(UserError) as complaint:
        plugins.method_class("torn", "suite.yaml: sections.s.entries.0")
    for part in ["'torn'", "package 'torn-package'", *parts]:
        assert part in str(complaint.value)
    assert plugins.method_class("fixmatch").__name__ == "FixMatch"
    assert plugins.problems() == ()


@pytest.mark.parametrize(
    "text", ["import no_such_package_here", "def (", "1 / 0", "raise SystemExit(5)", "import sys\nsys.exit()"]
)
def test_a_file_that_breaks_on_import_stops_no_other_file(tmp_path: Path, text: str) -> None:
    plugins.add_plugin_file(_write(tmp_path / "torn.py", text))
    plugins.add_plugin_file(_method(tmp_path / "whole.py", "whole"))
    assert plugins.method_class("whole").name == "whole"
    (said,) = plugins.problems()
    assert "torn.py: " in said
    with pytest.raises(UserError, match=r"no method 'from_torn'.*torn\.py"):
        plugins.method_class("from_torn")


def test_files_that_clash(tmp_path: Path) -> None:
    first, second = _method(tmp_path / "a/mine.py", "mine"), _method(tmp_path / "b/mine.py", "mine", "Other")
    thief = _method(tmp_path / "thief.py", "fixmatch")
    for file in (first, second, thief):
        plugins.add_plugin_file(file)
    assert plugins.method_class("mine").__name__ == "Mine"
    assert plugins.method_class("fixmatch").__name__ == "FixMatch"
    said = plugins.problems()
    assert [second in said[0], first in said[0], thief in said[1]] == [True, True, True]


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    plugins.add_plugin_file(_method(tmp_path / "a/mine.py", "mine_a"))
    plugins.add_plugin_file(_method(tmp_path / "b/mine.py", "mine_b"))
    classes = [plugins.method_class(name) for name in ("mine_a", "mine_b")]
    assert [cls.name for cls in classes] == ["mine_a", "mine_b"]
    assert classes[0].__module__ != classes[1].__module__
    assert plugins.problems() == ()


def test_what_of_a_file_is_registered(tmp_path: Path) -> None:
    text = """
from torch import nn
from methods.fixmatch import FixMatch
from methods.supervised import Supervised


class Base(Supervised):
    pass


class Leaf(Base):
    name = "leaf"


class Nameless(FixMatch):
    pass


class Comma(Supervised):
    name = "a,b"


class Net(nn.Module):
    patch = (1, 8, 8)


class Set:
    name = "my_set"

    def table(self): ...
    def prepare(self): ...
"""
    assert plugins.methods_of_file(_write(tmp_path / "many.py", text), "check-method") == ["leaf"]
    assert "net" in plugins.backbones().names()
    assert "my_set" in plugins.dataset_names()
    nameless, comma = plugins.problems()
    assert "Nameless" in nameless and 'name = "nameless"' in nameless
    assert "'a,b'" in comma


@pytest.mark.parametrize(
    ("text", "part"), [("x = 1", "no method in it"), ("1 / 0", "ZeroDivisionError"), (None, "no such file")]
)
def test_a_file_without_a_method_is_refused_where_one_is_asked_for(
    tmp_path: Path, text: str | None, part: str
) -> None:
    file = tmp_path / "empty.py"
    if text is not None:
        _write(file, text)
    with pytest.raises(UserError, match=part):
        plugins.methods_of_file(str(file), "check-method")


def test_workers_get_the_plugin_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [_method(tmp_path / f"{name}.py", name) for name in ("one", "two")]
    for file in files:
        plugins.add_plugin_file(file)
    given = {name: os.environ[name] for name in worker.PASSED_ON if name in os.environ}
    # A worker begins with nothing but what it is given; the trial itself is not of interest here.
    monkeypatch.setenv(plugins.PLUGIN_FILES, "")
    plugins._registries.cache_clear()
    found: list[str] = []
    monkeypatch.setattr(worker.TrialSpec, "model_validate_json", lambda text: None)
    monkeypatch.setattr(
        worker, "run_trial", lambda *_: found.extend(plugins.methods().names()) or {"status": "done"}
    )
    assert (
        worker.Worker().work({"environment": given, "spec": "{}", "folder": str(tmp_path)}) == worker.Answer()
    )
    assert {"one", "two", "fixmatch"} <= set(found)


def test_a_worker_that_lacks_a_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.PLUGIN_FILES, str(tmp_path / "elsewhere.py"))
    plugins._registries.cache_clear()
    with pytest.raises(UserError, match=r"no method 'mine'.*elsewhere\.py.*FileNotFoundError"):
        plugins.method_class("mine")
