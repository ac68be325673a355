"""What lies in the clip caches, by data set and store, and how it is removed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from datasets.cache_folder import pack_files, table_path
from datasets.clip_packs import SUFFIX, read_index
from datasets.errors import unknown_name
from datasets.file_hashes import load_table


@dataclass(frozen=True)
class Held:
    """What a store holds of a data set: clips of those that are known, and their bytes.

    Clips that two data sets share count for both.
    """

    name: str
    store: str
    clips: int
    known: int
    bytes: int


def held(root: Path) -> list[Held]:
    """Every data set in every store, in alphabetical order; nothing where there is no cache."""
    stores: dict[str, dict[str, int]] = {}
    for path in root.glob(f"*/*{SUFFIX}"):
        _, entries = read_index(path) or (0, [])
        stores.setdefault(path.parent.name, {}).update({entry.sha256: entry.bytes for entry in entries})
    found = []
    for table in sorted((root / "files").glob("*.json")):
        contents = {known.sha256 for known in load_table(table).values()}
        for store, sizes in sorted(stores.items()):
            if here := [sizes[content] for content in contents if content in sizes]:
                found.append(Held(table.stem, store, len(here), len(contents), sum(here)))
    return found


def total_bytes(root: Path) -> int:
    """Bytes of all packs, with clips to which no file belongs any more."""
    return sum(path.stat().st_size for path in pack_files(root))


def remove(root: Path, name: str) -> int:
    """Removes the packs that hold clips of a data set, and what is known of its files.

    Clips of other data sets in the same packs go with them, and are decoded again when they are needed.

    Returns:
        Bytes that are free now, or will be when those who read them are done.

    Raises:
        UserError: the cache knows no such data set.
    """
    table = table_path(root, name)
    if not table.is_file():
        raise unknown_name("cached data set", name, {path.stem for path in table.parent.glob("*.json")})
    contents = {known.sha256 for known in load_table(table).values()}
    freed = 0
    for path in root.glob(f"*/*{SUFFIX}"):
        found = read_index(path)
        if found is None or contents & {entry.sha256 for entry in found[1]}:
            freed += _remove(path)
    table.unlink(missing_ok=True)
    return freed


def remove_all(root: Path) -> int:
    """Removes every pack and table of the caches; returns bytes as `remove` does."""
    freed = sum(_remove(path) for path in pack_files(root))
    for table in (root / "files").glob("*.json"):
        table.unlink(missing_ok=True)
    return freed


def _remove(path: Path) -> int:
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        path.unlink()
        return size
    return 0
