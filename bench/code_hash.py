"""A hash of the code that can change a trial's result: the plugins it uses and all they import of ours.

Comments, docstrings and layout do not count: what is hashed is the syntax tree.

A stale trial costs hours, so only code that nothing else pins is hashed:

- what the trial is (`bench.spec`) is pinned by its id: every default is written into the specification;
- who is labeled (`datasets.splits`, the readers, the data sets' own modules) is pinned by the split's hash in
  the specification, and a trial stops when the split that it finds has another one;
- the pixels (the clip cache, the decoders, the rendering of data sets) are pinned by the record's
  `data_hash`: videos by content, their decoders and shapes, and the cache's format number, which rises
  whenever equal settings give other pixels;
- finding plugins, folders, records and messages decide whether a number is computed, not which one.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

ROOTS = ("bench.experiment", "bench.train", "bench.evaluate", "datasets.loader")
"""What every trial runs, whatever its method."""

OURS = ("bench", "datasets", "methods", "sefar")
"""Packages whose imports are followed."""

APART = (
    "bench",  # its version number
    "bench.plugins",
    "bench.spec",
    "datasets.errors",
    "datasets.splits",
)
"""Imported by trials, but not hashed: no change of these can pass unseen into a number."""


def code_hash(*modules: str) -> str:
    """16 hexadecimal digits for `ROOTS`, the given modules, and everything of ours that they import."""
    seen = hashed_modules(*modules)
    lines = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def hashed_modules(*modules: str) -> dict[str, str]:
    """Module -> hash of its code, for all that `code_hash` stands for."""
    seen: dict[str, str] = {}
    queue = [*ROOTS, *modules]
    while queue:
        name = queue.pop()
        if name in seen or name in APART:
            continue
        path = _source(name)
        if path is None:
            continue
        seen[name], imports = _fingerprint(path, path.stat().st_mtime_ns)
        queue += imports
    return seen


def module_of(plugin: object) -> str:
    """The module that defines a plugin's class or function."""
    module = inspect.getmodule(plugin)
    return module.__name__ if isinstance(module, ModuleType) else ""


@lru_cache(maxsize=4096)
def _fingerprint(path: Path, modified: int) -> tuple[str, tuple[str, ...]]:
    """Hash of a file's code and the modules of ours that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names if alias.name.split(".")[0] in OURS]
        elif (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest, tuple(imports)


@lru_cache(maxsize=4096)
def _source(name: str) -> Path | None:
    """The file of a module; None for a name that is no module.  Imports nothing, not even a decoder."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None:
        return Path(loaded) if loaded.endswith(".py") else None
    if name.split(".", maxsplit=1)[0] not in OURS:
        return None
    path = Path(__file__).resolve().parent.parent.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
