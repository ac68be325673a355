"""Whether the files of a data set are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets.errors import UserError
from datasets.types import ClipRef


def absent(clips: Sequence[ClipRef]) -> str | None:
    """The sentence that counts the clips that are missing; nothing where none is."""
    missing = [clip for clip in clips if not clip.path.is_file()]
    if not missing:
        return None
    return f"{len(missing)} of {len(clips)} clips are missing (first: {missing[0].key})"


def check_present(name: str, folder: Path, clips: Sequence[ClipRef], elsewhere: str, cure: str) -> None:
    """Some clips may be missing, which counts them as undecodable; of most, the folder is the wrong one.

    Args:
        name: of the data set.
        folder: where its files should be.
        clips: all of them.
        elsewhere: what to do where there is no such folder, as the end of a sentence.
        cure: what to do where most files are missing, as the end of a sentence.

    Raises:
        UserError: the folder, or more than half of the files, are missing.
    """
    if not folder.is_dir():
        raise UserError(f"the folder {folder} of data set '{name}' does not exist; {elsewhere}")
    missing = [clip for clip in clips if not clip.path.is_file()]
    if len(missing) * 2 > len(clips):
        raise UserError(
            f"{len(missing)} of {len(clips)} clips of data set '{name}' are not in {folder}, the "
            f"first is '{missing[0].key}'; {cure}"
        )
