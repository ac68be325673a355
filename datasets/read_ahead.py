"""Reading ahead: threads gather the pixels of coming batches while the device computes.

A batch follows from its step alone, so who reads it, and when, changes nothing in it.  Threads are enough:
reading from the clip cache and decoding JPEG pictures release Python's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # the loader's views are read ahead with this module, too
    from datasets.loader import Gathered, Loader
    from datasets.types import Batch

T = TypeVar("T")


def in_order(tasks: Iterable[Callable[[], T]], workers: int) -> Iterator[T]:
    """What tasks return, in their order; threads have begun the next `workers` ones.

    What a task raises is raised in its place, and then no further one begins.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="read-ahead") as threads:
        coming: deque[Future[T]] = deque()
        try:
            for task in tasks:
                coming.append(threads.submit(task))
                if len(coming) > workers:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for left in coming:
                left.cancel()


class ReadAhead:
    """A loader whose coming batches are read by threads, one batch each.

    Args:
        loader: makes the batches.
        steps: of the trial; none after the last one is read.
        workers: threads, and batches that are read ahead.  So many batches are held in memory, as bytes.
        pin: read into page-locked memory, from where a GPU fetches them by itself.
    """

    def __init__(self, loader: Loader, *, steps: int, workers: int, pin: bool = False) -> None:
        self._loader, self._steps, self._workers, self._pin = loader, steps, workers, pin
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="read-ahead")
        self._coming: dict[int, Future[Gathered]] = {}

    def batch(self, step: int) -> Batch:
        """The batch of a step, see `Loader.batch`; what reading raised is raised here."""
        wanted = range(step, min(step + self._workers + 1, self._steps))
        for left in [known for known in self._coming if known not in wanted]:
            self._coming.pop(left).cancel()
        for each in wanted:
            if each not in self._coming:
                self._coming[each] = self._threads.submit(self._loader.read, each, self._pin)
        coming = self._coming.pop(step, None)
        return self._loader.batch(step) if coming is None else self._loader.show(coming.result())

    def close(self) -> None:
        """Ends the threads; what they are reading is waited for and thrown away."""
        self._threads.shutdown(cancel_futures=True)
        self._coming.clear()
