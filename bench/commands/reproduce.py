"""`bench reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options


def reproduce(
    trial: Annotated[str, typer.Argument(help="A finished trial: its folder, a file in it, or its id.")],
    out: options.Out = Path("runs"),
    to: Annotated[
        Path | None, typer.Option("--to", help="Keep the repetition here; otherwise it is removed.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", min=0.0, max=100.0, help="Points of top-1 on another machine or other versions."
        ),
    ] = 5.0,
    plugin: options.Plugins = None,
) -> int:
    """Run a stored trial again and compare: every bit on the same machine and versions, accuracy elsewhere.

    Exits with 3 when it is not reproduced.

    Example: python -m bench reproduce runs/smoke/trials/0123456789abcdef
    """
    import tempfile

    options.load_plugins(plugin)
    from bench import exit_codes
    from bench.reproduce import find_trial, report_lines
    from bench.reproduce import reproduce as again

    stored = find_trial(trial, out)
    with tempfile.TemporaryDirectory(prefix="sefar-bench-reproduce-") as temporary:
        found = again(stored, to or Path(temporary), tolerance / 100)
    for line in report_lines(found):
        print(line)
    return exit_codes.OK if found.agrees else exit_codes.FINDINGS
