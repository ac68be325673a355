"""A method of one's own, from nothing to the leaderboard: `new method`, `check-method`, `run --plugin`."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import new_method
from bench.conformance import CHECKS
from datasets.errors import UserError


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_new_method_passes_its_checks_and_its_test_and_reaches_the_leaderboard(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = bench("new", "method", "my_idea")
    assert answer.status == 0, answer.err
    for part in ("my_idea.py", "test_my_idea.py", "check-method my_idea.py", "--plugin my_idea.py"):
        assert part in answer.out

    answer = bench("check-method", "my_idea.py")
    assert answer.status == 0, answer.out
    assert answer.out.startswith("my_idea: ")
    rows = answer.out.splitlines()[1:-1]
    assert [row.split("  ")[1] for row in rows] == list(CHECKS)
    assert not [row for row in rows if " ok " not in row]
    assert answer.out.endswith(f"{len(CHECKS)} checks, 0 failed\n")

    monkeypatch.syspath_prepend(bench.folder)
    written = importlib.import_module("test_my_idea")
    own = [name for name in vars(written) if name.startswith("test_") and name != "test_the_contract"]
    assert len(own) == 2
    for name in own:
        getattr(written, name)()
    for name in ("my_idea", "test_my_idea"):
        del sys.modules[name]

    command = ("run", "--suite", bench.suite(), "--plugin", "my_idea.py", "--methods", "my_idea")
    answer = bench(*command, "--seeds", "0")
    assert answer.status == 0, answer.err
    assert sorted(bench.executed) == ["synthgym_tiny@2 my_idea seed=0", "synthgym_tiny@2 supervised seed=0"]
    assert r"my\_idea" in (bench.folder / "runs/tiny/report/leaderboard.md").read_text(encoding="utf-8")


def test_nothing_is_overwritten(bench: Any) -> None:
    for name in ("one.py", "test_two.py"):
        (bench.folder / name).write_text("mine", encoding="utf-8")
    for name, file in (("one", "one.py"), ("two", "test_two.py")):
        assert file in bench("new", "method", name).sentence
    assert {path.name for path in bench.folder.iterdir()} == {"one.py", "test_two.py"}
    assert (bench.folder / "one.py").read_text(encoding="utf-8") == "mine"


def test_a_test_file_that_cannot_be_written_leaves_no_method_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.open

    def full(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name.startswith("test_my"):
            raise PermissionError(13, "Permission denied")
        return original(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match="cannot be written"):
        new_method.write_method("my_idea", tmp_path, [])
    assert not list(tmp_path.iterdir())


BAD = """
from methods.base import Step
from methods.supervised import Supervised


class Bad(Supervised):
    name = "bad"

    def step(self, batch, progress):
        return Step({"supervised": super().step(batch, progress).losses["supervised"] * float("nan")})


class Good(Supervised):
    name = "good"
"""


def test_findings_have_reasons_and_status_3(bench: Any) -> None:
    (bench.folder / "two.py").write_text(BAD, encoding="utf-8")
    answer = bench("check-method", "two.py", "--json")
    assert answer.status == 3
    report = json.loads(answer.out)
    assert list(report) == ["bad", "good"]
    assert report["bad"]["losses"] == "its loss 'supervised' is not one finite number"
    assert set(report["bad"]) == set(CHECKS)
    assert set(report["good"].values()) == {None}


def test_a_registered_method_is_checked_by_name_with_other_settings(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def only(method: Any) -> None:
        """Says what it got."""
        seen.append(method.Config().threshold)
        raise ValueError("the reason")

    monkeypatch.setattr("bench.conformance.CHECKS", {"only": only})
    answer = bench("check-method", "fixmatch", "--set", "threshold=0.25", "--set", "pseudo_labels=teacher")
    assert answer.status == 3
    assert seen == [0.25]
    assert "  only  FAILED  ValueError: the reason\n1 checks, 1 failed\n" in answer.out


def test_tuning_reaches_a_plugin(bench: Any) -> None:
    (bench.folder / "two.py").write_text(BAD, encoding="utf-8")
    command = ("tune", "--suite", bench.suite(), "--configs", "1", "--to", "chosen.yaml")
    answer = bench(*command, "--plugin", "two.py", "--methods", "good")
    assert answer.status == 0, answer.err
    assert bench.executed == ["synthgym_tiny@2 good #0 seed=100"]
    assert "good:" in (bench.folder / "chosen.yaml").read_text(encoding="utf-8")


def test_a_clash_is_one_line_and_the_run_goes_on(bench: Any) -> None:
    (bench.folder / "thief.py").write_text(BAD.replace('"bad"', '"fixmatch"'), encoding="utf-8")
    answer = bench("plan", "--suite", bench.suite(), "--plugin", "thief.py", "--methods", "good,fixmatch")
    assert answer.status == 0
    warned = [line for line in answer.err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1
    assert "thief.py" in warned[0] and "'fixmatch'" in warned[0]
    assert "good seed=0" in answer.out
