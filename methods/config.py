"""Settings of methods: plain frozen dataclasses whose annotations carry range and tuning range.

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        threshold: Annotated[Probability, Choices((0.8, 0.9, 0.95))] = 0.95

`Probability` is checked before any training; `Choices` and `Span` tell `bench tune` where to search.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

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
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise unknown_name("config field", name, names, where)
    adapter = TypeAdapter(config)
    try:
        return adapter.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = allowed(config, field) if first["type"] in _OUT_OF_RANGE else ""
        message = message or first["msg"][0].lower() + first["msg"][1:]
        raise UserError(f"{where}: config field '{field}' is {first['input']!r}, but {message}.") from None


_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}


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
