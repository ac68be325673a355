"""What is said of each data set of a suite before a run: whether it is here, and was looked at."""

from __future__ import annotations

from bench import plugins
from datasets.home import data_home


def here(name: str) -> str:
    """One line about a data set that is on this machine: its size, and what nobody has done with it yet."""
    table = plugins.dataset(name).table()
    unlabeled = "" if table.unlabeled is None else f"{len(table.unlabeled):,} unlabeled, "
    sizes = f"{len(table.train):,} training, {unlabeled}{len(table.test):,} test clips"
    missing = [
        f"python -m bench data {command} {name}"
        for folder, command in (("manifests", "verify"), ("audits", "audit"))
        if not (data_home() / folder / f"{name}.json").is_file()
    ]
    todo = f"; not yet done: {', '.join(missing)}" if missing else ""
    return f"data set '{name}' is on this machine: {len(table.classes)} classes, {sizes}{todo}"
