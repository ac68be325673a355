"""What went wrong with a trial, and whose matter it is.

A method's failure repeats itself, so it is not tried again unless asked for.  A failure of the machine under
it says nothing about the method, so it is.
"""

from __future__ import annotations

import errno

import torch

from bench import plugins
from bench.evaluate import DivergedError
from bench.spec import TrialSpec
from methods.config import build

DIVERGED = "diverged"
OUT_OF_MEMORY = "out of memory"
TIMED_OUT = "time-out"
UNDECODABLE = "undecodable set"
EXCEPTION = "exception"
STORAGE = "storage"
LOST_DEVICE = "lost device"
LOST_WORKER = "lost worker"

INFRASTRUCTURE = (STORAGE, LOST_DEVICE, LOST_WORKER)
"""Kinds whose cause is the machine: retried at once, and by the next run."""

RESUMABLE = (*INFRASTRUCTURE, OUT_OF_MEMORY, TIMED_OUT)
"""Kinds that leave the state of training as it was, so its checkpoints stay."""

STORAGE_ERRORS = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.EHOSTDOWN)
NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
DEVICE_LOST = (
    "uncorrectable ecc",
    "device unavailable",
    "devices are busy",
    "fell off the bus",
    "nvlink error",
)


class TimedOutError(Exception):
    """A trial took longer than it was given."""


class UndecodableSetError(Exception):
    """Of a data set, not one labeled clip can be decoded."""


def classify(error: Exception, spec: TrialSpec) -> tuple[str, str]:
    """The kind of a failure, and a sentence about it that names the cure where there is one."""
    text = str(error)
    for cause, kind in (
        (DivergedError, DIVERGED),
        (TimedOutError, TIMED_OUT),
        (UndecodableSetError, UNDECODABLE),
    ):
        if isinstance(error, cause):
            return kind, text
    if _no_memory(error):
        return OUT_OF_MEMORY, f"{text.strip().splitlines()[0] if text.strip() else 'no memory'}; {less(spec)}"
    if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
        return STORAGE, text
    lost = isinstance(error, RuntimeError) and any(sign in text.lower() for sign in DEVICE_LOST)
    return (LOST_DEVICE if lost else EXCEPTION), text


def _no_memory(error: Exception) -> bool:
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in NO_MEMORY)


def _separable(spec: TrialSpec) -> bool:
    cls = plugins.method_class(spec.method)
    return cls.separable_with(build(cls.Config, spec.config, f"method '{spec.method}'"))


def less(spec: TrialSpec) -> str:
    """Which setting of a suite makes a trial need less memory."""
    batch = spec.protocol.batch
    if _separable(spec):
        parts, half = 2 * batch.accumulate, [max(1, size // 2) for size in (batch.labeled, batch.unlabeled)]
        return (
            f"set protocol.batch to accumulate: {parts}, labeled: {half[0]}, unlabeled: {half[1]}, which "
            "makes the same step in smaller parts"
        )
    more = ", or protocol.precision: bfloat16" if spec.protocol.precision == "float32" else ""
    return (
        f"make protocol.batch.unlabeled ({batch.unlabeled}) or protocol.batch.labeled ({batch.labeled}) "
        f"smaller{more}; method '{spec.method}' is not separable, so its batch cannot be accumulated"
    )
