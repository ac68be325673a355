"""`bench doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.commands import options


def doctor(
    out: options.Out = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Look at versions, devices, decoders, disk, and whether another package is called `datasets`.

    Example: python -m bench doctor
    """
    from bench import exit_codes
    from bench.doctor import examine

    findings = examine(out)
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{finding.level:8}{finding.what:10}{finding.text}")
    bad = any(finding.level == "problem" for finding in findings)
    return exit_codes.FINDINGS if bad else exit_codes.OK
