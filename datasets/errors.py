"""Mistakes of the user: one clear sentence that names the thing, the place and the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave; the command line prints its message and exits with 1."""


def reason(error: Exception) -> str:
    """What an error says; of the system's errors without number and path, as `No such file or directory`."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def first_line(error: Exception, most: int = 120) -> str:
    """The first line of what an error says, cut to `most` characters; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def unknown_name(kind: str, name: str, known: Iterable[str], where: str = "") -> UserError:
    """The error for a name that is not in a registry, with the nearest known one offered.

    Args:
        kind: what is named, for example "method".
        name: what was typed.
        known: the names that exist.
        where: the place (file:line or field), put in front when given.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    prefix = f"{where}: " if where else ""
    return UserError(f"{prefix}there is no {kind} '{name}'.{hint} Known: {', '.join(names) or 'none'}.")
