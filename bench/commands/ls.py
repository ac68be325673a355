"""`bench ls`: what there is to name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bench.commands import options

if TYPE_CHECKING:  # PyTorch is loaded only by the commands that need it
    from datasets.types import DataSet

T = TypeVar("T")

app = typer.Typer(help="List methods, data sets, suites, backbones, costs of steps.", no_args_is_help=True)
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

    With views, extra inputs and the cost of a step; bounds, and methods that nobody can implement, are apart.

    Example: python -m bench ls methods --json
    """
    options.load_plugins(plugin)
    from bench import method_listing, plugins

    listing = method_listing.listing(plugins.methods().names(), plugins.method_class)
    print(json.dumps(listing, indent=1) if as_json else method_listing.as_text(listing))
    return 0


@app.command()
def costs(
    suite: options.Suite = "fine_grained",
    embedded: options.Embedded = False,
    as_json: AsJson = False,
    plugin: options.Plugins = None,
) -> int:
    """What a training step of each entry of a suite costs: frames decoded, clips, operations.

    Counted on the suite's own clips with its batch sizes, before any run.

    Example: python -m bench ls costs --suite classic
    """
    from bench.suite import load_suite

    loaded = load_suite(suite)
    options.load_plugins(plugin)
    from bench import step_costs
    from bench.agenda import make_agenda

    chosen = options.choice(None, None, None, False, None, False, embedded, None)
    found = list(step_costs.of_trials(make_agenda(loaded, chosen).trials))
    print(json.dumps(step_costs.as_rows(found), indent=1) if as_json else step_costs.as_text(found))
    return 0


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

    def state(found: DataSet) -> str:
        here = "here" if found.present() else f"absent; add it with: {found.how_to_add()}"
        return f"{found.summary} ({here})"

    names = plugins.dataset_names()
    return _show([(name, _or_broken(plugins.dataset, name, state)) for name in names], as_json)


def _summary(builder: object) -> str:
    return (builder.__doc__ or "").strip().split("\n")[0]


def _or_broken(load: Callable[[str], T], name: str, text: Callable[[T], str]) -> str:
    """What `text` says of a name, or why it cannot be loaded."""
    from datasets.errors import UserError

    try:
        return text(load(name))
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
