"""Nets without weights, so that a method's own `step()` can be fed with logits instead of pixels.

A clip of shape (N, C + 1, 1, 1, 5) holds logits in its cells: cell 0 those of the clip itself, cell 1 those
of the clip after tube mixing, and in the last channel a number that tells clips apart.  Mixing with share 0.4
keeps the first two cells and takes the others from the partner, so a mixed clip shows two different numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datasets.types import Batch, Clip, TaskInfo
from methods.base import Head, Method, Progress
from methods.draws import Draws

EXAMPLES: dict[str, Any] = json.loads(
    (Path(__file__).parent / "worked_examples.json").read_text(encoding="utf-8")
)
CELLS = 5


def fixture(name: str) -> Tensor:
    """A tensor of the fixture: `zl`, `zw`, `zs`, `zs2`, `zm`, `zls` (float64) or `y` (int64)."""
    values = torch.tensor(EXAMPLES["fixture"][name], dtype=torch.float64)
    return values.long() if name == "y" else values


class ClipValues(nn.Module):
    """A backbone whose feature is what the clip says."""

    dim = 3
    patch = (1, 1, 1)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        cells = x[:, :, 0, 0]  # (N, C + 1, cells)
        mixed = cells[:, -1, 0] != cells[:, -1, -1]
        return torch.where(mixed[:, None], cells[:, :-1, 1], cells[:, :-1, 0])


class IdentityHead(Head):
    """Feature = logits; no dropout."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.dropout = nn.Dropout(0.0)
        self.classify = nn.Identity()  # type: ignore[assignment]

    def embed(self, features: tuple[Tensor, ...]) -> Tensor:
        return features[0]


def clip(logits: Tensor, mixed: Tensor | None = None) -> Clip:
    """A clip whose logits are (N, C) `logits`, and (N, C) `mixed` once it is tube-mixed with another one."""
    n, classes = logits.shape
    x = torch.zeros(n, classes + 1, 1, 1, CELLS, dtype=torch.float64)
    x[:, :-1, 0, 0, 0] = logits
    x[:, :-1, 0, 0, 1] = logits if mixed is None else mixed
    x[:, -1] = torch.arange(n, dtype=torch.float64).view(n, 1, 1, 1)
    return (x,)


def batch(weak: Tensor, strong: Tensor, mixed: Tensor | None = None, **more: Clip) -> Batch:
    """The fixture's labeled clips and the given unlabeled ones; `more` adds views by name."""
    views = {"weak": clip(weak), "strong": clip(strong, mixed), "weak2": clip(strong), **more}
    return Batch(
        labeled={"labeled": clip(fixture("zl"))},
        label=fixture("y"),
        labeled_index=torch.arange(2),
        unlabeled=views,
        unlabeled_index=torch.arange(len(weak)),
    )


class FixedDraws(Draws):
    """Draws that an example fixes: lambda, partners, the first cells kept, dropout, a direction."""

    def __init__(
        self,
        share: float = 0.4,
        order: Sequence[int] = (0, 1, 2),
        masks: Tensor | None = None,
        direction: Tensor | None = None,
    ) -> None:
        super().__init__(0, 0)
        self._share, self._order, self._masks, self._direction = share, order, masks, direction

    def beta(self, a: float, b: float, purpose: str = "mix") -> float:
        return self._share

    def permutation(self, n: int, purpose: str = "mix") -> Tensor:
        assert n == len(self._order)
        return torch.tensor(self._order)

    def subset(self, n: int, k: int, purpose: str) -> Tensor:
        return torch.arange(k)

    def dropout(self, shape: tuple[int, ...], p: float, purpose: str) -> Tensor:
        assert self._masks is not None
        assert tuple(self._masks.shape) == shape
        return self._masks

    def normal(self, shape: tuple[int, ...], purpose: str) -> Tensor:
        assert self._direction is not None
        return self._direction.view(shape)


def progress(draws: Draws | None = None, step: int = 0, total: int = 30, warmup: int = 0) -> Progress:
    """A place in training; by default the first of 30 steps."""
    return Progress(step=step, total_steps=total, warmup_steps=warmup, draws=draws or FixedDraws())


def build(method: type[Method], **config: Any) -> Method:
    """The method in float64, with logits that are the clip's values."""
    task = TaskInfo(classes=3, labeled=2, unlabeled=3, class_counts=(1, 0, 1), frames=8)
    made = method(method.Config(**config), task, ClipValues)
    made.student.head = IdentityHead()
    made.teacher.head = IdentityHead()
    return made.double().train()


class Example:
    """One key of the file; leaving the block checks that every entry was compared or excused."""

    def __init__(self, name: str, without: dict[str, str] | None = None) -> None:
        self._name, self._without = name, without or {}
        self.entries: dict[str, Any] = EXAMPLES[name]
        self._seen: set[str] = set()

    def check(self, key: str, value: Any) -> None:
        """The value must agree with the entry within 1e-6."""
        self._seen.add(key)
        values = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        np.testing.assert_allclose(
            values, np.asarray(self.entries[key]), rtol=0, atol=1e-6, err_msg=f"{self._name}.{key}"
        )

    def same(self, key: str, value: Any) -> None:
        """The value must be the entry."""
        self._seen.add(key)
        assert value == self.entries[key], f"{self._name}.{key}"

    def __enter__(self) -> Example:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if kind is None:
            assert self._seen | set(self._without) == set(self.entries), self._name
            assert not self._seen & set(self._without), self._name
