"""Whether this version can read what a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.spec import SCHEMA_VERSION, TrialSpec
from datasets.errors import UserError


def check_schema(plan: Mapping[str, Any], path: Path) -> None:
    """Refuses a plan whose trials are of another schema; the records stay as they are.

    Args:
        plan: the content of a run folder's plan.
        path: its file, as in RUNS/<suite>/plan.json.

    Raises:
        UserError: with the command that runs the suite into another folder.
    """
    try:
        found = {int(trial["spec"].get("schema_version", 0)) for trial in plan["trials"]}
    except (KeyError, TypeError, ValueError, AttributeError):
        return  # no plan at all, which its reader tells better
    other = sorted(found - {SCHEMA_VERSION})
    if not other:
        return
    runs = path.parent.parent
    raise UserError(
        f"{path}: its trials are of schema {other[0]} and this sefar-bench reads {SCHEMA_VERSION}; "
        "keep that folder and run into another one with: python -m bench run --suite "
        f"{plan.get('suite', 'NAME')} --out {runs}-schema-{SCHEMA_VERSION}"
    )


def stored_spec(values: Any, where: str | Path) -> TrialSpec:
    """A specification as it was stored.

    Args:
        values: its JSON, parsed.
        where: its file, for messages.

    Raises:
        UserError: for one of another schema, whose fields would otherwise be refused one by one; or naming
            the field that is wrong.
    """
    found = values.get("schema_version", SCHEMA_VERSION) if isinstance(values, Mapping) else SCHEMA_VERSION
    if found != SCHEMA_VERSION:
        raise UserError(
            f"{where}: field 'schema_version' is {found}, and this version of sefar-bench reads "
            f"{SCHEMA_VERSION}; plan the trial again with: python -m bench plan --suite NAME --specs DIR"
        )
    try:
        return TrialSpec.model_validate(values)
    except ValidationError as error:
        raise wrong_field(error, where) from None


def wrong_field(error: ValidationError, where: str | Path) -> UserError:
    """The sentence about the first thing that is wrong in the file `where`."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "(top)"
    return UserError(f"{where}: field '{field}': {first['msg'][0].lower()}{first['msg'][1:]}.")
