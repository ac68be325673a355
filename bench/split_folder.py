"""The splits of a run as files in its folder, so that results say on which clips they stand.

    RUNS/<suite>/splits/<data>@<labels>-seed<seed>-<hash>.tsv

Each is a text file of `datasets.split_files`.  `bench trial` on another machine reads the one of its trial
and says which clip differs there, where all that a hash could say is that something does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench import plugins
from bench.spec import TrialSpec
from bench.store import disk_errors
from datasets.errors import UserError
from datasets.split_files import first_difference, read_split, write_split
from datasets.splits import make_split

SPLITS = "splits"
DIGITS = 12
"""Of a split's hash in the name of its file."""


def keep_splits(specs: Iterable[TrialSpec], folder: Path, option: str = "--out") -> None:
    """Writes the split of each trial below `folder`; those that are there already stay as they are.

    Raises:
        UserError: a file cannot be written; `option` gives another folder.
    """
    for name, spec in {_name(spec): spec for spec in specs}.items():
        path = folder / SPLITS / name
        if not path.is_file():
            table = plugins.dataset(spec.data).table()
            split = make_split(table, spec.labels, spec.seed, spec.allow_empty_classes)
            try:
                write_split(path, split, table.classes)
            except UserError as error:
                with disk_errors(path, option):
                    raise error.__cause__ or error from None


def check_split(spec: TrialSpec, spec_file: Path) -> None:
    """That this machine's data give the split that was planned, where its file lies near the specification.

    Looked for are the folder of splits of the run that the specification lies in, and one beside it.

    Raises:
        UserError: a clip or a label differs; names it.
    """
    folders = (spec_file.resolve().parent, *spec_file.resolve().parents[2:3])
    path = next((file for each in folders if (file := each / SPLITS / _name(spec)).is_file()), None)
    if path is None:
        return
    table = plugins.dataset(spec.data).table()
    planned = read_split(path, table)
    if planned.hash != spec.split_hash:
        raise UserError(
            f"{path}: it is the split {planned.hash[:DIGITS]}, not that of {spec_file}; run again."
        )
    here = make_split(table, spec.labels, spec.seed, spec.allow_empty_classes)
    if here.hash != planned.hash:
        raise UserError(
            f"data set '{spec.data}' is not the one that trial {spec.id} was planned for: "
            f"{first_difference(planned, here, 'in the planned split', 'here')} ({path}); give this machine "
            "the same lists and clips, or plan again."
        )


def _name(spec: TrialSpec) -> str:
    labels = spec.labels.replace("%", "pc")
    return f"{spec.data}@{labels}-seed{spec.seed}-{spec.split_hash[:DIGITS]}.tsv"
