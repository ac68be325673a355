"""Questions answered by a language model: a tiny one with random weights, made here."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench import feature_files, language_model, questions
from bench.feature_files import Features
from bench.language_model import LanguageModel, Training
from bench.questions import LETTERS, Question
from datasets.errors import UserError

try:
    import tokenizers
    import transformers
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    pytest.skip("transformers is not installed: pip install 'sefar-bench[qa]'", allow_module_level=True)

WORDS = [
    *[
        "Question",
        ":",
        "?",
        "Options",
        "(",
        ")",
        "yes",
        "no",
        "maybe",
        "Answer",
        "with",
        "a",
        "letter",
        ".",
        "is",
        "it",
    ]
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers and its tokenizer of a few words and all letters."""
    made = tmp_path_factory.mktemp("llama")
    words = ["<s>", "<unk>", *WORDS, *(each for each in LETTERS if each not in WORDS)]
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>")
    raw = tokenizers.Tokenizer(model)
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    wrapped: Any = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", unk_token="<unk>"
    )
    wrapped.save_pretrained(made)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(made)
    return made


def asked(count: int, answers: list[int]) -> list[Question]:
    return [
        Question(str(i), f"clip {i}", "is it ?", ("yes", "no", "maybe")[: 2 + i % 2], answers[i], f"q:{i}")
        for i in range(count)
    ]


def lesson(n: int, seed: int) -> tuple[torch.Tensor, list[Question]]:
    """Clips whose feature tells whether the answer is the first option or the second."""
    answers = np.random.default_rng(seed).integers(0, 2, n)
    x = torch.from_numpy(np.eye(2)[answers].repeat(3, 1).astype(np.float32))
    return x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)), asked(
        n, answers.tolist()
    )


def accuracy(model: LanguageModel, projector: Any, x: torch.Tensor, questions: list[Question]) -> float:
    scores = language_model.scores(model, projector, x, questions)
    return float(np.mean([s.argmax() == q.answer for s, q in zip(scores, questions, strict=True)]))


def test_a_trained_projector_lets_a_frozen_model_answer(folder: Path, tmp_path: Path) -> None:
    model = LanguageModel(folder)
    before = {name: value.clone() for name, value in model._model.state_dict().items()}
    x, questions = lesson(48, 1)
    projector = language_model.train(model, x, questions, Training(epochs=8, batch=8, lr=1e-2))
    new_x, new_questions = lesson(24, 2)
    assert accuracy(model, projector, new_x, new_questions) == 1.0
    assert all(torch.equal(value, before[name]) for name, value in model._model.state_dict().items())
    again = language_model.train(model, x, questions, Training(epochs=8, batch=8, lr=1e-2))
    assert torch.equal(again.outer.weight, projector.outer.weight)
    language_model.save_projector(projector, tmp_path / "p.safetensors")
    loaded = language_model.load_projector(tmp_path / "p.safetensors", 6, model)
    for one, other in zip(
        language_model.scores(model, projector, new_x, new_questions),
        language_model.scores(model, loaded, new_x, new_questions),
        strict=True,
    ):
        assert np.array_equal(one, other)
    with pytest.raises(UserError, match=r"features of width 7.*--train-questions"):
        language_model.load_projector(tmp_path / "p.safetensors", 7, model)


def test_scores_do_not_depend_on_the_questions_beside_them(folder: Path) -> None:
    model = LanguageModel(folder)
    x, questions = lesson(5, 3)
    projector = language_model.Projector(6, model.hidden)
    together = language_model.scores(model, projector, x, questions)
    alone = [language_model.scores(model, projector, x[i : i + 1], [q])[0] for i, q in enumerate(questions)]
    assert [len(each) for each in together] == [2, 3, 2, 3, 2]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_folders_without_a_model_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder"):
        LanguageModel(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no causal language model"):
        LanguageModel(tmp_path)


def test_damaged_and_partial_models_are_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    weights = "model.safetensors"
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "hidden_size": 16}))
    with pytest.raises(UserError, match=r"other: holds no causal language model"):
        LanguageModel(other)
    (other / "config.json").write_text(json.dumps({**config, "hidden_size": "wide"}))
    with pytest.raises(UserError, match=r"other: holds no causal language model"):
        LanguageModel(other)
    (other / "config.json").write_text(json.dumps(config))
    state = load_file(other / weights)
    save_file({k: v for k, v in state.items() if k != "lm_head.weight"}, other / weights, {"format": "pt"})
    with pytest.raises(
        UserError, match=r"lack 1 weights of a causal language model \('lm_head.weight' first\)"
    ):
        LanguageModel(other)
    (other / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    LanguageModel(other)  # there the last layer is the embedding


def _yes_or_no(per_role: int = 24) -> Features:
    """Clips of the classes "yes" and "no", which their features tell apart."""
    label = np.tile([0, 1], per_role)
    role = np.repeat(["train", "test"], per_role)
    index = pd.DataFrame(
        {
            "row": np.arange(len(label)),
            "clip": [f"{each}/{i}" for i, each in enumerate(role)],
            "role": role,
            "label": label,
            "class_name": np.array(["yes", "no"])[label],
            "group": "",
            "labeled": role == "train",
        }
    )
    noise = 0.05 * np.random.default_rng(0).normal(size=(len(label), 6))
    x = (np.eye(2)[label].repeat(3, 1) + noise).astype(np.float32)
    return Features({"level_0": x, "fused": x}, index, {})


def test_qa_trains_a_projector_keeps_it_and_answers_with_it(bench: Any, folder: Path) -> None:
    found = _yes_or_no()
    feature_files.write(found, Path("f.safetensors"))
    for role in ("train", "test"):
        questions.write(questions.make(found, role, 2, seed=0), Path(f"{role}.jsonl"))
    asked = (
        "qa",
        "f.safetensors",
        "test.jsonl",
        "--model",
        folder,
        "--projector",
        "new/p.safetensors",
        "--json",
    )
    taught = bench(*asked, "--train-questions", "train.jsonl", "--epochs", "40")
    assert taught.status == 0, taught.err
    (told,) = json.loads(taught.out)
    assert (told["by"], told["chance"], len(told["right"])) == ("language model", 0.5, 24)
    assert told["accuracy"] > 0.9
    read = bench(*asked)  # the projector alone, as it was written
    assert read.status == 0, read.err
    assert json.loads(read.out) == [told]


def test_qa_without_lessons_or_projector_is_one_sentence(bench: Any, folder: Path) -> None:
    found = _yes_or_no(4)
    feature_files.write(found, Path("f.safetensors"))
    for role in ("train", "test"):
        questions.write(questions.make(found, role, 2, seed=0), Path(f"{role}.jsonl"))
    asked = ("qa", "f.safetensors", "test.jsonl", "--model")
    lessons = (folder, "--train-questions", "train.jsonl", "--projector")
    for more, complaint in (
        ((folder,), "--train-questions"),
        ((folder, "--train-questions", "test.jsonl"), "a clip that is tested on"),
        (("nowhere", "--train-questions", "train.jsonl"), "no such folder"),
        ((folder, "--projector", "absent.safetensors"), "there is no such file"),
        ((*lessons, "."), "is a folder; give a file with --projector"),
        ((*lessons, "train.jsonl/p.safetensors"), "give another folder with --projector"),
    ):
        refused = bench(*asked, *more)
        assert refused.status == 1 and complaint in refused.sentence
