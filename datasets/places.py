"""Where the data sets of readers lie on this machine: `places.json` in the data home.

Sets of `data add --train --test` are in the older `datasets.catalog`; a name is in one of the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets.annotated import AnnotatedSet, Place
from datasets.catalog_file import CatalogFile
from datasets.errors import UserError, unknown_name
from datasets.home import data_home

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")

Readers = Mapping[str, type[AnnotatedSet]]
"""Format name -> reader."""


def add(place: Place, reader: type[AnnotatedSet]) -> AnnotatedSet:
    """Registers a data set after reading its annotations and looking for its videos.

    Raises:
        UserError: the name is malformed or taken, an annotation file has a mistake, or videos are missing.
    """
    check_name(place.name)
    if place.name in entries():
        raise _taken(place.name)
    made = reader(place)
    made.table()
    made.prepare()
    with _file().changing() as stored:
        if place.name in stored:
            raise _taken(place.name)
        values = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(place).items()}
        del values["name"]
        stored[place.name] = values
    return made


@lru_cache(maxsize=64)
def opened(place: Place, reader: type[AnnotatedSet]) -> AnnotatedSet:
    """The data set of a place, one object per process: large annotations are read once."""
    return reader(place)


def check_name(name: str) -> None:
    """That a name can stand in file names and lists.

    Raises:
        UserError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a data set; use lower-case letters, digits, '_', '-' and '.', and start "
            "with a letter or digit."
        )


def remove(name: str) -> None:
    """Forgets a data set; its files stay.

    Raises:
        UserError: there is no such set.
    """
    with _file().changing() as stored:
        if name not in stored:
            raise unknown_name("registered data set", name, stored)
        del stored[name]


def entries() -> dict[str, Place]:
    """The registered places by name.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return {name: _place(name, entry) for name, entry in _file().load().items()}
    except (TypeError, KeyError) as error:
        raise UserError(
            f"the catalog {_file().path} has an entry that is not understood; mend or delete it."
        ) from error


def _place(name: str, entry: Mapping[str, Any]) -> Place:
    return Place(
        name=name,
        format=str(entry["format"]),
        videos=Path(entry["videos"]),
        annotations=Path(entry["annotations"]),
        mirror=bool(entry.get("mirror")),
        accept_leak=bool(entry.get("accept_leak")),
    )


def _taken(name: str) -> UserError:
    return UserError(f"data set '{name}' is already registered; remove it first: bench data rm {name}.")


def _file() -> CatalogFile:
    return CatalogFile(data_home() / "places.json")
