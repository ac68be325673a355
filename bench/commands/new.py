"""`bench new`: files to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options

app = typer.Typer(help="Begin a method of your own.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Begin a method of your own."""


@app.command()
def method(
    name: Annotated[str, typer.Argument(help="Its name, as in 'my_method'.")],
    plugin: options.Plugins = None,
) -> int:
    """Write NAME.py, a commented method that runs, and test_NAME.py into this folder.

    Nothing is overwritten.

    Example: python -m bench new method my_method
    """
    options.load_plugins(plugin)
    from bench import plugins
    from bench.new_method import write_method

    file, test = write_method(name, Path(), plugins.methods().names())
    print(f"{file}: the method; check it with: python -m bench check-method {file}")
    print(f"{test}: its test; run it with: python -m pytest {test}")
    print(f"train it with: python -m bench run --suite smoke --plugin {file} --methods {name}")
    return 0
