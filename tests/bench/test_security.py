"""What others wrote (checkpoints, suites, lists, names) runs no code and writes nowhere but in its folder.

Names in HTML, LaTeX and Markdown: tests/bench/render.  Pickled annotations: tests/datasets.
"""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.backbones.vit_weights import load_weights
from bench.checkpoints import Checkpoints
from bench.reproduce import find_trial
from bench.spec import TrialSpec
from bench.store import RunFolder
from bench.suite import load_suite
from datasets.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ["../evil", "/tmp/evil", "a/../b", "..", "evil\n", "~evil", "$(touch evil)"]


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self._mark),))


def _checkpoint_file(folder: Path, content: bytes) -> Path:
    """A file that passes for a checkpoint as far as its name and checksum go."""
    path = folder / f"checkpoint-{9:010d}-{hashlib.sha256(content).hexdigest()[:16]}.pt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_checkpoint_runs_no_code(tmp_path: Path, form: str) -> None:
    mark, plain = tmp_path / "mark", tmp_path / "plain"
    content = {"state": {}, "code_hash": "c", "bomb": Bomb(mark)}
    if form == "torch":
        torch.save(content, plain)
    else:
        plain.write_bytes(pickle.dumps(content))
    _checkpoint_file(tmp_path, plain.read_bytes())
    assert Checkpoints(tmp_path, "c").load() is None
    assert not mark.exists()
    if form == "torch":
        torch.load(plain, weights_only=False)
        assert mark.exists(), "the bomb of this test does not work"


def test_a_good_checkpoint_of_the_same_name_is_loaded(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "c").save(9, {"state": {"weight": torch.ones(2)}})
    saved = Checkpoints(tmp_path, "c").load()
    assert saved is not None and torch.equal(saved["state"]["weight"], torch.ones(2))


def test_weights_of_a_backbone_run_no_code(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "weights.pth"
    torch.save({"model": Bomb(mark)}, path)
    with pytest.raises(UserError):
        load_weights(torch.nn.Linear(1, 1), str(path))  # type: ignore[arg-type]
    assert not mark.exists()


def test_nothing_of_ours_loads_what_can_run_code() -> None:
    """Every load of the four packages is a safe one."""
    wrong = []
    refused = {"pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "os.system", "pd.read_pickle"}
    packages = (ROOT / name for name in ("bench", "datasets", "methods", "sefar"))
    for file in (file for package in packages for file in package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name = f"{ast.unparse(node.func.value)}.{node.func.attr}"
            place = f"{file.relative_to(ROOT)}:{node.lineno} {name}"
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name == "torch.load" and given.get("weights_only") != "True":
                wrong.append(place)
            if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
                wrong.append(place)
            if name in refused:
                wrong.append(place)
            if name.startswith("subprocess.") and given.get("shell") == "True":
                wrong.append(place)
    assert wrong == []


def test_a_suite_runs_no_code(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "suite.yaml"
    path.write_text(f"name: !!python/object/apply:os.mkdir ['{mark}']\n", encoding="utf-8")
    with pytest.raises(UserError):
        load_suite(str(path))
    assert not mark.exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_suite_names_a_folder_outside_of_the_runs(tmp_path: Path, name: str) -> None:
    text = (ROOT / "bench/suites/smoke.yaml").read_text(encoding="utf-8")
    path = tmp_path / "suite.yaml"
    path.write_text(text.replace("name: smoke", f"name: {name!r}", 1), encoding="utf-8")
    with pytest.raises(UserError, match=r"suite\.yaml"):
        load_suite(str(path))


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_trial_lies_in_the_run_folder_whatever_its_names(tmp_path: Path, name: str) -> None:
    spec = TrialSpec.model_validate(
        {
            "method": name,
            "config": {name: name},
            "data": name,
            "labels": "2",
            "split_hash": name,
            "seed": 0,
            "backbone": {"name": name, "weights": name},
            "protocol": {
                "frames": 8,
                "short_side": 48,
                "size": 32,
                "normalize": "clip",
                "augmentations": {name: {}},
                "steps": 1,
                "batch": {"labeled": 2, "unlabeled": 2, "warmup": 2},
                "optimizer": {"name": "adamw", "lr": 0.01},
            },
        }
    )
    folder = RunFolder(tmp_path).trial(spec.id).path
    assert folder.parent == tmp_path / "trials" and folder.name.isalnum()


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_trial_to_reproduce_is_looked_for_in_the_runs_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "evil").mkdir()
    with pytest.raises(UserError):
        find_trial(name, tmp_path / "runs")


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_method_and_no_data_set_has_a_path_for_a_name(bench: Any, name: str) -> None:
    assert bench("run", "--suite", bench.suite(), "--methods", name).status == 1
    (bench.folder / "list.txt").write_text("a.mp4 0\n", encoding="utf-8")
    before = sorted(bench.folder.parent.rglob("*evil*"))
    answer = bench("data", "add", name, "--train", "list.txt", "--test", "list.txt", "--root", ".")
    assert answer.status == 1
    assert sorted(bench.folder.parent.rglob("*evil*")) == before
