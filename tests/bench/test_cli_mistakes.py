"""What users get wrong: one sentence with the thing, the place and the cure; status 1; nothing lost."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import cli, exit_codes, runner, store
from bench.agenda import make_agenda
from bench.plan import Choice, read_anew
from bench.suite import load_suite
from datasets.synthgym import SynthGymTiny


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "--suite", "smokey"], ["suite 'smokey'", "Did you mean 'smoke'"]),
        (["run", "--suite", "absent.yaml"], ["absent.yaml", "no such file"]),
        (["run", "--suite", "smoke", "--methods", "fixmach"], ["--methods", "Did you mean 'fixmatch'"]),
        (["run", "--suite", "smoke", "--methods", "a,,b"], ["--methods", "single commas"]),
        (["run", "--suite", "smoke", "--data", "synthgim"], ["--data", "Did you mean 'synthgym"]),
        (["run", "--suite", "fine_grained", "--data", "gym99"], ["gym99", "data add gym99"]),
        (["run", "--suite", "smoke", "--seeds", "0-x"], ["--seeds", "'0-x'"]),
        (["run", "--suite", "smoke", "--seeds", "4-1"], ["--seeds", "backwards"]),
        (["run", "--suite", "smoke", "--seeds", "1,1"], ["--seeds", "twice"]),
        (["run", "--suite", "smoke", "--stale", "maybe"], ["--stale", "maybe", "--help"]),
        (["run", "--suite", "smoke", "--limit-steps", "0"], ["--limit-steps", "--help"]),
        (["run", "--suite", "smoke", "--plugin", "absent.py"], ["--plugin absent.py", "no such file"]),
        (["run", "--suit", "smoke"], ["--suit", "--help"]),
        (["runn"], ["runn"]),
        (
            ["trial", "absent.json"],
            ["absent.json: cannot be read (No such file or directory); give the specification of a trial"],
        ),
        (
            ["compare", "a", "b", "--metric", "topp1"],
            ["no tested metric 'topp1'. Did you mean 'top1'? Known: mean_class, top1.\n"],
        ),
        (
            ["compare", "a", "b", "--metric", "ece"],
            ["--metric", "not for 'ece'", "is in results.csv"],
        ),
        (["tune", "--suite", "smoke", "--methods", "supervized"], ["Did you mean 'supervised'"]),
        (["tune", "--suite", "smoke"], ["tuned", "--to"]),
        (["check-method", "fixmach"], ["Did you mean 'fixmatch'"]),
        (["check-method", "absent.py"], ["error: check-method absent.py: ", "no such file"]),
        (
            ["check-method", "fixmatch", "--set", "threshold=1.3"],
            ["'threshold' is 1.3", "it must be at least 0 and at most 1"],
        ),
        (
            ["check-method", "fixmatch", "--set", "threshold=yes"],
            ["config field 'threshold' is True", "must be a number", "0.95"],
        ),
        (["check-method", "sefar", "--set", "levels=[2, yes]"], ["'levels.1' is True", "must be a number"]),
        (["check-method", "sefar", "--set", "mix=on"], ["'mix' is True", "'off'", "in quotes"]),
        (["check-method", "fixmatch", "--set", "ema_decay=1.0"], ["'ema_decay'", "at least 0 and below 1"]),
        (["check-method", "fixmatch", "--set", "unlabeled_weight=-1"], ["weight'", "at least 0 and finite"]),
        (["check-method", "fixmatch", "--set", "treshold=0.3"], ["Did you mean 'threshold'"]),
        (["check-method", "fixmatch", "--set", "threshold"], ["--set", "FIELD=VALUE"]),
        (["check-method", "fixmatch", "--set", "threshold=[1"], ["--set threshold=[1", "cannot be read"]),
        (["new", "method", "My-Method"], ["My-Method", "lower-case"]),
        (["new", "method", "fixmatch"], ["'fixmatch' already"]),
        (["new", "method", "random"], ["'random'", "Python module"]),
        (["new", "method", "lambda"], ["'lambda'", "cannot name"]),
        (["new", "method", "tensor"], ["class would be called Tensor"]),
        (["new", "methods", "x"], ["methods", "--help"]),
        (["data", "verify", "synthgim"], ["Did you mean 'synthgym"]),
        (["data", "rm", "absent"], ["absent"]),
    ],
)
def test_one_sentence_and_status_1(bench: Any, arguments: list[str], parts: list[str]) -> None:
    answer = bench(*arguments)
    assert answer.status == 1
    for part in parts:
        assert part in answer.sentence
    assert not bench.executed


def _change(*path: str | int, value: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        place: Any = content["sections"]["embedded"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "line_of", "parts"),
    [
        (
            _change("entries", 1, "method", value="fixmach"),
            "method: fixmach",
            ["entries.1.method", "Did you mean 'fixmatch'"],
        ),
        (
            _change("entries", 1, "config", value={"treshold": 0.9}),
            "treshold:",
            ["entries.1.config.treshold", "config field 'treshold'", "Did you mean 'threshold'"],
        ),
        (
            _change("entries", 1, "config", value={"threshold": 1.5}),
            "threshold:",
            ["entries.1", "'threshold' is 1.5"],
        ),
        (
            _change("entries", 1, "config", value={"threshold": 1.3}),
            "threshold:",
            ["entries.1", "config field 'threshold' is 1.3", "at least 0 and at most 1"],
        ),
        (
            _change("entries", 1, "config", value={"unlabeled_weight": -0.5}),
            "unlabeled_weight:",
            ["entries.1", "config field 'unlabeled_weight' is -0.5", "at least 0 and finite"],
        ),
        (
            _change("entries", 1, "config", value={"unlabeled_weight": float("inf")}),
            "unlabeled_weight:",
            ["entries.1", "config field 'unlabeled_weight' is inf"],
        ),
        (
            _change("shared", value={"ema_decay": 1.0}),
            "ema_decay:",
            [
                "embedded.shared.ema_decay (entry '",
                "config field 'ema_decay' is 1.0",
                "at least 0 and below 1",
            ],
        ),
        (
            _change("entries", 1, "config", value={"pseudo_labels": "techer"}),
            "pseudo_labels:",
            ["entries.1", "config field 'pseudo_labels' is 'techer'", "'student' or 'teacher'"],
        ),
        (
            _change("entries", 1, "config", value={"threshold": True}),
            "threshold:",
            ["entries.1", "config field 'threshold' is True", "must be a number"],
        ),
        (
            _change("backbone", "name", value="shiftnett"),
            "name: shiftnett",
            ["sections.embedded.backbone.name: ", "Did you mean 'shiftnet'"],
        ),
        (
            _change("backbone", "config", value={"widht": 8}),
            "widht:",
            ["sections.embedded.backbone.config.widht: ", "Did you mean 'width'"],
        ),
        (
            _change("entries", 1, "backbone", value={"name": "shiftnet", "config": {"widht": 8}}),
            "widht:",
            ["sections.embedded.entries.1.backbone.config.widht: ", "Did you mean 'width'"],
        ),
        (_change("protocol", "step", value=3), "step:", ["protocol.step", "Did you mean 'steps'"]),
        (_change("protocol", "steps", value="many"), "steps:", ["protocol.steps", "'many'"]),
        (_change("protocol", "steps", value=0), "steps:", ["protocol.steps", "greater"]),
        (_change("seeds", value="3-1"), "seeds:", ["seeds", "backwards"]),
        (_change("entries", 0, "role", value="competitor"), "embedded:", ["baseline"]),
        (_change("entries", 1, "labeled_augmentation", value="weak"), "- label: fixmatch", ["unfair"]),
    ],
)
def test_a_malformed_suite_is_refused_with_its_place(
    bench: Any, change: Any, line_of: str | None, parts: list[str]
) -> None:
    suite = bench.suite(change)
    answer = bench("run", "--suite", suite)
    assert answer.status == 1
    for part in parts:
        assert part in answer.sentence
    if line_of is not None:
        lines = suite.read_text(encoding="utf-8").splitlines()
        number = next(i for i, text in enumerate(lines, start=1) if text.strip().startswith(line_of))
        assert f"{suite}:{number}: " in answer.sentence
    assert not bench.executed


def test_off_without_quotes_is_the_choice_of_that_name(bench: Any) -> None:
    def mixing(word: object) -> Any:
        return _change(
            "entries",
            1,
            value={"label": "sefar", "method": "sefar", "config": {"mix": word, "levels": [2, 2, 4]}},
        )

    trials = [
        [
            each.spec.id
            for each in make_agenda(load_suite(str(bench.suite(mixing(word), name))), Choice()).trials
        ]
        for word, name in (("off", "quoted"), (False, "plain"))
    ]
    assert trials[0] and trials[0] == trials[1]
    assert "mix: false" in (bench.folder / "plain.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: the file must have lines of 'field: value', with the fields name, title, sect"),
        (
            "- smoke\n",
            ":1: the file must have lines of 'field: value', with the fields name, title, sect",
        ),
        (
            "name: a\ntitle: b\nsections: 3\n",
            ":3: field 'sections': it must have lines of 'field: value'",
        ),
        (
            "name: a\ntitle: b\nsections:\n  s: x\n",
            ":4: field 'sections.s': it must have lines of 'field",
        ),
        ("name: \x00", ": this is not valid YAML"),
    ],
)
def test_a_file_that_is_no_suite(bench: Any, text: str, said: str) -> None:
    path = bench.folder / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    answer = bench("plan", "--suite", path)
    assert answer.status == 1
    assert f"{path}{said}" in answer.sentence


def _accumulates(method: str, **fields: Any) -> Any:
    """Entry 1 is this method and batches are accumulated from 2 parts; `fields` of the section."""

    def change(content: dict[str, Any]) -> None:
        section = content["sections"]["embedded"]
        section["protocol"]["batch"]["accumulate"] = 2
        section["entries"][1] = {"label": method, "method": method}
        section.update(fields)

    return change


def test_a_method_of_whole_batches_is_not_accumulated_silently(bench: Any) -> None:
    answer = bench("run", "--suite", bench.suite(_accumulates("softmatch")))
    assert answer.status == 1 and not bench.executed
    for part in ("entries.1 'softmatch'", "not separable", "protocol.batch.accumulate", "independent_parts"):
        assert part in answer.sentence


@pytest.mark.parametrize(
    "change", [_accumulates("fixmatch"), _accumulates("softmatch", independent_parts=True)]
)
def test_separable_methods_and_parts_that_are_batches_are_accumulated(bench: Any, change: Any) -> None:
    assert bench("run", "--suite", bench.suite(change)).status == 0
    assert bench.executed


def test_a_suite_that_is_no_yaml(bench: Any) -> None:
    path = bench.folder / "broken.yaml"
    path.write_text("name: x\ntitle: [a, b\nsections: {}\n", encoding="utf-8")
    answer = bench("run", "--suite", path)
    assert answer.status == 1
    assert f"{path}:3" in answer.sentence


def test_a_damaged_specification(bench: Any) -> None:
    path = bench.folder / "spec.json"
    path.write_text('{"method": 3}', encoding="utf-8")
    answer = bench("trial", path)
    assert answer.status == 1
    assert str(path) in answer.sentence


def test_a_plugin_that_cannot_be_imported(bench: Any) -> None:
    path = bench.folder / "torn.py"
    path.write_text("import a_module_that_is_not_there\n", encoding="utf-8")
    whole = bench.folder / "whole.py"
    text = "from methods.supervised import Supervised\n\n\nclass Whole(Supervised):\n    name = 'whole'\n"
    whole.write_text(text, encoding="utf-8")
    answer = bench("ls", "methods", "--plugin", path, "--plugin", whole)
    assert answer.status == 0
    assert "\nwhole " in answer.out
    assert answer.err.startswith("warning: ") and answer.err.count("\n") == 1
    assert "torn.py" in answer.err and "a_module_that_is_not_there" in answer.err
    answer = bench("run", "--suite", bench.suite(), "--plugin", path, "--methods", "torn")
    assert answer.status == 1
    assert "torn.py" in answer.err and "error: --methods: there is no entry or method 'torn'" in answer.err
    assert not bench.executed


@pytest.fixture
def clips(bench: Any) -> Path:
    """A folder with real clips of four classes, three each in training and test, and their lists."""
    SynthGymTiny(quiet=True).prepare()
    source = SynthGymTiny().table()
    root = bench.folder / "clips"
    root.mkdir()
    for role, refs in (("train", source.train), ("test", source.test)):
        lines = []
        for ref in [ref for ref in refs if ref.label < 4][:12]:
            name = f"{role}_{ref.path.name}"
            shutil.copy(ref.path, root / name)
            lines.append(f"{name} {source.classes[ref.label]}\n")
        (bench.folder / f"{role}.txt").write_text("".join(lines), encoding="utf-8")
    return root


def _add(bench: Any, root: Path, **lists: Path) -> Any:
    train, test = lists.get("train", bench.folder / "train.txt"), lists.get("test", bench.folder / "test.txt")
    return bench("data", "add", "mine", "--train", train, "--test", test, "--root", root)


@pytest.fixture
def forget(bench: Any) -> Any:
    yield
    bench("data", "rm", "mine")


@pytest.mark.usefixtures("forget")
def test_own_clips_from_list_to_leaderboard(bench: Any, clips: Path) -> None:
    assert _add(bench, clips).status == 0
    assert "mine" in bench("data", "ls").out
    assert "mine" in bench("ls", "datasets").out
    assert bench("data", "verify", "mine").status == 0
    answer = bench("run", "--suite", bench.suite(), "--data", "mine", "--seeds", "0")
    assert answer.status == 0, answer.err
    assert sorted(bench.executed) == ["mine@3 fixmatch seed=0", "mine@3 supervised seed=0"]
    assert "mine" in (bench.folder / "runs/tiny/report/leaderboard.md").read_text(encoding="utf-8")
    assert "already registered" in _add(bench, clips).sentence


@pytest.mark.usefixtures("forget")
def test_own_clips_without_labels_run_without_the_bound(bench: Any, clips: Path) -> None:
    lines = (bench.folder / "train.txt").read_text(encoding="utf-8").splitlines()
    kept = [
        line for line in lines if line.split()[1] not in {k.split()[1] for k in lines[: lines.index(line)]}
    ]
    rest = [line.split()[0] for line in lines if line not in kept]
    (bench.folder / "train.txt").write_text("\n".join(kept), encoding="utf-8")
    (bench.folder / "rest.txt").write_text("\n".join(rest), encoding="utf-8")
    added = bench(
        "data", "add", "mine", "--train", "train.txt", "--unlabeled", "rest.txt", "--test", "test.txt",
        "--root", clips,
    )  # fmt: skip
    assert added.status == 0, added.err

    def bound(content: dict[str, Any]) -> None:
        entries = content["sections"]["embedded"]["entries"]
        entries.append({"label": "limit", "method": "supervised", "role": "bound"})

    answer = bench("plan", "--suite", bench.suite(bound), "--data", "mine", "--full")
    assert answer.status == 0, answer.err
    assert answer.out.count("data set 'mine' runs without the bound") == 1
    assert "supervised seed=0" in answer.out and "limit seed" not in answer.out


@pytest.mark.usefixtures("forget")
def test_own_clips_whose_lists_vanish_break_no_later_run(bench: Any, clips: Path) -> None:
    def add(name: str) -> None:
        lists = (bench.folder / f"{name}_train.txt", bench.folder / f"{name}_test.txt")
        for path, source in zip(lists, ("train.txt", "test.txt"), strict=True):
            shutil.copy(bench.folder / source, path)
        bench("data", "add", name, "--train", lists[0], "--test", lists[1], "--root", clips)

    command = ("run", "--suite", bench.suite(), "--seeds", "0", "--data")
    add("mine")
    assert bench(*command, "mine").status == 0
    (bench.folder / "mine_test.txt").unlink()
    add("mine_too")
    read_anew()  # as in the next process
    answer = bench(*command, "mine_too")
    bench("data", "rm", "mine_too")
    assert answer.status == 0, answer.err
    plan = json.loads((bench.folder / "runs/tiny/plan.json").read_text(encoding="utf-8"))
    assert {trial["cell"] for trial in plan["trials"]} == {"mine_too@3"}


@pytest.mark.parametrize("row", ["one_column\n", "{first}\n"])
def test_a_list_with_a_mistake_is_not_registered(bench: Any, clips: Path, row: str) -> None:
    path = bench.folder / "train.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + row.format(first=text.splitlines()[0]), encoding="utf-8")
    answer = _add(bench, clips)
    assert answer.status == 1
    assert f"{path}:13: " in answer.sentence
    assert "mine" not in bench("data", "ls").out


def test_a_test_list_with_a_label_that_training_lacks(bench: Any, clips: Path) -> None:
    path = bench.folder / "test.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(" forward_tucked", " forward_tuckt", 1), encoding="utf-8")
    answer = _add(bench, clips)
    assert answer.status == 1
    assert "test.txt:" in answer.sentence and "tuckt" in answer.sentence


def test_a_root_that_is_not_there(bench: Any, clips: Path) -> None:
    answer = _add(bench, clips / "deeper")
    assert answer.status == 1
    assert "--root" in answer.sentence


def test_a_name_that_is_taken_by_a_package(bench: Any, clips: Path) -> None:
    answer = bench("data", "add", "synthgym", "--train", "train.txt", "--test", "test.txt", "--root", clips)
    assert answer.status == 1
    assert "synthgym" in answer.sentence


@pytest.mark.usefixtures("forget")
def test_damaged_empty_and_one_frame_videos_cost_no_run(bench: Any, clips: Path) -> None:
    videos = sorted(path for path in clips.iterdir() if path.name.startswith("test_"))
    whole = videos[0].read_bytes()
    videos[0].write_bytes(whole[: len(whole) // 3])
    videos[1].write_bytes(b"")
    _one_frame(videos[2])
    first_train = min(path for path in clips.iterdir() if path.name.startswith("train_"))
    first_train.write_bytes(b"this is no video")
    assert _add(bench, clips).status == 0
    found = bench("data", "verify", "mine")
    assert found.status == 3
    for bad in (videos[0].name, videos[1].name, first_train.name):
        assert bad in found.out
    answer = bench("run", "--suite", bench.suite(), "--data", "mine", "--seeds", "0")
    assert answer.status == 0, answer.err
    for path in (bench.folder / "runs/tiny/trials").glob("*/done.json"):
        record = store.read_json(path)
        assert {videos[0].name, videos[1].name, first_train.name} <= set(record["excluded"])
        assert record["metrics"]["listed"] - record["metrics"]["evaluated"] == 2


def _one_frame(path: Path) -> None:
    import numpy as np

    from datasets.gym_files import encode
    from datasets.gymnast import GymParameters

    path.write_bytes(encode(np.full((1, 96, 96, 3), 90, np.uint8), GymParameters()))


def test_a_full_disk_is_one_sentence_and_loses_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = bench.suite()
    assert bench("run", "--suite", suite, "--seeds", "0").status == 0
    kept = {path: path.read_bytes() for path in (bench.folder / "runs").rglob("done.json")}

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bench.evaluate.write_predictions", full)
        answer = bench("run", "--suite", suite)
    assert answer.status == 1
    assert "the disk is full" in answer.sentence
    assert {path: path.read_bytes() for path in (bench.folder / "runs").rglob("done.json")} == kept
    assert not list((bench.folder / "runs").rglob("failed.json"))
    assert bench("run", "--suite", suite).status == 0
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_folder_that_cannot_be_made(bench: Any) -> None:
    (bench.folder / "occupied").write_text("a file", encoding="utf-8")
    answer = bench("run", "--suite", bench.suite(), "--out", "occupied")
    assert answer.status == 1
    assert "occupied" in answer.sentence


def test_our_own_fault_is_one_line_with_a_place(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("the bench\nhas a loose screw")

    monkeypatch.setattr(runner, "make_agenda", broken)
    answer = bench("run", "--suite", bench.suite())
    assert answer.status == 2
    place = Path(answer.sentence.rsplit("traceback: ", 1)[1].strip().rstrip(")"))
    assert "loose screw" in place.read_text(encoding="utf-8")
    place.unlink()


def test_another_package_called_datasets_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/__init__.py").write_text("", encoding="utf-8")
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from bench.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), "ls", "suites"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert str(tmp_path / "datasets") in answer.stderr and "environment of its own" in answer.stderr


def test_every_help_shows_an_example_and_the_first_one_the_exit_statuses(bench: Any) -> None:
    top = bench("--help")
    assert top.status == 0
    for code, meaning in exit_codes.MEANING.items():
        assert f"{code}: {meaning.split()[0]}" in top.out
    commands = [
        ["run"],
        ["plan"],
        ["report"],
        ["trial"],
        ["tune"],
        ["doctor"],
        ["check-method"],
        ["new", "method"],
        *(["ls", kind] for kind in ("methods", "datasets", "suites", "backbones")),
        *(["data", kind] for kind in ("add", "ls", "rm", "verify")),
    ]
    for command in commands:
        answer = bench(*command, "--help")
        assert answer.status == 0
        assert f"python -m bench {' '.join(command)}" in answer.out.split("Example:")[1]


def test_doctor_finds_nothing_here(bench: Any) -> None:
    answer = bench("doctor")
    assert answer.status in (0, 3)
    for word in ("torch", "CPUs", "decord", "GiB free", "'datasets' is ours"):
        assert word in answer.out


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "suites"]])
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from bench import cli; status = cli.invoke(sys.argv[1:]);"
        "print(sorted({'torch', 'pandas', 'ray', 'scipy', 'cv2'} & set(sys.modules))); sys.exit(status)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0
    assert answer.stdout.rstrip().endswith("[]")


def test_interrupting_anything_gives_130(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "make_agenda", interrupted)
    answer = bench("run", "--suite", bench.suite())
    assert answer.status == 130
    assert "goes on" in answer.err
    assert cli.foreign_datasets() == ""
