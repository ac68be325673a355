"""`bench data`: anybody's clips become a data set of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options

app = typer.Typer(help="Add, list, remove and verify data sets of this machine.", no_args_is_help=True)
List = "LIST"
