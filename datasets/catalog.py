"""Which data sets the user has registered on this machine: one JSON file in the data home."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from datasets.errors import UserError, unknown_name
from datasets.home import data_home
from datasets.video_list import ListEntry, VideoListSet

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_PATHS = ("train", "test", "root", "unlabeled", "validation", "classes", "boxes")


def add(
    name: str,
    train: Path,
    test: Path,
    root: Path,
    unlabeled: Path | None = None,
    validation: Path | None = None,
    classes: Path | None = None,
    boxes: Path | None = None,
    mirror: bool = False,
) -> VideoListSet:
    """Registers a set of video lists after reading all of them; see `VideoListSet` for the roles.

    Raises:
        UserError: the name is malformed or taken, a list has a mistake, or the files are not in `root`.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a data set; use lower-case letters, digits, '_', '-' and '.', and start "
            "with a letter or digit."
        )
    given = (train, test, root, unlabeled, validation, classes, boxes)
    paths = {field: path.expanduser().resolve() for field, path in zip(_PATHS, given, strict=True) if path}
    made = VideoListSet(_entry(name, {**paths, "mirror": mirror}))
    made.table()
    made.prepare()
    with _changing() as stored:
        if name in stored:
            raise UserError(
                f"data set '{name}' is already registered; remove it first: bench data rm {name}."
            )
        stored[name] = {**{field: str(path) for field, path in paths.items()}, "mirror": mirror}
    return made


def remove(name: str) -> None:
    """Forgets a registered set; its files and what is cached of them stay.

    Raises:
        UserError: there is no such set in the catalog.
    """
    with _changing() as stored:
        if name not in stored:
            raise unknown_name("registered data set", name, stored)
        del stored[name]


def entries() -> dict[str, ListEntry]:
    """The registered sets by name.

    Raises:
        UserError: the catalog file is damaged.
    """
    try:
        return {name: _entry(name, values) for name, values in _load().items()}
    except (TypeError, AttributeError) as error:
        raise UserError(
            f"the catalog {_file()} has an entry that is not understood; mend or delete it."
        ) from error


def load(name: str) -> VideoListSet:
    """A registered set.

    Raises:
        UserError: there is no such set in the catalog.
    """
    known = entries()
    if name not in known:
        raise unknown_name("registered data set", name, known)
    return VideoListSet(known[name])


def _file() -> Path:
    return data_home() / "catalog.json"


def _entry(name: str, values: dict[str, Any]) -> ListEntry:
    known = {field.name for field in fields(ListEntry)}
    given: dict[str, Any] = {
        field: Path(value) if field in _PATHS else value for field, value in values.items()
    }
    return ListEntry(name=name, **{field: value for field, value in given.items() if field in known})


def _load() -> dict[str, Any]:
    try:
        stored = json.loads(_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"the catalog {_file()} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"the catalog {_file()} is damaged; mend or delete it.") from error
    if not isinstance(stored, dict):
        raise UserError(f"the catalog {_file()} is damaged; mend or delete it.")
    return stored


@contextlib.contextmanager
def _changing() -> Iterator[dict[str, Any]]:
    """The catalog's content for change, saved in one rename when the block ends well."""
    file = _file()
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            stored = _load()
            yield stored
            temporary.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
            temporary.replace(file)
    except OSError as error:
        raise UserError(f"the catalog {file} cannot be written ({error.strerror}).") from error
    finally:
        temporary.unlink(missing_ok=True)
