"""What is said of each data set of a run before it starts: whether it is here, and was looked at."""

from __future__ import annotations

from bench import plugins
from datasets import audit_record
from datasets.manifest import load_rows, manifest_path
from datasets.types import ClipTable


def here(name: str) -> str:
    """One line about a data set that is on this machine: its size, and what nobody has done with it yet.

    What was done before the lists changed says nothing about the lists of now, so it is to be done again; an
    audit, which compares videos with each other, also where a video is another one now.
    """
    table = plugins.dataset(name).table()
    unlabeled = "" if table.unlabeled is None else f"{len(table.unlabeled):,} unlabeled, "
    sizes = f"{len(table.train):,} training, {unlabeled}{len(table.test):,} test clips"
    states = {
        ("verify", "verified"): _verified(table),
        ("audit", "audited"): audit_record.state(table),
    }
    missing = [
        f"python -m bench data {command} {name}" for (command, _), state in states.items() if state == "none"
    ]
    said = [f"not yet done: {', '.join(missing)}"] if missing else []
    changed = {"verify": "lists", "audit": "lists or videos"}
    said += [
        f"{done} before its {changed[command]} changed: {command} again with "
        f"python -m bench data {command} {name}"
        for (command, done), state in states.items()
        if state == "old"
    ]
    return "; ".join([f"data set '{name}' is on this machine: {len(table.classes)} classes, {sizes}", *said])


def _verified(table: ClipTable) -> audit_record.State:
    """Whether the manifest has every clip of the lists."""
    path = manifest_path(table.name)
    if not path.is_file():
        return "none"
    return "now" if {clip.key for clip in table.clips()} <= load_rows(path).keys() else "old"
