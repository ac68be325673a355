"""YAML that remembers lines, so that a mistake in a suite is reported as file:line: field."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from datasets.errors import UserError, reason, unknown_name

_EXPECTED = {
    "model_type": "it must have lines of 'field: value' below it",
    "dict_type": "it must have lines of 'field: value' below it",
    "tuple_type": "it must be a list",
}
"""What stands for pydantic's words about its own types."""

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]


def load_checked(path: Path, model: type[M], complete: Callable[[Any], Any] | None = None) -> M:
    """Reads a YAML file into a pydantic model.

    Args:
        path: the file.
        model: what it must hold.
        complete: adds to the file's content what it may leave out.

    Raises:
        UserError: file:line: field, what is wrong; for an unknown field the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = yaml.safe_load(text)
        lines = _lines_of(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}).") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: this is not valid YAML ({error.problem}).") from None
    except yaml.YAMLError:
        raise UserError(f"{path}: this is not valid YAML (it has characters that no text has).") from None
    if complete is not None:
        value = complete(value)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _sentence(path, lines, model, error) from None


def place(path: Path, location: Location) -> str:
    """`file:line` of a field of a YAML file, or of the nearest field around it that the file has."""
    try:
        return f"{path}:{_nearest(_lines_of(path.read_text(encoding='utf-8')), location)}"
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return str(path)  # it has gone since it was read


@lru_cache(maxsize=8)
def _lines_of(text: str) -> dict[Location, int]:
    """Line (from 1) of every key and list item of a file."""
    return _lines(yaml.compose(text, Loader=yaml.SafeLoader))


def _nearest(lines: dict[Location, int], location: Location) -> int:
    while location and location not in lines:
        location = location[:-1]
    return lines.get(location, 1)


def _lines(node: yaml.Node | None, at: Location = ()) -> dict[Location, int]:
    """Line (from 1) of every key and list item."""
    found: dict[Location, int] = {}
    if node is None:
        return found
    found.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, key.value)
            found[here] = key.start_mark.line + 1
            found.update({k: v for k, v in _lines(value, here).items() if k not in found})
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            found.update(_lines(value, (*at, i)))
    return found


def _sentence(
    path: Path, lines: dict[Location, int], model: type[BaseModel], error: ValidationError
) -> UserError:
    errors = error.errors()
    # A misspelled field is also a missing one: the spelling is what to tell.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    location: Location = tuple(first["loc"])
    where = f"{path}:{_nearest(lines, location)}"
    field = ".".join(str(part) for part in location) or "(top)"
    if first["type"] == "extra_forbidden":
        return unknown_name("field", str(location[-1]), _fields(model, location[:-1]), f"{where}: {field}")
    if first["type"] == "missing":
        return UserError(f"{where}: field '{field}' is missing.")
    if not location and first["type"] == "model_type":
        needed = ", ".join(name for name, known in model.model_fields.items() if known.is_required())
        return UserError(f"{where}: the file must have lines of 'field: value', with the fields {needed}.")
    message = _EXPECTED.get(first["type"], first["msg"].removeprefix("Value error, "))
    given: Any = first["input"]
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
    return UserError(f"{where}: field '{field}': {message[0].lower()}{message[1:]}{shown}.")


def _fields(model: type[BaseModel], location: Location) -> list[str]:
    """Names of the fields of the model that a location leads to."""
    current: Any = model
    for part in location:
        current = _below(current, part)
    return list(current.model_fields) if _is_model(current) else []


def _below(annotation: Any, part: str | int) -> Any:
    """The type of a field of a model, of an item of a container, or None."""
    if _is_model(annotation):
        field = annotation.model_fields.get(part)
        return _bare(field.annotation) if field else None
    arguments = getattr(annotation, "__args__", ())
    is_mapping = getattr(annotation, "__origin__", None) is dict
    return _bare(arguments[-1 if is_mapping else 0]) if arguments else None


def _bare(annotation: Any) -> Any:
    """`X` of `X | None` and of `Annotated[X, ...]`."""
    if isinstance(annotation, types.UnionType):
        return next(part for part in annotation.__args__ if part is not type(None))
    return (
        getattr(annotation, "__origin__", annotation) if hasattr(annotation, "__metadata__") else annotation
    )


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
