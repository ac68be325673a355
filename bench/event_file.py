"""The metrics log of a trial as an event file, for TensorBoard.

One file of one name per trial, written along with `metrics.jsonl`.  A trial that goes on writes it anew from
the log that its checkpoint holds, so no step is in it twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

NAME = "events.out.tfevents.trial"
"""TensorBoard reads any file with `tfevents` in its name."""
VERSION = "brain.Event:2"
FLUSH_SECONDS = 10.0


class EventFile:
    """The event file of one attempt, from the moment it is made to the end of its `with` block.

    Args:
        folder: of the attempt.
        log: the metrics log so far, which a resumed trial begins with.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self._writer = RecordWriter(str(folder / NAME))
        self._flushed = time.monotonic()
        self._write(Event(wall_time=time.time(), file_version=VERSION))
        if log.is_file():
            for line in log.read_text(encoding="utf-8").splitlines():
                self.add(json.loads(line))

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, values: Mapping[str, Any]) -> None:
        """Adds one line of the metrics log: `step` and numbers by name."""
        numbers = [
            Summary.Value(tag=name, simple_value=float(value))
            for name, value in values.items()
            if name != "step"
        ]
        self._write(Event(wall_time=time.time(), step=int(values["step"]), summary=Summary(value=numbers)))
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
