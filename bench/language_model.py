"""Multiple-choice questions answered by a language model that sees a clip's features.

The model is any causal language model of Hugging Face, read from a folder and never changed.  A projector,
two linear layers, turns a clip's feature into a few embeddings that stand before the question (as in LLaVA,
NeurIPS 2023); it alone is trained, on questions about training clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from bench.questions import LETTERS, Question
from bench.store import write_bytes
from datasets.draws import derive, generator
from datasets.errors import UserError, first_line


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a projector is trained: AdamW with cosine decay over `epochs` of the questions."""

    epochs: int = 5
    batch: int = 16
    lr: float = 1e-3
    seed: int = 0


class Projector(nn.Module):
    """Feature -> embeddings: Linear, GELU, Linear.

    Args:
        width: of the feature, D.
        hidden: of the language model's embeddings.
        tokens: how many embeddings stand for a clip.
    """

    def __init__(self, width: int, hidden: int, tokens: int = 4) -> None:
        super().__init__()
        self.tokens, self.hidden = tokens, hidden
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, tokens * hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, tokens, hidden)."""
        out: Tensor = self.outer(F.gelu(self.inner(self.norm(x))))
        return out.view(len(out), self.tokens, self.hidden)


class LanguageModel:
    """A frozen causal language model and its tokenizer.

    Args:
        path: a folder that Hugging Face's `save_pretrained` wrote.

    Raises:
        UserError: when transformers is not installed or the folder holds no such model.
    """

    def __init__(self, path: Path) -> None:
        try:
            import transformers  # noqa: PLC0415  # an optional extra
        except ImportError:
            raise UserError(
                "--model needs the package transformers; install it with: pip install 'sefar-bench[qa]'"
            ) from None
        if not path.is_dir():
            raise UserError(
                f"--model {path}: there is no such folder; give one with a model and its tokenizer."
            )
        try:
            loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
                path, local_files_only=True, output_loading_info=True
            )
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        except Exception as error:  # the boundary to a foreign package, which checks files in its own ways
            raise UserError(
                f"--model {path}: holds no causal language model with a tokenizer ({first_line(error, 200)})."
            ) from error
        model, loading = loaded
        if missing := sorted(loading["missing_keys"]):  # they would be random, and so would the answers
            raise UserError(
                f"--model {path}: its files lack {len(missing)} weights of a causal language model "
                f"('{missing[0]}' first); give a folder with all of them."
            )
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model: Any = model.train(False).requires_grad_(False).to(self.device)
        self._embed: nn.Module = self._model.get_input_embeddings()
        self.hidden = int(self._embed.weight.shape[1])
        self._answers = self._answer_tokens(path)

    def _answer_tokens(self, path: Path) -> Tensor:
        """The first token of each letter as an answer; letters must differ in it."""
        for prefix in (" ", ""):
            coded = [self._tokenizer.encode(prefix + each, add_special_tokens=False) for each in LETTERS]
            first = [ids[0] for ids in coded if ids]
            if len(set(first)) == len(LETTERS):
                return torch.tensor(first, device=self.device)
        raise UserError(f"--model {path}: its tokenizer does not tell the letters A to Z apart.")

    def letter_scores(self, questions: Sequence[Question], prefix: Tensor) -> Tensor:
        """Log-probabilities of the letters as the next token; gradient flows into the prefix alone.

        Args:
            questions: N questions.
            prefix: (N, tokens, hidden) embeddings of the clips.

        Returns:
            (N, 26); what stands behind a question's last option has no meaning.
        """
        prompts = [self._tokenizer(prompt(each)).input_ids for each in questions]
        bos = self._tokenizer.bos_token_id
        heads = [ids[:1] if ids[0] == bos else [] for ids in prompts]
        parts = []
        for ids, head, clip in zip(prompts, heads, prefix, strict=True):
            words = self._embed(torch.tensor(ids, device=self.device))
            parts.append(torch.cat([words[: len(head)], clip.to(words.dtype), words[len(head) :]]))
        lengths = torch.tensor([len(part) for part in parts], device=self.device)
        padded = nn.utils.rnn.pad_sequence(parts, batch_first=True)
        mask = torch.arange(padded.shape[1], device=self.device)[None] < lengths[:, None]
        logits = self._model(inputs_embeds=padded, attention_mask=mask.long()).logits
        last = logits[torch.arange(len(parts), device=self.device), lengths - 1]
        return cast(Tensor, last.float().log_softmax(1)[:, self._answers])


def prompt(question: Question) -> str:
    """The question as a language model reads it; its answer is the next token."""
    options = " ".join(f"({letter}) {text}" for letter, text in zip(LETTERS, question.options, strict=False))
    return f"Question: {question.question} Options: {options} Answer with a letter. Answer:"


def scores(
    model: LanguageModel, projector: Projector, x: Tensor, questions: Sequence[Question], batch: int = 16
) -> list[NDArray[np.float64]]:
    """One log-probability per option for each question; `x` (N, D) holds the clips' features."""
    found: list[NDArray[np.float64]] = []
    with torch.no_grad():
        for start in range(0, len(questions), batch):
            part = questions[start : start + batch]
            letters = model.letter_scores(part, projector(x[start : start + batch].to(model.device)))
            for row, each in zip(letters.double().cpu().numpy(), part, strict=True):
                found.append(row[: len(each.options)])
    return found


def train(
    model: LanguageModel, x: Tensor, questions: Sequence[Question], settings: Training, tokens: int = 4
) -> Projector:
    """Trains a projector on questions: cross-entropy of the right letter among those of the options.

    Args:
        model: the frozen language model.
        x: (N, D) features of the questions' clips.
        questions: N questions.
        settings: epochs, batch size, learning rate, seed.
        tokens: embeddings per clip.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(settings.seed, "projector") >> 1)
        projector = Projector(x.shape[1], model.hidden, tokens).to(model.device)
    optimizer = torch.optim.AdamW(projector.parameters(), settings.lr)
    steps = settings.epochs * -(-len(questions) // settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(settings.epochs):
        order = generator(settings.seed, "questions", epoch).permutation(len(questions))
        for start in range(0, len(order), settings.batch):
            chosen = order[start : start + settings.batch]
            part = [questions[i] for i in chosen]
            letters = model.letter_scores(part, projector(x[torch.from_numpy(chosen)].to(model.device)))
            count = torch.tensor([len(each.options) for each in part], device=model.device)
            beyond = torch.arange(letters.shape[1], device=model.device)[None] >= count[:, None]
            answer = torch.tensor([each.answer for each in part], device=model.device)
            loss = F.cross_entropy(letters.masked_fill(beyond, float("-inf")), answer)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return projector


def save_projector(projector: Projector, path: Path) -> None:
    """Writes a trained projector as safetensors.

    Raises:
        UserError: when the disk is full or the folder cannot be written.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in projector.state_dict().items()}
    write_bytes(path, to_bytes(state), "--projector")


def load_projector(path: Path, width: int, model: LanguageModel) -> Projector:
    """Reads a trained projector.

    Raises:
        UserError: for a file that is missing, or made for other features or another language model.
    """
    try:
        state = load_file(path)
        tokens = state["outer.bias"].shape[0] // model.hidden
        projector = Projector(width, model.hidden, tokens)
        projector.load_state_dict(state)
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"--projector {path}: is no projector from features of width {width} to this language model; "
            "train one with --train-questions."
        ) from error
    return projector.to(model.device)
