"""`bench qa`, and `bench new questions`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.features import FeatureFile, Fit, FitOn, Named
from datasets.errors import UserError

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.feature_files import Features
    from bench.language_model import LanguageModel, Projector
    from bench.questions import Question


def qa(
    file: FeatureFile,
    questions: Annotated[
        Path, typer.Argument(help="JSON lines with clip, question, options and answer; see docs/features.md.")
    ],
    named: Named = "fused",
    fit: FitOn = Fit.labeled,
    model: Annotated[
        Path | None, typer.Option("--model", help="A folder with a causal language model of Hugging Face.")
    ] = None,
    train_questions: Annotated[
        Path | None,
        typer.Option("--train-questions", help="Questions about training clips, to train the projector on."),
    ] = None,
    projector: Annotated[
        Path | None,
        typer.Option("--projector", help="The projector: written when it is trained, else read."),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of training the projector.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of training the projector.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Answer multiple-choice questions from features: by probes, and by a language model that sees them.

    Without --model, a linear probe and k nearest neighbors choose the option whose class is likeliest. With
    it, a projector into the language model is trained (the model stays as it is), and the letter that it
    finds likeliest is its answer; this needs the extra sefar-bench[qa].

    Example: python -m bench qa features.safetensors questions.jsonl
    """
    from bench import answers, feature_files, probes
    from bench import questions as reader

    found, asked = feature_files.read(file), reader.read(questions)
    results: list[Answers] = []
    if model is None:
        if train_questions is not None or projector is not None:
            raise UserError(
                "--train-questions and --projector belong to a language model: add --model FOLDER."
            )
        results = [answers.by_probe(found, named, each, fit.value, asked) for each in probes.PROBES]
    else:
        results = [_by_language_model(found, named, asked, model, train_questions, projector, epochs, seed)]
    if as_json:
        rows = [{"by": r.by, "accuracy": r.accuracy, "chance": r.chance, "right": r.right} for r in results]
        print(json.dumps(rows, indent=1))
        return 0
    for result in results:
        print(
            f"{result.by:14} accuracy {100 * result.accuracy:.1f}  chance {100 * result.chance:.1f}  "
            f"({len(asked)} questions)"
        )
    return 0


def _by_language_model(
    found: Features,
    named: str,
    asked: list[Question],
    folder: Path,
    train_questions: Path | None,
    projector_file: Path | None,
    epochs: int,
    seed: int,
) -> Answers:
    import torch

    from bench import answers, language_model
    from bench import questions as reader
    from bench.store import refuse_place

    x = torch.from_numpy(found.named(named))
    rows = reader.rows_of(asked, found)
    lessons = None if train_questions is None else reader.read(train_questions)
    if lessons is None:
        _refuse_untrained(projector_file)
    else:
        _refuse_shared(found, asked, lessons)
        if projector_file is not None:  # said before the training, whose result it would cost
            refuse_place(projector_file, "--projector")
    model = language_model.LanguageModel(folder)
    if lessons is None:
        assert projector_file is not None
        projector = language_model.load_projector(projector_file, x.shape[1], model)
    else:
        projector = _trained(model, x, found, lessons, epochs, seed)
        if projector_file is not None:
            language_model.save_projector(projector, projector_file)
    return answers.marked(
        "language model", asked, language_model.scores(model, projector, x[torch.tensor(rows)], asked)
    )


def _refuse_untrained(projector_file: Path | None) -> None:
    if projector_file is None:
        raise UserError(
            "--model needs --train-questions FILE to train a projector, or a trained --projector FILE."
        )
    if not projector_file.is_file():
        raise UserError(
            f"--projector {projector_file}: there is no such file; train one with --train-questions."
        )


def _refuse_shared(found: Features, asked: list[Question], lessons: list[Question]) -> None:
    index = found.index
    held_out = {each.clip for each in asked} | set(index.loc[index["role"] == "test", "clip"])
    shared = held_out & {each.clip for each in lessons}
    if shared:
        raise UserError(
            f"--train-questions asks of '{min(shared)}', a clip that is tested on; train on other clips."
        )


def _trained(
    model: LanguageModel, x: object, found: Features, lessons: list[Question], epochs: int, seed: int
) -> Projector:
    import torch

    from bench import language_model
    from bench import questions as reader

    rows = torch.tensor(reader.rows_of(lessons, found))
    settings = language_model.Training(epochs=epochs, seed=seed)
    return language_model.train(model, torch.as_tensor(x)[rows], lessons, settings)


def new_questions(
    file: FeatureFile,
    out: Annotated[Path, typer.Option("--out", help="The questions, as JSON lines.")] = Path(
        "questions.jsonl"
    ),
    role: Annotated[str, typer.Option("--role", help="Of which clips: train or test.")] = "test",
    options: Annotated[int, typer.Option("--options", min=2, max=26, help="To choose from.")] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws.")] = 0,
) -> int:
    """Write a question for every clip of a list: its class among others that are drawn.

    Example: python -m bench new questions features.safetensors --role test --out questions.jsonl
    """
    from bench import feature_files
    from bench import questions as maker

    found = feature_files.read(file)
    items = maker.make(found, role, options, seed)
    if not items:
        roles = ", ".join(sorted(set(found.index["role"])))
        raise UserError(f"--role {role}: these features have no clips of it with labels, but of: {roles}.")
    maker.write(items, out)
    print(f"{len(items)} questions: {out}")
    return 0
