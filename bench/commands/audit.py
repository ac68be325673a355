"""`bench data audit`: what is wrong with a data set or with published lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands import options

if TYPE_CHECKING:
    from datasets.audit import AuditFinding


def audit(
    target: Annotated[
        str,
        typer.Argument(help="A data set, or a folder with lists (also of several sets).", metavar="NAME|DIR"),
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", help="A data set whose official parts the lists should keep to."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at names and labels only, not into the videos.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Default: one per CPU.")] = None,
    plugin: options.Plugins = None,
) -> int:
    """Find leaks (scored clips that are trained on), flaws of lists, and things to note (exit status 3).

    A leak is the same clip, the same bytes or the same footage in training and in test. Notes alone exit
    with 0.

    Example: python -m bench data audit mine
    """
    options.load_plugins(plugin)
    from bench import exit_codes, plugins
    from datasets.audit import SEVERITIES

    keep: Callable[[], object] = list
    names = plugins.dataset_names()
    if target not in names and Path(target).is_dir():
        found = _audit_folder(Path(target), against)
    else:
        findings, keep = _audit_set(target, quick, workers)
        found = {target: findings}
    for place, findings in found.items():
        print(f"{place}:" if findings else f"{place}: nothing found")
        for each in findings:
            print(f"  {each.severity}: {each.sentence}")
            if each.examples:
                rest = each.count - len(each.examples)
                print(f"    {', '.join(each.examples)}{f' and {rest} more' if rest > 0 else ''}")
    every = [each.severity for findings in found.values() for each in findings]
    counts = ", ".join(
        f"{every.count(each)} {each}{'' if every.count(each) == 1 else 's'}" for each in SEVERITIES
    )
    audited = max(1, len(found) - 1)  # of several folders there is one entry more: all as a whole
    print(f"{audited} audited: {counts}", flush=True)
    keep()  # last, for a full disk must not cost what was found
    return exit_codes.FINDINGS if {"leak", "flaw"} & set(every) else exit_codes.OK


def _audit_set(
    name: str, quick: bool, workers: int | None
) -> tuple[list[AuditFinding], Callable[[], object]]:
    """The findings of a data set, and what keeps them; a quick look is not kept."""
    from bench import plugins
    from bench.leaks import findings_by_name
    from bench.schedule import available_cpus
    from datasets import audit_record
    from datasets.audit import sort_findings
    from datasets.audit_files import audit_bytes, audit_footage

    dataset = plugins.dataset(name)
    table = dataset.table()
    found = findings_by_name(dataset)
    if quick:
        return sort_findings(found), list
    dataset.prepare()
    seen = audit_record.files(table)
    found += [*audit_bytes(table), *audit_footage(table, workers or available_cpus())]
    found = sort_findings(found)
    return found, lambda: audit_record.save(table, found, seen)


def _audit_folder(folder: Path, against: str | None) -> dict[str, list[AuditFinding]]:
    from bench import plugins
    from datasets.audit import sort_findings
    from datasets.audit_lists import audit_family, audit_lists, compare_official, list_folders, read_published
    from datasets.errors import UserError

    folders = list_folders(folder)
    if not folders:
        raise UserError(f"{folder} has no training list, such as 'train.csv'; give the folder of the lists.")
    official = plugins.dataset(against, "--against").table() if against else None
    published = [read_published(each) for each in folders]
    found = {}
    for each in published:
        more = compare_official(each, official) if official else []
        found[str(each.folder)] = sort_findings([*audit_lists(each), *more])
    if len(published) > 1:
        found[f"{folder} as a whole"] = sort_findings(audit_family(published))
    return found
