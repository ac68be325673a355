"""Workers of a cluster that was joined are asked to save when their run is stopped.

They are no processes of the driver's and may be on other machines, and while a trial trains they hear no call
of Ray.  So the driver leaves a word in the cluster's own store of keys, which needs no shared folder; each
worker looks for it from a thread, and sends itself the signal that a batch system would send.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import Any

from bench.schedule.processes import SAVE_SECONDS

LOOK_SECONDS = 1.0
"""Between two looks of a worker, each a request of some bytes to the head."""


def listen(ray: Any) -> None:
    """In a worker: from now on it hears when its run is stopped."""
    threading.Thread(target=_listen, args=(_word(ray),), daemon=True).start()


def _listen(word: str) -> None:
    from ray.experimental import internal_kv

    while True:
        time.sleep(LOOK_SECONDS)
        with contextlib.suppress(Exception):  # a head that does not answer says nothing
            if internal_kv._internal_kv_exists(word):
                os.kill(os.getpid(), signal.SIGTERM)
                return


def let_save_elsewhere(ray: Any) -> None:
    """In the driver: asks the workers of this run for their checkpoints, and gives them a while."""
    with contextlib.suppress(Exception):  # nothing here may hide why the run is stopped
        if not ray.is_initialized():
            return
        from ray.experimental import internal_kv

        internal_kv._internal_kv_put(_word(ray), b"stop")
        end = time.monotonic() + LOOK_SECONDS + SAVE_SECONDS
        while _workers(ray) and time.monotonic() < end:
            time.sleep(0.2)


def _word(ray: Any) -> str:
    """A key of this run alone: a cluster gives every driver another number."""
    return f"sefar-bench-stops-{ray.get_runtime_context().get_job_id()}"


def _workers(ray: Any) -> int:
    """How many workers of this run live."""
    run = ray.get_runtime_context().get_job_id()
    return sum(each["JobID"] == run for each in ray._private.state.actors(actor_state_name="ALIVE").values())
