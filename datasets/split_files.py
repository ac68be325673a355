"""Splits as files that travel with results: one line per clip and role, and the hash that they must have."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from datasets.errors import UserError
from datasets.splits import Split, split_hash
from datasets.types import UNKNOWN, ClipRef, ClipTable

ROLES = ("labeled", "unlabeled", "validation", "test")
_HEAD = "# sefar-bench split, sha256 "


def write_split(path: Path, split: Split, classes: Sequence[str]) -> None:
    """Writes `role<tab>key<tab>class` lines below the split's hash; whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    lines = [f"{_HEAD}{split.hash}"]
    for role in ROLES:
        for clip in getattr(split, role):
            name = "?" if clip.label == UNKNOWN else classes[clip.label]
            lines.append(f"{role}\t{clip.key}\t{name}")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"the split {path} cannot be written ({error.strerror}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_split(path: Path, table: ClipTable) -> Split:
    """The split of a file, with the clips of this machine's data set.

    Raises:
        UserError: the file is missing or damaged, or was made of another data set.
    """
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(
            f"the split {path} cannot be read; give a file that `data splits write` made."
        ) from error
    known = {clip.key: clip for clip in table.clips()}
    roles: dict[str, list[ClipRef]] = {role: [] for role in ROLES}
    for number, line in enumerate(lines, start=2):
        role, _, rest = line.partition("\t")
        key = rest.partition("\t")[0]
        if role not in roles or key not in known:
            raise UserError(
                f"{path}:{number}: '{key or line}' is no clip of data set '{table.name}'; give the split of "
                "this data set."
            )
        roles[role].append(known[key])
    found = Split(
        **{role: tuple(clips) for role, clips in roles.items()}, hash=split_hash(roles, table.classes)
    )
    if head != f"{_HEAD}{found.hash}":
        raise UserError(
            f"the split {path} does not have the hash that it states: a line or a label of data set "
            f"'{table.name}' has changed; write it again."
        )
    return found


def first_difference(one: Split, other: Split, in_one: str, in_other: str) -> str:
    """In words the first clip that plays a role in only one of two splits.

    Args:
        one: a split.
        other: a split of the same data set.
        in_one: where `one` is, in words, such as "in the planned split".
        in_other: the same of `other`.
    """
    for role in ROLES:
        mine, theirs = ({clip.key for clip in getattr(split, role)} for split in (one, other))
        for only, where in ((mine - theirs, in_one), (theirs - mine, in_other)):
            if only:
                more = f" and {len(only) - 1} more are" if len(only) > 1 else " is"
                return f"'{min(only)}'{more} {role} only {where}"
    return "a label differs"
