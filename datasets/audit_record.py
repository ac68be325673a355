"""What the last audit of a data set found, so that `run` and reports know it without looking again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from datasets.audit import AuditFinding
from datasets.errors import UserError
from datasets.home import data_home
from datasets.splits import split_hash
from datasets.types import ClipTable

State = Literal["none", "old", "now"]
"""`old`: what was looked at were other lists than those of now."""


def save(table: ClipTable, findings: Sequence[AuditFinding]) -> Path:
    """Files the findings of a data set in the data home.

    Raises:
        UserError: the file cannot be written.
    """
    path = _file(table.name)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    content = {"table": _hash(table), "findings": [asdict(each) for each in findings]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"the audit {path} cannot be written ({error.strerror}).") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load(table: ClipTable) -> tuple[AuditFinding, ...]:
    """The findings of the last audit; none where there was no audit, or the lists have changed since."""
    try:
        stored = json.loads(_file(table.name).read_text(encoding="utf-8"))
        if stored["table"] != _hash(table):
            return ()
        return tuple(
            AuditFinding(**{**each, "examples": tuple(each["examples"])}) for each in stored["findings"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def state(table: ClipTable) -> State:
    """Whether there was an audit, and of the lists as they are now."""
    path = _file(table.name)
    if not path.is_file():
        return "none"
    try:
        return "now" if json.loads(path.read_text(encoding="utf-8"))["table"] == _hash(table) else "old"
    except (OSError, ValueError, KeyError, TypeError):
        return "none"


def _file(name: str) -> Path:
    return data_home() / "audits" / f"{name}.json"


def _hash(table: ClipTable) -> str:
    roles = {"train": table.train, "unlabeled": table.unlabeled or (), "validation": table.validation}
    return split_hash({**roles, "test": table.test}, table.classes)
