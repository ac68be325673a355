"""What the last audit of a data set found, so that `run` and reports know it without looking again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from datasets.audit import AuditFinding
from datasets.errors import UserError
from datasets.home import data_home
from datasets.manifest import NO_ROOM
from datasets.splits import split_hash
from datasets.types import ClipTable

State = Literal["none", "old", "now"]
"""`old`: what was looked at were other lists or videos than those of now."""

Files = Mapping[str, Sequence[int] | None]
"""Size and modification time in ns of each clip's file; None where there is none."""


def files(table: ClipTable) -> Files:
    """How the files of a data set are now."""
    return {clip.key: _look(clip.path) for clip in table.clips()}


def save(table: ClipTable, findings: Sequence[AuditFinding], seen: Files | None = None) -> Path:
    """Keeps the findings of a data set in the data home.

    Args:
        table: what was looked at.
        findings: what was found.
        seen: its files as they were before anybody looked; by default as they are now.

    Raises:
        UserError: the file cannot be written.
    """
    path = _file(table.name)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    content = {
        "table": _hash(table),
        "files": files(table) if seen is None else seen,
        "findings": [asdict(each) for each in findings],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"the audit {path} cannot be written ({error.strerror}); {NO_ROOM}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def load(table: ClipTable) -> tuple[AuditFinding, ...]:
    """The findings of the last audit; none where there was no audit, or the lists or folders have changed.

    Where only the bytes of a video have changed since, a leak that was found stands until the next audit.
    """
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
    """Whether there was an audit, and of the lists and videos as they are now."""
    path = _file(table.name)
    if not path.is_file():
        return "none"
    try:
        return "now" if _is_of(json.loads(path.read_text(encoding="utf-8")), table) else "old"
    except (OSError, ValueError, KeyError, TypeError):
        return "none"


def _file(name: str) -> Path:
    return data_home() / "audits" / f"{name}.json"


def _is_of(stored: Mapping[str, Any], table: ClipTable) -> bool:
    """Whether an audit was of these lists and videos; of a file that is gone since it still holds."""
    if stored["table"] != _hash(table):
        return False
    seen: Files = stored.get("files", {})
    now = files(table)
    return seen.keys() == now.keys() and all(
        found is None or tuple(seen[key] or ()) == found for key, found in now.items()
    )


def _look(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _hash(table: ClipTable) -> str:
    """Of the lists and of where each clip lies, for other folders have other videos."""
    roles = {"train": table.train, "unlabeled": table.unlabeled or (), "validation": table.validation}
    digest = hashlib.sha256(split_hash({**roles, "test": table.test}, table.classes).encode())
    for place in sorted(f"{clip.key}\0{clip.path}" for clip in table.clips()):
        digest.update(f"\n{place}".encode(errors="surrogateescape"))
    return digest.hexdigest()
