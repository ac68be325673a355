"""The functions that run in the children are the standard library's: a child imports them by name."""

import os
import signal
import time
from typing import Any

from datasets.contained import Lost, contained


def test_every_job_has_its_result() -> None:
    assert dict(contained(abs, [-3, 2, -1, 0, -9], workers=2)) == {0: 3, 1: 2, 2: 1, 3: 0, 4: 9}
    assert list(contained(abs, [], workers=2)) == []


def test_a_crash_is_the_result_of_its_job_alone() -> None:
    # os._exit ends the child at once, as a crash in a decoder does; os.strerror returns.
    found = dict(contained(os._exit, [3, 4], workers=1))
    assert {place: lost.reason for place, lost in found.items()} == {
        0: "its decoder crashed (exit code 3)",
        1: "its decoder crashed (exit code 4)",
    }


class NoJob:
    """Ends the process that unpickles it, which is before the process has it."""

    def __reduce__(self) -> Any:
        return os._exit, (5,)


def test_a_process_that_others_end_or_that_never_has_its_job_tells_nothing_of_it() -> None:
    found = dict(contained(signal.raise_signal, [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], workers=1))
    assert found == {
        0: Lost("its process was killed from outside (exit code -9)", outside=True),
        1: Lost("its process was killed from outside (exit code -15)", outside=True),
        2: Lost("its decoder crashed (exit code -11)"),
    }
    started = dict(contained(repr, [NoJob(), 3], workers=1))
    assert started == {0: Lost("its process could not start (exit code 5)", outside=True), 1: "3"}


def test_a_job_that_hangs_is_stopped_and_the_others_go_on() -> None:
    found = dict(contained(time.sleep, [60.0, 0.0, 0.0], workers=1, patience=2.0))
    assert isinstance(found[0], Lost)
    assert "more than 2 s" in found[0].reason
    assert (found[1], found[2]) == (None, None)


def test_an_exception_is_recorded_with_its_name() -> None:
    found = dict(contained(int, ["7", "seven"], workers=1))
    assert found[0] == 7
    assert found[1] == Lost("ValueError: invalid literal for int() with base 10: 'seven'")
