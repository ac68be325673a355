"""Entry of the command line: a guard, and what becomes of every error.  The commands: `bench.commands`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.main import get_command

from bench import exit_codes
from bench.printable import printable


def main() -> NoReturn:
    """Runs the command line of this process and exits."""
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: Sequence[str]) -> int:
    """Runs one command.

    Args:
        arguments: what follows the program's name.

    Returns:
        The exit status, see `bench.exit_codes`.
    """
    complaint = foreign_datasets()
    if complaint:
        print(f"error: {complaint}", file=sys.stderr)
        return exit_codes.USER_ERROR
    from bench.commands import app
    from datasets.errors import UserError

    before = _stop_on_signals()
    try:
        status = get_command(app).main(list(arguments), prog_name=_program(), standalone_mode=False)
        if status == exit_codes.INTERRUPTED:  # Typer's answer to Ctrl-C
            print("stopped; what was finished is kept, and the same command goes on", file=sys.stderr)
        return status if isinstance(status, int) else exit_codes.OK
    except UserError as error:
        _say(str(error))
        return exit_codes.USER_ERROR
    except (KeyboardInterrupt, EOFError):
        return exit_codes.INTERRUPTED
    except Exception as error:  # the boundary of the program
        return _unexpected(error)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def foreign_datasets() -> str:
    """Why the `datasets` package that this process would import is not ours; empty when it is."""
    found = importlib.util.find_spec("datasets")
    ours = Path(__file__).resolve().parent.parent
    origin = Path(found.origin).resolve() if found and found.origin else None
    if origin is not None and origin.parent.parent == ours:
        return ""
    where = f"the one at {origin.parent}" if origin else "none"
    return (
        f"sefar-bench needs its own package 'datasets' (next to {ours / 'bench'}), but Python finds {where}; "
        "install sefar-bench in a virtual environment of its own."
    )


def _program() -> str:
    name = Path(sys.argv[0]).name
    return "sefar-bench" if name.startswith("sefar-bench") else "python -m bench"


def _say(sentence: str) -> None:
    print(f"error: {printable(' '.join(sentence.split()))}", file=sys.stderr)


def _unexpected(error: Exception) -> int:
    """A mistake in the command line is the user's; everything else is ours."""
    if isinstance(error, typer.Abort):
        return exit_codes.INTERRUPTED
    # Typer has its own copy of Click or uses the installed one, depending on its version.
    complaint: Any = error
    if type(error).__name__ == "NoArgsIsHelpError":
        complaint.show()
        return exit_codes.USER_ERROR
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else _program()
        _say(f"{complaint.format_message().rstrip('.')}; see: {path} --help")
        return exit_codes.USER_ERROR
    handle, name = tempfile.mkstemp(prefix="sefar-bench-error-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
    first = str(error).strip().splitlines()[:1]
    _say(f"unexpected {type(error).__name__}: {first[0] if first else '(no message)'} (traceback: {name})")
    return exit_codes.OUR_FAULT


def _stop_on_signals() -> dict[int, Any]:
    """A batch system's SIGTERM and SIGUSR1 stop like Ctrl-C; only a main thread may say so."""
    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):
        for name in ("SIGTERM", "SIGUSR1"):
            number = getattr(signal, name, None)
            if number is not None:
                before[number] = signal.signal(number, _interrupt)
    return before


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
