"""`bench data`: anybody's clips become a data set of this machine."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands import audit, cache, options, splits
from bench.commands.absent import tell_absent

if TYPE_CHECKING:
    from datasets.verify import Finding

app = typer.Typer(help="Add, list, remove, verify, audit, split and cache data sets.", no_args_is_help=True)
SHOWN = 20
"""Findings that `verify` prints; all of them are in the manifest."""
CURES = {
    "missing": "fetch it, or take it out of the lists",
    "undecodable": "mend it or fetch it again, or take it out of the lists",
    "flawed": "it is used as it is",
}
"""What to do about each kind of finding, where its reason does not say it."""
CLOSED = "let yourself read it (chmod, or ask its owner), or take it out of the lists"


app.add_typer(splits.app, name="splits")
app.add_typer(cache.app, name="cache")
app.command("audit")(audit.audit)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="How the data set will be called.")],
    videos: Annotated[
        Path | None, typer.Option("--videos", help="Folder with the clips of a public data set.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="Folder with its official annotation files.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Which reader, where the name does not say it; see: data formats."),
    ] = None,
    train: Annotated[
        Path | None, typer.Option("--train", help="List of labeled clips, 'path label' a line.")
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", help="List of test clips.")] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Folder that holds the files; the lists' paths are below it."),
    ] = None,
    unlabeled: Annotated[
        Path | None,
        typer.Option("--unlabeled", help="List of unlabeled clips; without it, seeds draw from --train."),
    ] = None,
    validation: Annotated[Path | None, typer.Option("--validation", help="List of validation clips.")] = None,
    classes: Annotated[
        Path | None, typer.Option("--classes", help="Class names, one a line, where labels are numbers.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option("--boxes", help="Where persons are (for lists): JSON lines, see docs/data.md."),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="A left-right mirrored clip keeps its label (for lists).")
    ] = False,
    accept_leak: Annotated[
        bool, typer.Option("--accept-leak", help="Take annotations in which clips are trained on and scored.")
    ] = False,
    plugin: options.Plugins = None,
) -> int:
    """Register a public data set by its official annotations, or any videos by lists of 'path label'.

    Example: python -m bench data add gym99 --videos /data/gym/clips --annotations /data/gym/annotations

    Your own: python -m bench data add mine --train train.txt --test test.txt --root /data/clips
    """
    options.load_plugins(plugin)
    from bench import plugins
    from datasets import catalog
    from datasets.errors import UserError

    _check_free(name)
    notes: list[str] = []
    if videos is None and annotations is None and form is None:
        if train is None or test is None or root is None:
            raise UserError(
                f"give '{name}' either with --videos and --annotations (a public data set) or with --train, "
                "--test and --root (your own lists)."
            )
        if accept_leak:
            raise UserError(
                "--accept-leak is for --videos and --annotations; remove clips that are trained on and "
                "scored from one of the lists."
            )
        unmade: Mapping[str, str] = {}
        notes = catalog.add(name, train, test, root, unlabeled, validation, classes, boxes, mirror).notes()
    else:
        lists = {"--train": train, "--test": test, "--root": root, "--unlabeled": unlabeled}
        lists |= {"--validation": validation, "--classes": classes, "--boxes": boxes}
        if wrong := [option for option, path in lists.items() if path is not None]:
            raise UserError(
                f"{wrong[0]} is for your own lists; leave it out with --videos and --annotations."
            )
        unmade = _add_public(name, form, videos, annotations, mirror, accept_leak)
    table = plugins.dataset(name).table()
    pool = "" if table.unlabeled is None else f"{len(table.unlabeled)} unlabeled, "
    sizes = f"{len(table.train)} training, {pool}{len(table.test)} test clips"
    print(f"{name}: {len(table.classes)} classes, {sizes}")
    for note in notes:
        print(f"note: {note}")
    tell_absent(table, unmade)
    print(f"next: python -m bench data verify {name}; python -m bench run --data {name}")
    return 0


def _check_free(name: str) -> None:
    from bench import plugins
    from datasets import catalog, places
    from datasets.errors import UserError

    if name in places.entries() or name in catalog.entries():
        raise UserError(
            f"data set '{name}' is already registered; remove it first: python -m bench data rm {name}."
        )
    if name in plugins.dataset_names():
        raise UserError(f"'{name}' is a data set that comes with a package; choose another name.")


def _add_public(
    name: str,
    form: str | None,
    videos: Path | None,
    annotations: Path | None,
    mirror: bool,
    accept_leak: bool,
) -> Mapping[str, str]:
    """Registers the set; returns reasons of clips that could not be made."""
    from bench import readers
    from datasets import places
    from datasets.annotated import Place
    from datasets.errors import UserError

    reader = readers.reader(form or name)
    for option, path in (("--videos", videos), ("--annotations", annotations)):
        if path is None:
            raise UserError(f"{option} is missing; it names a folder for data set '{name}'.")
        if not path.expanduser().is_dir():
            raise UserError(f"{option}: there is no folder {path}; give the right one.")
    assert videos is not None and annotations is not None
    folders = (videos.expanduser().resolve(), annotations.expanduser().resolve())
    return places.add(Place(name, form or name, *folders, mirror, accept_leak), reader).unmade


@app.command("formats")
def list_formats() -> int:
    """What `data add --format` reads; where it comes from is in docs/data.md.

    Example: python -m bench data formats
    """
    from bench import readers

    known = readers.formats()
    width = max(map(len, known), default=0)
    for form, reader in known.items():
        print(f"{form:<{width}}  {reader.formats[form]}")
    for problem in readers.problems():
        print(f"warning: {problem}", file=sys.stderr)
    return 0


@app.command("ls")
def list_sets() -> int:
    """The data sets that were added on this machine.

    Example: python -m bench data ls
    """
    from datasets import catalog, places

    own = {name: str(entry.root) for name, entry in catalog.entries().items()}
    public = {name: f"{place.videos} ({place.format})" for name, place in places.entries().items()}
    for name, where in sorted({**own, **public}.items()):
        print(f"{name}  {where}")
    return 0


@app.command()
def rm(
    name: Annotated[str, typer.Argument(help="A data set that was added here.")],
    made: Annotated[
        bool, typer.Option("--made", help="Delete the clips that were made of its videos, too.")
    ] = False,
) -> int:
    """Forget a data set; its files stay, and so do made clips without --made.

    Example: python -m bench data rm mine
    """
    from datasets import catalog, places
    from datasets.clip_making import made_folder, made_of
    from datasets.errors import unknown_name

    left = places.NAME.fullmatch(name) is not None and made_folder(name).is_dir()
    if name in places.entries():
        places.remove(name)
    elif name in catalog.entries():
        catalog.remove(name)
    elif not (made and left):  # made clips that an earlier `rm` has left can still go
        raise unknown_name("registered data set", name, {*places.entries(), *catalog.entries()})
    print(f"{name} is forgotten; its files are untouched")
    if left:
        count, size = made_of(name)
        clips = f"{count} clips made of its videos ({size / 1e6:.1f} MB in {made_folder(name)})"
        if made:
            shutil.rmtree(made_folder(name), ignore_errors=True)
            print(f"{clips} are deleted")
        else:
            print(f"{clips} are left; delete them: python -m bench data rm {name} --made")
    return 0


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="Any data set that is on this machine.")],
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Default: one per CPU.")] = None,
    decoder: options.Decoder = None,
    plugin: options.Plugins = None,
) -> int:
    """Decode every clip once and name those that are missing or damaged (exit status 3).

    The manifest keeps who reads each clip in full; runs with the same --decoder take that one. Stop it with
    Ctrl-C and start it again: clips that have not changed are not decoded again.

    Example: python -m bench data verify mine
    """
    options.load_plugins(plugin)
    from bench import exit_codes, plugins
    from bench.schedule import available_cpus
    from datasets.decoders import DEFAULT
    from datasets.errors import UserError
    from datasets.verify import verify as check

    found = check(plugins.dataset(name), workers or available_cpus(), decoder=decoder or DEFAULT)
    for finding in found.findings[:SHOWN]:
        print(f"{finding.kind}: {finding.key}: {finding.reason}{_cure(finding)}")
    if len(found.findings) > SHOWN:
        print(f"and {len(found.findings) - SHOWN} more")
    kinds = Counter(finding.kind for finding in found.findings)
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "nothing wrong"
    kept = "" if found.unsaved else f"; manifest: {found.manifest}"
    print(f"{found.clips} clips, {found.decoded} decoded now: {counts}{kept}", flush=True)
    if found.unsaved:  # said last, for a full disk must not cost what was found
        raise UserError(found.unsaved)
    return exit_codes.FINDINGS if found.findings else exit_codes.OK


def _cure(finding: Finding) -> str:
    """What to do about a finding, as the end of its line; nothing where its reason says it."""
    if "; " in finding.reason:
        return ""
    return f"; {CLOSED if 'Permission denied' in finding.reason else CURES[finding.kind]}"
