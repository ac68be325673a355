"""What the exit status of every command means."""

from __future__ import annotations

OK = 0
USER_ERROR = 1
OUR_FAULT = 2
FINDINGS = 3
UNFINISHED = 4
INTERRUPTED = 130

MEANING = {
    OK: "everything was done",
    USER_ERROR: "something given was wrong (an option, a name, a file, a full disk); nothing was lost",
    OUR_FAULT: "a fault of this program; the message says where its traceback is",
    FINDINGS: "finished, but trials failed or a check found something",
    UNFINISHED: "stopped at --max-hours; what was finished is kept, the same command goes on",
    INTERRUPTED: "stopped by Ctrl-C, SIGTERM or SIGUSR1; what was finished is kept, the same command goes on",
}
"""The table that `--help` prints."""


def table() -> str:
    """The exit statuses as lines of text."""
    return "\n".join(f"{code:>4}  {meaning}" for code, meaning in MEANING.items())
