"""Sets with three official splits: `name` is the first, `name_split2` the second."""

from __future__ import annotations

from collections.abc import Mapping


def split_formats(name: str, title: str) -> Mapping[str, str]:
    """The formats of such a set: name -> one line about it."""
    return {
        name: f"{title}, official split 1",
        **{f"{name}_split{split}": f"{title}, official split {split}" for split in (1, 2, 3)},
    }


def split_of(form: str) -> str:
    """The digit of the split that a format names."""
    return form[-1] if "_split" in form else "1"
