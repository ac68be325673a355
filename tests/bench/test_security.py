"""What others wrote (checkpoints, suites, lists, names) runs no code and writes nowhere but in its folder.

All names of a run at once in all formats: test_hostile_names.py.  Pickled annotations: tests/datasets.
"""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bench.backbones.vit_weights import load_weights
from bench.checkpoints import Checkpoints
from bench.predictions import read_predictions
from bench.reproduce import find_trial
from bench.runner import sweep
from bench.spec import TrialSpec
from bench.store import RunFolder, read_json, sealed, write_json
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
    """Every load of the four packages is a safe one, and no archive is unpacked."""
    wrong = []
    refused = {"pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "os.system", "pd.read_pickle"}
    refused |= {"shutil.unpack_archive", "tarfile.open", "zipfile.ZipFile", "torch.hub.load", "eval", "exec"}
    packages = (ROOT / name for name in ("bench", "datasets", "methods", "sefar"))
    for file in (file for package in packages for file in package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
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


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_new_method_has_a_path_for_a_name(bench: Any, name: str) -> None:
    before = _tree(bench.folder.parent)
    answer = bench("new", "method", name)
    assert answer.status == 1 and answer.sentence
    assert _tree(bench.folder.parent) == before


@pytest.mark.parametrize("name", ["../evil.yaml", "/tmp/evil.yaml", "a/b.yaml", ".."])
def test_no_suite_names_its_tuned_settings_elsewhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "suite.yaml"
    text = (ROOT / "bench/suites/smoke.yaml").read_text(encoding="utf-8")
    path.write_text(f"tuned: {name}\n{text}", encoding="utf-8")
    with pytest.raises(UserError, match="tuned"):
        load_suite(str(path))


@pytest.mark.parametrize("line", ["../../evil.mp4 0", "/etc/passwd 0", "a/../../evil.mp4 0"])
def test_a_list_names_no_file_outside_of_its_root(bench: Any, line: str) -> None:
    (bench.folder / "clips").mkdir()
    (bench.folder / "clips/a.mp4").write_bytes(b"")
    (bench.folder / "list.txt").write_text(f"a.mp4 0\n{line}\n", encoding="utf-8")
    answer = bench("data", "add", "mine", "--train", "list.txt", "--test", "list.txt", "--root", "clips")
    assert answer.status == 1 and "list.txt:2" in answer.sentence


def test_predictions_run_no_code(tmp_path: Path) -> None:
    """Arrow once had a type whose description was a pickle."""
    mark, path = tmp_path / "mark", tmp_path / "predictions.parquet"
    extension = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Bomb(mark)),
    }
    columns = {"clip": ["a"], "group": ["v"], "error": [""], "label": [0], "predicted": [0], "rank": [0]}
    columns |= {"nll": [0.5], "confidence": [0.5]}
    plain = pa.table(columns)
    fields = [field.with_metadata(extension) for field in plain.schema]
    pq.write_table(plain.cast(pa.schema(fields)), path)
    assert read_predictions(path).clips == ("a",)
    pd.read_parquet(path)
    assert not mark.exists()


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody's folder, whose hidden and other files must stay as they are."""
    folder = tmp_path / "victim"
    (folder / ".ssh").mkdir(parents=True)
    for name in (".ssh/id", ".profile", "checkpoint.pt", "done.json", ".lease.json", "error.txt"):
        (folder / name).write_text("mine", encoding="utf-8")
    return folder


def test_a_trial_folder_that_is_a_link_is_neither_written_nor_swept(tmp_path: Path, victim: Path) -> None:
    run = RunFolder(tmp_path / "run")
    (run.path / "trials").mkdir(parents=True)
    folder = run.trial("0123456789abcdef")
    folder.path.symlink_to(victim, target_is_directory=True)
    before = _tree(victim)
    sweep(run)
    folder.tidy()
    with pytest.raises(UserError, match="link"), folder.attempt():
        pass
    assert _tree(victim) == before


def test_links_within_a_trial_folder_are_replaced_not_followed(tmp_path: Path, victim: Path) -> None:
    folder = RunFolder(tmp_path / "run").trial("0123456789abcdef")
    folder.path.mkdir(parents=True)
    for name in ("error.txt", "done.json", "failed.json"):
        (folder.path / name).symlink_to(victim / "error.txt")
    (folder.path / ".attempt-x").symlink_to(victim, target_is_directory=True)
    before = _tree(victim)
    with folder.attempt() as attempt:
        folder.publish_failed(attempt, {"status": "failed"}, "Traceback ...")
    assert _tree(victim) == before
    assert (folder.path / "error.txt").read_text(encoding="utf-8") == "Traceback ..."
    assert not (folder.path / "error.txt").is_symlink()


def test_a_record_cannot_command_a_terminal(bench: Any) -> None:
    """A failure of somebody else's run folder whose message would clear the screen."""
    suite = bench.suite()
    assert bench("run", "--suite", suite).status == 0
    done = next((bench.folder / "runs/tiny/trials").glob("*/done.json"))
    record = {**read_json(done), "status": "failed", "kind": "exception", "message": "\x1b[2J\x07gone"}
    write_json(done.parent / "failed.json", sealed(record))
    done.unlink()
    answer = bench("run", "--suite", suite)
    assert answer.status == 3 and "gone" in answer.out
    assert "\x1b" not in answer.out + answer.err and "\x07" not in answer.out + answer.err


def test_a_label_cannot_command_a_terminal(bench: Any) -> None:
    def change(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["entries"][1]["label"] = "a\x1b[2Jb"

    answer = bench("plan", "--suite", bench.suite(change))
    assert answer.status == 1 and "\x1b" not in answer.out + answer.err


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
