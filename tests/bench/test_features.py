"""Kept weights, features of a trained net, probes on them, and multiple-choice questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from bench import feature_files, questions
from bench.answers import by_probe, marked
from bench.feature_files import Features
from bench.probes import PROBES, class_probabilities, evaluate
from bench.questions import Question
from bench.store import read_json
from datasets.errors import UserError


def _only_trial(bench: Any, *more: str) -> Path:
    """Runs one short trial of fixmatch and gives its folder."""
    assert bench("run", "--suite", bench.suite(), "--methods", "fixmatch", "--seeds", "0", *more).status == 0
    folders = (bench.folder / "runs/tiny/trials").iterdir()
    return next(each for each in folders if read_json(each / "done.json")["spec"]["method"] == "fixmatch")


def test_features_load_without_this_package_and_belong_to_the_evaluated_model(bench: Any) -> None:
    trial = _only_trial(bench, "--keep-weights")
    made = bench("features", trial, "--data", "synthgym_tiny", "--out", "out/features.safetensors")
    assert made.status == 0, made.err
    table = pq.read_table(bench.folder / "out/features.parquet").to_pandas()
    with safe_open(bench.folder / "out/features.safetensors", "numpy") as file:
        level, fused = file.get_tensor("level_0"), file.get_tensor("fused")
        about = {name: json.loads(value) for name, value in file.metadata().items()}
    assert list(table["row"]) == list(range(len(fused))) and len(level) == len(fused)
    assert table["clip"].is_unique and about["trained_on"] == "synthgym_tiny@2"
    with safe_open(trial / "model.safetensors", "numpy") as file:
        weight, bias = file.get_tensor("head.classify.weight"), file.get_tensor("head.classify.bias")
    predicted = pd.read_parquet(trial / "predictions.parquet").set_index("clip")["predicted"]
    tested = table[table["role"] == "test"]
    ours = (fused[tested["row"]] @ weight.T + bias).argmax(1)
    assert (ours == predicted.loc[tested["clip"]].to_numpy()).all()
    assert set(predicted.index) == set(tested["clip"])
    labeled = table[table["labeled"]]
    assert set(labeled["role"]) == {"train"} and set(labeled["label"].value_counts()) == {2}

    for command in (["probe"], ["new", "questions"], ["qa"]):
        more = ["questions.jsonl"] if command == ["qa"] else []
        answered = bench(*command, "out/features.safetensors", *more)
        assert answered.status == 0, answered.err
    assert "chance 25.0" in answered.out and f"({len(tested)} questions)" in answered.out


@pytest.mark.parametrize("method", ["cmpl", "ltg", "sefar"])
def test_nets_with_a_second_stream_or_several_levels_have_features_too(bench: Any, method: str) -> None:
    def change(content: dict[str, Any]) -> None:
        config = {"levels": [2, 2, 4]} if method == "sefar" else {}
        content["sections"]["embedded"]["entries"][1] = {"label": method, "method": method, "config": config}

    run = bench("run", "--suite", bench.suite(change), "--methods", method, "--seeds", "0", "--keep-weights")
    assert run.status == 0, run.err
    folders = (bench.folder / "runs/tiny/trials").iterdir()
    trial = next(each for each in folders if read_json(each / "done.json")["spec"]["method"] == method)
    made = bench("features", trial, "--out", "f.safetensors")
    assert made.status == 0, made.err
    found = feature_files.read(Path("f.safetensors"))
    levels = ["level_0", "level_1", "level_2"] if method == "sefar" else ["level_0"]
    assert sorted(found.tensors) == ["fused", *levels]
    with safe_open(trial / "model.safetensors", "numpy") as file:
        weight, bias = file.get_tensor("head.classify.weight"), file.get_tensor("head.classify.bias")
    predicted = pd.read_parquet(trial / "predictions.parquet").set_index("clip")["predicted"]
    tested = found.index[found.index["role"] == "test"]
    ours = (found.tensors["fused"][tested["row"]] @ weight.T + bias).argmax(1)
    assert (ours == predicted.loc[tested["clip"]].to_numpy()).all()


def test_a_trial_without_weights_says_how_to_get_them_and_that_gets_them(bench: Any) -> None:
    trial = _only_trial(bench)
    refused = bench("features", trial)
    assert refused.status == 1
    command = refused.sentence.split("with: python -m bench ")[1].split(" (")[0]
    again = bench(*command.split())
    assert again.status == 0, again.err
    kept = bench.folder / "weights/single/trials" / trial.name
    assert bench("features", kept).status == 0
    same = [read_json(each / "done.json")["predictions_sha256"] for each in (trial, kept)]
    assert same[0] == same[1]
    assert "weights_sha256" not in read_json(trial / "done.json")
    with (kept / "model.safetensors").open("ab") as file:
        file.write(b"x")
    assert "was changed after its trial" in bench("features", kept).sentence


def test_weights_of_an_earlier_training_do_not_outlive_it(bench: Any) -> None:
    trial = _only_trial(bench, "--keep-weights")
    assert (trial / "model.safetensors").is_file()
    (trial / "done.json").unlink()
    _only_trial(bench)
    assert not (trial / "model.safetensors").exists()
    assert "kept no weights" in bench("features", trial).sentence


def test_an_absent_trial_and_foreign_files_are_one_sentence_each(bench: Any) -> None:
    assert "no finished trial here" in bench("features", "nowhere").sentence
    assert "no such file" in bench("probe", "nowhere.safetensors").sentence
    Path("broken.safetensors").write_bytes(b"nothing")
    pd.DataFrame({"row": [0]}).to_parquet("broken.parquet")
    assert "cannot be read" in bench("probe", "broken.safetensors").sentence


def test_features_that_somebody_else_made_are_looked_at_first(bench: Any) -> None:
    made = blobs()
    made.tensors["level_0"][3, 1] = np.nan
    feature_files.write(made, Path("f.safetensors"))
    assert "tensor 'level_0' has values that are not finite" in bench("probe", "f.safetensors").sentence
    index = made.index.assign(label=[f"class {each}" for each in made.index["label"]])
    index.to_parquet("f.parquet")
    assert "column 'label' must hold whole numbers" in bench("probe", "f.safetensors").sentence


def test_questions_need_two_classes_and_may_hold_any_character(bench: Any) -> None:
    made = blobs()
    one = Features(made.tensors, made.index.assign(class_name="Salto"), {})
    feature_files.write(one, Path("one.safetensors"))
    assert "all of class 'Salto'" in bench("new", "questions", "one.safetensors").sentence
    names = made.index["class_name"] + "\u2028tucked"
    feature_files.write(
        Features(made.tensors, made.index.assign(class_name=names), {}), Path("f.safetensors")
    )
    assert bench("new", "questions", "f.safetensors").status == 0
    assert all(
        "\u2028" in option for each in questions.read(Path("questions.jsonl")) for option in each.options
    )


def test_places_that_cannot_be_written_are_one_sentence(bench: Any) -> None:
    feature_files.write(blobs(), Path("f.safetensors"))
    Path("taken").mkdir()
    for out in ("taken", "f.parquet/questions.jsonl"):
        refused = bench("new", "questions", "f.safetensors", "--out", out)
        assert refused.status == 1 and "cannot be written" in refused.sentence
        assert "--out" in refused.sentence
    Path("taken/g.safetensors").mkdir()
    with pytest.raises(UserError, match=r"taken/g\.safetensors: is a folder"):
        feature_files.write(blobs(), Path("taken/g.safetensors"))
    for out, said in (("f.npz", "must end in .safetensors"), ("taken/g.safetensors", "is a folder")):
        assert said in bench("features", "nowhere", "--out", out).sentence  # before it looks at the trial
    assert bench("new", "questions", "f.safetensors", "--out", "new/q.jsonl").status == 0
    assert sorted(path.name for path in Path().iterdir() if path.is_file()) == ["f.parquet", "f.safetensors"]


def blobs(per_class: int = 6, classes: int = 3) -> Features:
    """Features that tell the classes apart in `fused` and nothing in `level_0`."""
    rng = np.random.default_rng(0)
    label = np.tile(np.arange(classes), 2 * per_class)
    role = np.repeat(["train", "test"], classes * per_class)
    centers = np.eye(classes, 8) * 4
    index = pd.DataFrame(
        {
            "row": np.arange(len(label)),
            "clip": [f"{r}/{i}" for i, r in enumerate(role)],
            "role": role,
            "label": label,
            "class_name": [f"Class {c}" for c in label],
            "group": "",
            "labeled": (role == "train") & (np.arange(len(label)) < 2 * classes),
        }
    )
    fused = (centers[label] + rng.normal(0, 0.3, (len(label), 8))).astype(np.float32)
    return Features({"level_0": np.ones((len(label), 4), np.float32), "fused": fused}, index, {})


@pytest.mark.parametrize("probe", PROBES)
def test_probes_find_classes_where_features_hold_them_and_chance_elsewhere(probe: Any) -> None:
    found = blobs()
    score = evaluate(found, "fused", probe, "labeled")
    assert (score.top1, score.mean_class, score.fitted, score.scored) == (1.0, 1.0, 6, 18)
    assert evaluate(found, "fused", probe, "train").fitted == 18
    assert evaluate(found, "level_0", probe, "train").top1 == pytest.approx(1 / 3)


@pytest.mark.parametrize("probe", PROBES)
def test_probabilities_sum_to_one_and_leave_classes_without_clips_at_zero(probe: Any) -> None:
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    probs = class_probabilities(probe, x, np.array([0, 0, 2, 2, 0, 2]), x, 4)
    assert probs.sum(1) == pytest.approx(np.ones(6)) and not probs[:, [1, 3]].any()


def test_a_probe_is_never_fitted_on_a_clip_that_is_asked_about() -> None:
    found = blobs()
    lied = found.index.copy()
    lied.loc[0, "label"], lied.loc[0, "class_name"] = 1, "Class 1"  # clip 0 looks like class 0
    asked = [Question("q", "train/0", "?", ("Class 0", "Class 1"), 0, "f:1")]
    told = Features(found.tensors, lied, {})
    assert by_probe(told, "fused", "knn", "labeled", asked).accuracy == 1.0


def test_a_tie_is_no_answer_and_chance_follows_the_number_of_options() -> None:
    asked = [Question(str(n), "c", "?", ("a", "b", "c")[:n], 1, "f:1") for n in (2, 3)]
    result = marked("x", asked, [np.array([0.5, 0.5]), np.array([0.1, 0.3, 0.2])])
    assert result.right == (False, True)
    assert result.chance == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_questions_come_in_both_shapes_and_round_trip(tmp_path: Path) -> None:
    found = blobs()
    items = questions.make(found, "test", 3, seed=0)
    questions.write(items, tmp_path / "q.jsonl")
    read = questions.read(tmp_path / "q.jsonl")
    names = dict(zip(found.index["clip"], found.index["class_name"], strict=True))
    assert len(read) == 18 and all(each.options[each.answer] == names[each.clip] for each in read)
    assert len({each.answer for each in read}) == 3
    assert by_probe(found, "fused", "linear", "labeled", read).accuracy == 1.0
    text = '{"video": "c", "question": "?", "options": ["Yes it does", "No"], "answer": " no "}\n'
    (tmp_path / "list.jsonl").write_text("\n" + text, encoding="utf-8")
    (one,) = questions.read(tmp_path / "list.jsonl")
    assert (one.clip, one.options, one.answer, one.name) == ("c", ("Yes it does", "No"), 1, "2")


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("{", r"q\.jsonl:1: this is not JSON"),
        ("[]", r"q\.jsonl:1: a line must hold one JSON object"),
        ('{"clip": "c", "options": ["a", "b"], "answer": "A"}', r":1: field 'question'"),
        ('{"clip": "c", "question": "?", "options": ["a"], "answer": "A"}', r":1: field 'options'"),
        (
            '{"clip": "c", "question": "?", "options": ["a", "A "], "answer": "A"}',
            r"two options are the same",
        ),
        ('{"clip": "c", "question": "?", "options": ["x", "y"], "answer": "C"}', r"'C'; it must be .*A, B"),
        ('{"clip": "c", "question": "?", "options": ["x", "y"], "answer": 1}', r":1: field 'answer' is 1"),
        ("", r"no question in it"),
    ],
)
def test_mistakes_in_questions_name_file_line_and_field(line: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(UserError, match=match):
        questions.read(tmp_path / "q.jsonl")


def test_unknown_clips_classes_and_features_offer_the_nearest(tmp_path: Path) -> None:
    found = blobs()

    def asked(clip: str, *options: str) -> list[Question]:
        return [Question("q", clip, "?", options, 0, "q.jsonl:4")]

    with pytest.raises(UserError, match=r"q\.jsonl:4.*'tesst/18'; did you mean 'test/18'"):
        by_probe(found, "fused", "knn", "train", asked("tesst/18", "Class 0", "Class 1"))
    with pytest.raises(UserError, match=r"q\.jsonl:4.*'Clas 0'.*Did you mean 'Class 0'"):
        by_probe(found, "fused", "knn", "train", asked("test/18", "Clas 0", "b"))
    with pytest.raises(UserError, match=r"--features.*'fusd'.*Did you mean 'fused'"):
        evaluate(found, "fusd", "knn", "train")
    with pytest.raises(UserError, match=r"must end in \.safetensors"):
        feature_files.write(found, tmp_path / "features.npz")
