"""`bench ls`: what there is to name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from bench.commands import options

app = typer.Typer(help="List methods, data sets, suites, backbones.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def suites(as_json: AsJson = False) -> int:
    """The suites that come with the package.

    Example: python -m bench ls suites
    """
    from bench.suite import load_suite, suite_names

    return _show([(name, load_suite(name).suite.title) for name in suite_names()], as_json)


@app.command()
def methods(as_json: AsJson = False, plugin: options.Plugins = None) -> int:
    """The methods: ours, those of installed packages, those of --plugin files.

    Example: python -m bench ls methods --json
    """
    options.load_plugins(plugin)
    from bench import plugins

    rows = []
    for name in plugins.methods().names():
        source = _or_broken(plugins.method_class, name, _source)
        rows.append((name, source))
    return _show(rows, as_json)


@app.command()
def backbones(as_json: AsJson = False, plugin: options.Plugins = None) -> int:
    """The nets.

    Example: python -m bench ls backbones
    """
    options.load_plugins(plugin)
    from bench import plugins

    names = plugins.backbones().names()
    return _show([(name, _or_broken(plugins.backbone_builder, name, _summary)) for name in names], as_json)


@app.command()
def datasets(as_json: AsJson = False, plugin: options.Plugins = None) -> int:
    """The data sets, and which of them are on this machine.

    Example: python -m bench ls datasets
    """
    options.load_plugins(plugin)
    from bench import plugins

    def state(found: object) -> str:
        here = "here" if found.present() else f"absent; add it with: {found.how_to_add()}"  # type: ignore[attr-defined]
        return f"{found.summary} ({here})"  # type: ignore[attr-defined]

    names = plugins.dataset_names()
    return _show([(name, _or_broken(plugins.dataset, name, state)) for name in names], as_json)


def _source(cls: object) -> str:
    source = cls.source  # type: ignore[attr-defined]
    return f"{source.paper} ({source.venue} {source.year}) {source.link}"


def _summary(builder: object) -> str:
    return (builder.__doc__ or "").strip().split("\n")[0]


def _or_broken(load, name, text) -> str:  # type: ignore[no-untyped-def]
    from datasets.errors import UserError

    try:
        return str(text(load(name)))
    except UserError as error:
        return f"broken: {error}"


def _show(rows: Sequence[tuple[str, str]], as_json: bool) -> int:
    if as_json:
        print(json.dumps([{"name": name, "summary": text} for name, text in rows], indent=1))
        return 0
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        print(f"{name:{width}}  {text}")
    return 0
