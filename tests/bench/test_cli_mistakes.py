"""What users get wrong: one sentence with the thing, the place and the cure; status 1; nothing lost."""

from __future__ import annotations

from typing import Any

import pytest

from bench.agenda import make_agenda
from bench.plan import Choice
from bench.suite import load_suite


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
            _change("protocol", "augmentations", "strong", value={"flip": 50}),
            "flip:",
            ["embedded.protocol.augmentations.strong.flip", "less than or equal to 1"],
        ),
        (
            _change("protocol", "augmentations", "strong", value={"scale": [float("nan"), 1]}),
            None,
            ["embedded.protocol.augmentations.strong.scale"],
        ),
        (
            _change("protocol", "augmentations", "strong", value={"scale": [1.0, 0.5]}),
            "strong:",
            ["embedded.protocol.augmentations.strong", "'scale' is [1, 0.5]; write the smaller number first"],
        ),
        (
            _change("protocol", "augmentations", "strong", value={"permute": 0.8, "gray": 0.8}),
            "strong:",
            ["embedded.protocol.augmentations.strong", "'permute' and 'gray' add up to 1.6; 1 is the most"],
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
        (_change("seeds", value="99-100"), "embedded:", ["'tune' searches on seed 100", "take others"]),
        (_change("tasks", value=[]), "embedded:", ["'tasks' is empty", "at least one"]),
        (
            _change("tasks", value=[{"data": "synthgym_tiny", "labels": ["2"]}] * 2),
            "embedded:",
            ["'synthgym_tiny@2' is listed in two tasks"],
        ),
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
        ("name: a\ntitle: b\nsections: {}\n", ":3: field 'sections': "),
        ("name: a\ntitle: b\nequivalence_points: .nan\nsections: {}\n", ":3: field 'equivalence_points': "),
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
