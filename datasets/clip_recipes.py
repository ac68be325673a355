"""What each made clip was made of: one whose source or span has changed since is made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

RECIPES = "recipes.jsonl"
"""One line per clip, written when it is made; the last line of a clip counts, a torn one is passed over."""


class Recipe(NamedTuple):
    """How a clip is made.

    Attributes:
        source: stands for the files that it is made of; "" where they are gone.
        span: what is taken of them, and how large it becomes.
    """

    source: str
    span: str


def source_hash(files: Iterable[tuple[str, int, int]]) -> str:
    """A hash of paths, sizes and modification times; nothing where there are no files."""
    found = list(files)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest() if found else ""


class Recipes:
    """The recipes of the made clips of a data set, in a file beside them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = _load(folder / RECIPES)

    def current(self, target: Path, recipe: Recipe) -> bool:
        """Whether a clip is here and is what would be made now, as far as the sources that are left tell."""
        known = self._known.get(self._name(target))
        if not target.is_file():
            return False
        if not recipe.source:  # nobody can make it again: of a clip without recipe nothing is known
            return known is None or known.span == recipe.span
        return known == recipe

    def note(self, target: Path, recipe: Recipe) -> None:
        """Remembers how a clip was made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / RECIPES).open("a", encoding="utf-8") as file:
            file.write(json.dumps([self._name(target), *recipe]) + "\n")

    def _name(self, target: Path) -> str:
        return (
            target.relative_to(self._folder).as_posix()
            if target.is_relative_to(self._folder)
            else str(target)
        )


def _load(path: Path) -> dict[str, Recipe]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        try:
            name, source, span = json.loads(line)
        except (ValueError, TypeError):
            continue
        found[name] = Recipe(source, span)
    return found
