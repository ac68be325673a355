"""Whether the files of a data set are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets.errors import UserError
from datasets.file_hashes import ABSENT, NO_FILE, problem
from datasets.types import ClipRef


def absent(clips: Sequence[ClipRef]) -> str | None:
    """The sentence that counts the clips that are missing or closed to us; nothing where none is."""
    found = {clip.key: reason for clip in clips if (reason := problem(clip.path))}
    gone = [key for key, reason in found.items() if reason in {ABSENT, NO_FILE}]
    closed = [key for key, reason in found.items() if reason not in {ABSENT, NO_FILE}]
    said = [f"{len(gone)} of {len(clips)} clips are missing (first: {gone[0]})"] if gone else []
    if closed:
        reason = found[closed[0]].removeprefix("the file ")
        said.append(f"{len(closed)} of {len(clips)} clips {reason} (first: {closed[0]})")
    return "; ".join(said) or None


def check_present(name: str, folder: Path, clips: Sequence[ClipRef], elsewhere: str, cure: str) -> None:
    """Some clips may be missing, which counts them as undecodable; of most, the folder is the wrong one.

    Clips that we may not look at are not counted: the folder is the right one, and each has its reason.

    Args:
        name: of the data set.
        folder: where its files should be.
        clips: all of them.
        elsewhere: what to do where there is no such folder, as the end of a sentence.
        cure: what to do where most files are missing, as the end of a sentence.

    Raises:
        UserError: the folder, or more than half of the files, are missing.
    """
    if problem(folder) in {ABSENT, None}:  # None: it is a file
        raise UserError(f"the folder {folder} of data set '{name}' does not exist; {elsewhere}")
    missing = [clip for clip in clips if problem(clip.path) in {ABSENT, NO_FILE}]
    if len(missing) * 2 > len(clips):
        raise UserError(
            f"{len(missing)} of {len(clips)} clips of data set '{name}' are not in {folder}, the "
            f"first is '{missing[0].key}'; {cure}"
        )
