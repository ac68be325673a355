"""Whether this version can read what a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.spec import SCHEMA_VERSION
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
