"""Suites that begin as another one: the key `extends` of a suite file.

A section takes from the section of the same name in the other suite what it does not give itself: protocol,
backbone, shared settings, seeds, what it needs.  Of `protocol` and `shared` it may give single fields.  What
is run is always its own: tasks, entries, the quick part, tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datasets.errors import UserError, unknown_name

TAKEN = (
    "embedded",
    "needs_gpu",
    "hours_per_trial",
    "independent_parts",
    "seeds",
    "backbone",
    "protocol",
    "shared",
)
"""Fields of a section that are inherited."""

FIELD_BY_FIELD = ("protocol", "shared")
"""Of these, the ones of which single fields may be given."""


def completed(
    value: Any, path: Path, names: Callable[[], list[str]], raw: Callable[[str], Mapping[str, Any]]
) -> Any:
    """The content of a suite file with what it inherits.

    Args:
        value: what the file says.
        path: the file, for messages.
        names: gives the names of the suites that can be extended.
        raw: gives the content of such a suite.

    Raises:
        UserError: for a suite that does not exist, or that extends another one itself.
    """
    if not isinstance(value, dict) or value.get("extends") is None:
        return value
    name, sections = value["extends"], value.get("sections")
    if name not in names():
        raise unknown_name("suite", str(name), names(), f"{path}: field 'extends'")
    parent = raw(name)
    if "extends" in parent:
        raise UserError(
            f"{path}: field 'extends': suite '{name}' extends '{parent['extends']}' itself; extend that one."
        )
    if not isinstance(sections, dict):
        return value
    merged = {key: _section(own, parent["sections"].get(key, {})) for key, own in sections.items()}
    return {**value, "sections": merged}


def _section(own: Any, other: Mapping[str, Any]) -> Any:
    if not isinstance(own, dict):
        return own
    found = {key: other[key] for key in TAKEN if key in other} | own
    for key in FIELD_BY_FIELD:
        if isinstance(own.get(key), dict) and isinstance(other.get(key), dict):
            found[key] = {**other[key], **own[key]}
    return found
