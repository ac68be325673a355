"""`bench data splits`: published label lists as they are, and seeded splits as files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options
from bench.commands.absent import tell_absent

app = typer.Typer(help="Import published label lists, write seeded splits.", no_args_is_help=True)


@app.command("import")
def import_lists(
    folder: Annotated[
        Path, typer.Argument(help="Folder with the lists of train, unlabel, val and test.", metavar="DIR")
    ],
    root: Annotated[
        Path,
        typer.Option(
            "--root", help="Folder of the videos; the lists' prefix is replaced, or names are matched."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", help="How the data set will be called; default: the folder's name."),
    ] = None,
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="A left-right mirrored clip keeps its label, so clips may be flipped."),
    ] = False,
    accept_leak: Annotated[
        bool, typer.Option("--accept-leak", help="Take lists in which clips are trained on and scored.")
    ] = False,
    plugin: options.Plugins = None,
) -> int:
    """Take published lists as they are: copied, pinned by hash, registered as a data set.

    Example: python -m bench data splits import lists/all99_5 --root /gym --name gym99_published_5 --mirror
    """
    options.load_plugins(plugin)
    from bench import plugins
    from datasets.errors import UserError
    from datasets.list_folder import PINS
    from datasets.pinned import import_lists as take

    chosen = name or folder.resolve().name.lower()
    if chosen in plugins.dataset_names():
        raise UserError(f"there is a data set '{chosen}' already; give another name with --name.")
    if not root.expanduser().is_dir():
        raise UserError(f"--root: there is no folder {root}; give the folder that holds the clips.")
    made = take(folder, chosen, root.expanduser().resolve(), mirror, accept_leak)
    table = made.table()
    pool = "" if table.unlabeled is None else f"{len(table.unlabeled)} unlabeled, "
    sizes = f"{len(table.train)} labeled, {pool}{len(table.test)} test clips"
    print(f"{chosen}: {len(table.classes)} classes, {sizes}")
    tell_absent(table, made.unmade)
    print(f"pinned: {made.place.annotations / PINS}")
    if not mirror:
        print("clips are never flipped; where a mirrored clip keeps its label, import with --mirror")
    print(f"next: python -m bench data audit {chosen}; python -m bench run --data {chosen}")
    return 0


@app.command()
def write(
    name: Annotated[str, typer.Argument(help="Any data set that is on this machine.")],
    labels: Annotated[
        str, typer.Option("--labels", help="'4' per class, '5%', 'list' (of pinned lists) or 'all'.")
    ],
    seeds: Annotated[str, typer.Option("--seeds", help="As 0-4 or 0,2,5-7.")] = "0-4",
    to: Annotated[Path, typer.Option("--to", help="Folder of the files.")] = Path("splits"),
    allow_empty_classes: options.AllowEmptyClasses = False,
    plugin: options.Plugins = None,
) -> int:
    """Write the splits that trials use as text files with their hashes.

    Example: python -m bench data splits write mine --labels 2 --seeds 0-4 --to splits
    """
    options.load_plugins(plugin)
    from bench import plugins
    from bench.suite import parse_seeds
    from datasets.errors import UserError
    from datasets.split_files import write_split
    from datasets.splits import make_split

    try:
        numbers = parse_seeds(seeds)
    except ValueError as error:
        raise UserError(f"--seeds: {error}.") from None
    if not _is_budget(labels):
        raise UserError(
            f"--labels: '{labels}' is no budget; give a count from 1, such as '4', a share above 0% and to "
            "100%, such as '5%', or 'list' or 'all'."
        )
    table = plugins.dataset(name).table()
    for seed in numbers:
        split = make_split(table, labels, seed, allow_empty_classes)
        path = to / f"{name}@{labels.replace('%', 'pc')}-seed{seed}.tsv"
        write_split(path, split, table.classes)
        print(f"{path}  {split.hash[:12]}  {len(split.labeled)} labeled, {len(split.validation)} validation")
    return 0


def _is_budget(labels: str) -> bool:
    if re.fullmatch(r"\d+(\.\d+)?%", labels, re.ASCII):
        return 0 < float(labels[:-1]) <= 100
    return re.fullmatch(r"[1-9]\d*|list|all", labels, re.ASCII) is not None
