"""A new method's file and its test, from templates that pass the conformance suite as they are."""

from __future__ import annotations

import ast
import datetime
import importlib.util
import keyword
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template

from datasets.errors import UserError

TEMPLATES = Path(__file__).parent / "templates"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def write_method(name: str, folder: Path, taken: Iterable[str]) -> tuple[Path, Path]:
    """Writes NAME.py and test_NAME.py.

    Args:
        name: of the method, of its file, and in CamelCase of its class.
        folder: where to.
        taken: names of registered methods.

    Returns:
        The two files.

    Raises:
        UserError: for a name that is malformed or taken, or a file that exists or cannot be written.
    """
    files = folder / f"{name}.py", folder / f"test_{name}.py"
    _check(name, taken, files)
    words = {"name": name, "cls": class_name(name), "year": str(datetime.date.today().year)}
    texts = [_fill(template, words) for template in ("method.py.txt", "test_method.py.txt")]
    if words["cls"] in _used(texts[0]):
        raise UserError(
            f"'{name}': its class would be called {words['cls']}, which means something else in the file; "
            "choose another name."
        )
    written: list[Path] = []
    try:
        for file, text in zip(files, texts, strict=True):
            with file.open("x", encoding="utf-8") as out:
                written.append(file)
                out.write(text)
    except OSError as error:
        for done in written:
            done.unlink(missing_ok=True)
        raise UserError(
            f"{file}: cannot be written ({error.strerror}); go to a folder with room and permission."
        ) from error
    return files


def class_name(name: str) -> str:
    """`my_method` -> `MyMethod`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _fill(template: str, words: Mapping[str, str]) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)


def _used(text: str) -> set[str]:
    """The names that a file imports, and that of the class inside its class."""
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.name for node in imports for alias in node.names} | {"Config"}


def _check(name: str, taken: Iterable[str], files: Iterable[Path]) -> None:
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name.endswith("_"):
        raise UserError(
            f"'{name}' cannot name a method and its file; use up to 40 lower-case letters, digits and '_', "
            "starting with a letter, as in 'my_method'."
        )
    for file in files:
        if file.exists():
            raise UserError(f"{file}: exists already, and nothing is overwritten; choose another name.")
    if name in taken:
        raise UserError(f"there is a method '{name}' already; choose another name.")
    if importlib.util.find_spec(name) is not None:
        raise UserError(
            f"'{name}' is the name of a Python module, which {name}.py would hide; choose another name."
        )
