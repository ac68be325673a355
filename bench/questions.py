"""Multiple-choice questions about clips: JSON lines, one question each, in the shape of Gym-QA.

    {"id": "7", "clip": "a/b.mp4", "question": "...", "options": {"A": "...", "B": "..."}, "answer": "B"}

`options` may be a list, lettered A, B, ... in its order; `answer` is a letter or an option's text; `video`
may stand for `clip`; `id` may be left out.
"""

from __future__ import annotations

import difflib
import json
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.feature_files import Features
from bench.store import write_bytes
from datasets.draws import generator
from datasets.errors import UserError, reason

LETTERS = string.ascii_uppercase
DEFAULT_QUESTION = "Which action does the video show?"


@dataclass(frozen=True)
class Question:
    """A question about a clip.  `answer` is the position of the right option; `place` is FILE:LINE."""

    name: str
    clip: str
    question: str
    options: tuple[str, ...]
    answer: int
    place: str


def read(path: Path) -> list[Question]:
    """Reads questions.

    Raises:
        UserError: naming file, line and field, for what is no question.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at U+2028, which may stand within a text
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}).") from None
    found = [_question(line, f"{path}:{n}", str(n)) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UserError(f"{path}: there is no question in it; write one JSON object per line.")
    return found


def _question(line: str, place: str, number: str) -> Question:
    try:
        item = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place}: this is not JSON ({error}).") from None
    if not isinstance(item, dict):
        raise UserError(f'{place}: a line must hold one JSON object, as in {{"clip": ..., "question": ...}}.')
    clip = item.get("clip", item.get("video"))
    for field, value in (("clip", clip), ("question", item.get("question"))):
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{place}: field '{field}' must be a text that is not empty.")
    letters, options = _options(item.get("options"), place)
    return Question(
        name=str(item.get("id", number)),
        clip=str(clip),
        question=str(item["question"]),
        options=options,
        answer=_answer(item.get("answer"), letters, options, place),
        place=place,
    )


def _options(given: Any, place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pairs = list(given.items()) if isinstance(given, dict) else None
    if isinstance(given, list):
        pairs = list(zip(LETTERS, given, strict=False))
    count = len(given) if isinstance(given, list | dict) else 0
    if pairs is None or not 2 <= count <= len(LETTERS):
        raise UserError(
            f"{place}: field 'options' must be a list of 2 to {len(LETTERS)} texts, or letters with texts."
        )
    if not all(isinstance(text, str) and text.strip() for _, text in pairs):
        raise UserError(f"{place}: field 'options': every option must be a text that is not empty.")
    options = tuple(str(text) for _, text in pairs)
    if len({plain(option) for option in options}) < len(options):
        raise UserError(f"{place}: field 'options': two options are the same.")
    return tuple(str(letter) for letter, _ in pairs), options


def _answer(given: Any, letters: Sequence[str], options: Sequence[str], place: str) -> int:
    if isinstance(given, str):
        if given.strip() in letters:
            return letters.index(given.strip())
        texts = [plain(option) for option in options]
        if plain(given) in texts:
            return texts.index(plain(given))
    raise UserError(
        f"{place}: field 'answer' is {given!r}; it must be one of the letters {', '.join(letters)} or the "
        "text of an option."
    )


def plain(text: str) -> str:
    """A text without differences of case and spacing."""
    return " ".join(text.casefold().split())


def rows_of(questions: Sequence[Question], features: Features) -> list[int]:
    """The row of each question's clip.

    Raises:
        UserError: for a clip without features (the nearest one is offered).
    """
    rows = dict(zip(features.index["clip"], features.index["row"], strict=True))
    for each in questions:
        if each.clip not in rows:
            if each.clip in features.about.get("excluded", {}):
                raise UserError(
                    f"{each.place}: clip '{each.clip}' cannot be decoded; leave its question out."
                )
            near = difflib.get_close_matches(each.clip, list(rows), 1, 0.5)
            hint = f"; did you mean '{near[0]}'?" if near else "."  # not all of them: there are thousands
            raise UserError(f"{each.place}: the features have no clip '{each.clip}'{hint}")
    return [int(rows[each.clip]) for each in questions]


def make(features: Features, role: str, options: int, seed: int) -> list[dict[str, Any]]:
    """A question for every clip of a list: its class among others that are drawn.

    Args:
        features: features with an index.
        role: the list, `train` or `test`.
        options: how many to choose from; no more than there are classes.
        seed: of the draws; the question about one clip does not depend on the other clips.

    Raises:
        UserError: when there are not two classes to choose from.
    """
    index = features.index[(features.index["role"] == role) & (features.index["label"] >= 0)]
    names = sorted(set(features.index["class_name"]) - {""})
    if len(index) and len(names) < 2:
        raise UserError(f"these features are all of class '{names[0]}'; a question needs two to choose from.")
    made: list[dict[str, Any]] = []
    for clip, right in zip(index["clip"], index["class_name"], strict=True):
        rng = generator(seed, f"options/{clip}")
        others = [name for name in names if name != right]
        drawn = [others[i] for i in rng.permutation(len(others))[: options - 1]] + [right]
        shuffled = [drawn[i] for i in rng.permutation(len(drawn))]
        made.append(
            {
                "id": clip,
                "clip": clip,
                "question": DEFAULT_QUESTION,
                "options": dict(zip(LETTERS, shuffled, strict=False)),
                "answer": LETTERS[shuffled.index(right)],
            }
        )
    return made


def write(items: Iterable[dict[str, Any]], path: Path) -> None:
    """Writes questions as JSON lines.

    Raises:
        UserError: for a place that cannot be written.
    """
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    write_bytes(path, text.encode())
