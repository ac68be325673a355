"""What `data add` and `data splits import` say of clips that are not on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets.types import ClipTable


def tell_absent(table: ClipTable, unmade: Mapping[str, str]) -> None:
    """Says which clips of a set that was just added are not here, and which could not be made."""
    from datasets.clip_files import absent

    if unmade:
        key, reason = next(iter(unmade.items()))
        print(f"{len(unmade)} clips could not be made; the first, '{key}': {reason}")
    if sentence := absent(table.clips()):
        print(f"{sentence}; they count as undecodable")
