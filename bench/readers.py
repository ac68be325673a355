"""The readers of public data sets: entry points of the group `sefar_bench.readers`, by format name."""

from __future__ import annotations

import difflib
import inspect
from functools import cache
from importlib.metadata import entry_points

from datasets.annotated import AnnotatedSet
from datasets.errors import UserError

GROUP = "sefar_bench.readers"


@cache
def formats() -> dict[str, type[AnnotatedSet]]:
    """Format name -> reader; one that cannot be imported is left out (`problems` names it)."""
    found: dict[str, type[AnnotatedSet]] = {}
    for reader in _loaded()[0].values():
        for name in reader.formats:
            found.setdefault(name, reader)
    return found


def problems() -> tuple[str, ...]:
    """A sentence about each reader that cannot be used."""
    return tuple(_loaded()[1])


def reader(name: str, option: str = "--format") -> type[AnnotatedSet]:
    """The reader of a format.

    Raises:
        UserError: for an unknown format; offers the nearest one and says which readers there are.
    """
    known = formats()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    first = [next(iter(each.formats)) for each in _loaded()[0].values()]
    raise UserError(
        f"{option}: no reader knows the format '{name}'.{hint} Formats: {', '.join(first)}, and their parts; "
        "see: python -m bench data formats"
    )


@cache
def _loaded() -> tuple[dict[str, type[AnnotatedSet]], list[str]]:
    found: dict[str, type[AnnotatedSet]] = {}
    wrong: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:  # foreign code: whatever it raises is its author's to read
            wrong.append(f"reader '{point.name}' cannot be loaded ({type(error).__name__}: {error}).")
            continue
        if inspect.isclass(loaded) and issubclass(loaded, AnnotatedSet):
            found[point.name] = loaded
        else:
            wrong.append(f"reader '{point.name}' is no class derived from datasets.annotated.AnnotatedSet.")
    return found, wrong
