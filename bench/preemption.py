"""SIGTERM and SIGUSR1 as batch systems send them before they take a machine away: save, then go.

While a trial trains, a signal is noticed at the end of the step, when a checkpoint can be written.  At any
other time it ends the trial at once, since nothing would be lost.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Preempted(BaseException):
    """The trial was asked to leave the machine; its checkpoint is written."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")


class Notice:
    """Whether a signal has come; while `patient`, it is kept for `obey`."""

    def __init__(self) -> None:
        self.patient = False
        self._number: int | None = None

    @property
    def given(self) -> bool:
        """Whether it is time to go."""
        return self._number is not None

    def hear(self, number: int, frame: FrameType | None = None) -> None:
        """The signal handler."""
        self._number = number
        if not self.patient:
            raise Preempted(number)

    def obey(self) -> None:
        """Ends the trial if a signal has come.

        Raises:
            Preempted: then.
        """
        if self._number is not None:
            raise Preempted(self._number)


@contextlib.contextmanager
def noticed() -> Iterator[Notice]:
    """Listens to the signals; outside of a main thread, which no signal reaches, nothing is ever heard."""
    notice = Notice()
    before = {}
    try:
        for number in SIGNALS:
            before[number] = signal.signal(number, notice.hear)
    except ValueError:
        yield notice
        return
    try:
        yield notice
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
