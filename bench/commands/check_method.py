"""`bench check-method`: the conformance suite on one method, or on all methods of a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands import options

if TYPE_CHECKING:  # PyTorch is loaded only by the commands that need it
    from methods.base import Method

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Check with this setting instead of its default; repeatable.", metavar="F=V"),
]


def check_method(
    what: Annotated[
        str, typer.Argument(help="A registered method, or a Python file.", metavar="NAME|FILE.py")
    ],
    settings: Settings = None,
    plugin: options.Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Show whether a method keeps the contract behind fair comparison (exit status 3 when it does not).

    Runs on random clips and a small net, without any data set; takes some seconds.

    Example: python -m bench check-method my_method.py
    """
    import torch

    from bench import exit_codes, plugins
    from bench.conformance import CHECKS, configured, failure
    from methods.extra_inputs import rehearsed

    names = plugins.methods_of_file(what, "check-method") if what.endswith(".py") else [what]
    options.load_plugins(plugin)
    values = _values(settings or [])
    torch.set_num_threads(1)  # the tensors are small
    width = max(map(len, CHECKS)) + 2
    report: dict[str, dict[str, str | None]] = {}
    for name in names:
        found_class = plugins.method_class(name)
        # A method that needs files is rehearsed without them, unless settings name them.
        method = configured(found_class, values) if values else rehearsed(found_class)
        if not as_json:
            stood_in = " (with stand-ins for the files that it needs)"
            print(_title(name, method) + (stood_in if not values and method is not found_class else ""))
        report[name] = {}
        for check, examine in CHECKS.items():
            found = report[name][check] = failure(check, method)
            if not as_json:
                asked = (examine.__doc__ or "").strip().split("\n")[0]
                verdict = "ok    " if found is None else "FAILED"
                print(f"  {check:{width}}{verdict}  {found or asked}", flush=True)
    findings = sum(found is not None for checks in report.values() for found in checks.values())
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        print(f"{len(names) * len(CHECKS)} checks, {findings} failed")
    return exit_codes.FINDINGS if findings else exit_codes.OK


def _title(name: str, method: type[Method]) -> str:
    source = method.source if hasattr(method, "source") else None
    return name if source is None else f"{name}: {source.paper} ({source.venue} {source.year})"


def _values(settings: list[str]) -> dict[str, Any]:
    """The fields of FIELD=VALUE; a value is read as in a suite.

    Raises:
        UserError: for a text that is no such pair.
    """
    import yaml

    from datasets.errors import UserError

    values = {}
    for text in settings:
        field, equals, value = text.partition("=")
        if not field or not equals:
            raise UserError(f"--set: settings are given as FIELD=VALUE, as in 'warmup=0.2', not as '{text}'.")
        try:
            values[field.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {text}: the value cannot be read; it is written as in a suite.") from None
    return values
