"""`bench data`: anybody's clips become a data set of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options

app = typer.Typer(help="Add, list, remove and verify data sets of this machine.", no_args_is_help=True)
SHOWN = 20
"""Findings that `verify` prints; all of them are in the manifest."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="How the data set will be called.")],
    train: Annotated[Path, typer.Option("--train", help="List of labeled clips, 'path label' a line.")],
    test: Annotated[Path, typer.Option("--test", help="List of test clips.")],
    root: Annotated[
        Path, typer.Option("--root", help="Folder that holds the files; the lists' paths are below it.")
    ],
    unlabeled: Annotated[
        Path | None,
        typer.Option("--unlabeled", help="List of unlabeled clips; without it, seeds draw from --train."),
    ] = None,
    validation: Annotated[Path | None, typer.Option("--validation", help="List of validation clips.")] = None,
    classes: Annotated[
        Path | None, typer.Option("--classes", help="Class names, one a line, where labels are numbers.")
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="A left-right mirrored clip keeps its label.")
    ] = False,
    plugin: options.Plugins = None,
) -> int:
    """Register video files by lists of 'path label' (space, comma or tab; the label a number or a name).

    Example: python -m bench data add mine --train train.txt --test test.txt --root /data/clips
    """
    options.load_plugins(plugin)
    from bench import plugins
    from datasets import catalog
    from datasets.errors import UserError

    if name in plugins.dataset_names() and name not in catalog.entries():
        raise UserError(f"'{name}' is a data set that comes with a package; choose another name.")
    table = catalog.add(name, train, test, root, unlabeled, validation, classes, mirror).table()
    pool = "" if table.unlabeled is None else f"{len(table.unlabeled)} unlabeled, "
    sizes = f"{len(table.train)} training, {pool}{len(table.test)} test clips"
    print(f"{name}: {len(table.classes)} classes, {sizes}")
    print(f"next: python -m bench data verify {name}; python -m bench run --data {name}")
    return 0


@app.command("ls")
def list_sets() -> int:
    """The data sets that were added on this machine.

    Example: python -m bench data ls
    """
    from datasets import catalog

    for name, entry in sorted(catalog.entries().items()):
        print(f"{name}  {entry.root}")
    return 0


@app.command()
def rm(name: Annotated[str, typer.Argument(help="A data set that was added here.")]) -> int:
    """Forget a data set; its files stay.

    Example: python -m bench data rm mine
    """
    from datasets import catalog

    catalog.remove(name)
    print(f"{name} is forgotten; its files are untouched")
    return 0


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="Any data set that is on this machine.")],
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Default: one per CPU.")] = None,
    plugin: options.Plugins = None,
) -> int:
    """Decode every clip once and name those that are missing or damaged (exit status 3).

    Example: python -m bench data verify mine
    """
    options.load_plugins(plugin)
    from bench import exit_codes, plugins
    from bench.schedule import available_cpus
    from datasets.verify import verify as check

    found = check(plugins.dataset(name), workers or available_cpus())
    for finding in found.findings[:SHOWN]:
        print(f"{finding.kind}: {finding.key}: {finding.reason}")
    if len(found.findings) > SHOWN:
        print(f"and {len(found.findings) - SHOWN} more")
    print(f"{found.clips} clips, {len(found.findings)} findings; manifest: {found.manifest}")
    return exit_codes.FINDINGS if found.findings else exit_codes.OK
