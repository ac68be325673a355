"""Settings of methods: plain frozen dataclasses whose annotations carry range and tuning range.

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        threshold: Annotated[Probability, Choices((0.8, 0.9, 0.95))] = 0.95

`Probability` is checked before any training; `Choices` and `Span` tell `bench tune` where to search.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Interval
from pydantic import TypeAdapter, ValidationError

from datasets.errors import UserError, unknown_name

Probability = Annotated[float, Interval(ge=0, le=1)]
"""A number in [0, 1]."""
Share = Annotated[float, Interval(ge=0, lt=1)]
"""A number in [0, 1)."""
Decay = Annotated[float, Interval(ge=0, lt=1)]
"""Decay of a moving average per optimizer step; 0 keeps no average."""
Weight = Annotated[float, Interval(ge=0, lt=math.inf)]
"""A loss weight."""
Positive = Annotated[float, Interval(gt=0, lt=math.inf)]
"""A number above 0."""
Count = Annotated[int, Ge(1)]
"""A whole number from 1."""


@dataclass(frozen=True)
class Choices:
    """Tuning range: one of these values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Span:
    """Tuning range: a number between `low` and `high`, uniform or (with `log`) log-uniform."""

    low: float
    high: float
    log: bool = False


C = TypeVar("C")


def build(config: type[C], values: Mapping[str, Any], where: str) -> C:
    """Makes a config from named values.

    Args:
        config: a frozen keyword-only dataclass.
        values: field values; missing fields keep their defaults.
        where: what is configured, for messages (for example "method 'fixmatch'").

    Raises:
        UserError: for an unknown field (nearest name offered) or a value outside its range.
    """
    fields = {field.name: field.default for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise unknown_name("config field", name, fields, where)
    values = {name: _as_word(config, name, value) for name, value in values.items()}
    try:
        made = TypeAdapter(config).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        field, given = ".".join(str(part) for part in first["loc"]), first["input"]
        if isinstance(given, bool) and first["type"] in _OUT_OF_RANGE:
            raise _no_number(where, field, given, fields.get(field)) from None
        message = allowed(config, field) if first["type"] in _OUT_OF_RANGE else ""
        message = message or first["msg"][0].lower() + first["msg"][1:]
        if isinstance(given, bool) and first["type"] == "literal_error":
            message += "; a word that YAML reads as true or false is written in quotes"
        raise UserError(f"{where}: config field '{field}' is {given!r}, but {message}.") from None
    for name, value in values.items():
        for field, given in _made_numbers(name, value, getattr(made, name)):
            raise _no_number(where, field, given, fields.get(field))
    return made


_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
_WORDS = {True: {"yes", "on", "true"}, False: {"no", "off", "false"}}
"""How YAML 1.1 spells booleans."""


def _as_word(config: type[Any], field: str, value: Any) -> Any:
    """The one choice of a field that YAML took for a boolean, as in `mix: off`; any other value as it is."""
    if not isinstance(value, bool):
        return value
    hint = get_type_hints(config, include_extras=True)[field]
    choice = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    words = get_args(choice) if get_origin(choice) is Literal else ()
    meant = [word for word in words if isinstance(word, str) and word.lower() in _WORDS[value]]
    return meant[0] if len(meant) == 1 else value


def _made_numbers(field: str, given: Any, made: Any) -> Iterator[tuple[str, bool]]:
    """Name and value of every boolean of a field, also inside of a list, that was taken for a number."""
    if isinstance(given, bool) and not isinstance(made, bool):
        yield field, given
    elif isinstance(given, list | tuple) and isinstance(made, list | tuple):
        for i, (one, other) in enumerate(zip(given, made, strict=False)):
            yield from _made_numbers(f"{field}.{i}", one, other)


def _no_number(where: str, field: str, given: bool, default: Any) -> UserError:
    """That `yes`, `on` and `true` are no numbers."""
    example = f", such as its default {default}" if isinstance(default, int | float) else ""
    return UserError(f"{where}: config field '{field}' is {given}, but it must be a number{example}.")


def allowed(config: type[Any], field: str) -> str:
    """The whole range of a field in words, as in "it must be at least 0 and below 1"; "" without one."""
    hint = get_type_hints(config, include_extras=True).get(field)
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    words = [("gt", "above"), ("ge", "at least"), ("le", "at most"), ("lt", "below")]
    bounds = [
        f"{word} {bound:g}" if math.isfinite(bound) else "finite"
        for name, word in words
        for bound in (getattr(mark, name, None) for mark in marks)
        if bound is not None
    ]
    return f"it must be {' and '.join(bounds)}" if bounds else ""


def tuning_ranges(config: type[Any]) -> dict[str, Choices | Span]:
    """The tuning range of every field of a config that declares one."""
    found: dict[str, Choices | Span] = {}
    hints = get_type_hints(config, include_extras=True)
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        if get_origin(hint) is Annotated:
            for extra in get_args(hint)[1:]:
                if isinstance(extra, Choices | Span):
                    found[field.name] = extra
    return found
