"""Multiple-choice questions answered by a probe: the option whose class is likeliest for the clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.feature_files import Features
from bench.probes import Clips, Probe, class_probabilities, fit_rows
from bench.questions import Question, plain, rows_of
from datasets.errors import UserError, unknown_name


@dataclass(frozen=True)
class Answers:
    """What answered, and for each question whether it was right; `chance` is the accuracy of guessing."""

    by: str
    right: tuple[bool, ...]
    chance: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.mean(self.right))


def marked(by: str, questions: Sequence[Question], scores: Sequence[NDArray[np.float64]]) -> Answers:
    """Right is an answer that scores higher than every other option; a tie is no answer.

    Args:
        by: what answered.
        questions: the questions.
        scores: for each question one score per option.
    """
    right = [
        bool((np.delete(score, each.answer) < score[each.answer]).all())
        for each, score in zip(questions, scores, strict=True)
    ]
    return Answers(by, tuple(right), float(np.mean([1 / len(each.options) for each in questions])))


def by_probe(
    features: Features, name: str, probe: Probe, clips: Clips, questions: Sequence[Question]
) -> Answers:
    """Answers by a probe that is fitted on labeled clips and never on a clip that is asked about.

    Raises:
        UserError: for an option that names no class, a clip without features, or nothing to fit on.
    """
    rows, index = rows_of(questions, features), features.index
    fit = fit_rows(features, clips)
    fit[rows] = False
    if len(set(index.loc[fit, "label"])) < 2:
        raise UserError(
            "the questions are about the very clips that the probe would be fitted on; ask of others."
        )
    named = index[index["label"] >= 0]
    class_of = {plain(text): int(c) for text, c in zip(named["class_name"], named["label"], strict=True)}
    chosen = [[_class(option, class_of, each.place) for option in each.options] for each in questions]
    x, label = features.named(name), index["label"].to_numpy(np.int64)
    probs = class_probabilities(probe, x[fit], label[fit], x[rows], int(label.max()) + 1)
    return marked(probe, questions, [row[classes] for row, classes in zip(probs, chosen, strict=True)])


def _class(option: str, class_of: dict[str, int], place: str) -> int:
    if plain(option) not in class_of:
        raise unknown_name("class", option, class_of, f"{place}: a probe answers with classes")
    return class_of[plain(option)]
