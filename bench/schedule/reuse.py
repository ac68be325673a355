"""Whether a worker may run a further trial, or a fresh process has to.

Importing torch costs a worker seconds, so workers are reused.  That is safe as long as nothing of one trial
is left for the next one: a trial sets its own seeds, threads and flags, gives its memory back, and whatever
else it may have changed in the process is compared with what was there before.
"""

from __future__ import annotations

import ctypes
import gc
import locale
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import plugins

MIB = 1 << 20
GROWTH_MIB = 512.0
"""A worker that holds so much more than after its first trial is replaced."""


class Reuse:
    """Watches what trials leave in this process; made before the first one."""

    def __init__(self) -> None:
        plugins.methods()  # plugins may set what they like when they are imported: every process has that
        self._before = process_state()
        self._first: float | None = None

    def reason_against(self, record: Mapping[str, Any] | None) -> str:
        """Why this process should not run another trial, "" when it may; frees memory first.

        Args:
            record: of the trial that has just ended; None where it left none.
        """
        free_memory()
        if record is None or record["status"] != "done":
            return "the last trial failed, and what broke it may still be here"
        now = process_state()
        changed = [name for name, value in now.items() if self._before[name] != value]
        if changed:
            return f"the last trial changed {', '.join(changed)}"
        held = own_memory_mib()
        self._first = held if self._first is None else self._first
        if held > self._first + GROWTH_MIB:
            return f"it holds {held - self._first:.0f} MiB more than after its first trial"
        return ""


def process_state() -> dict[str, Any]:
    """What a method could change for all that come after it, and `set_determinism` does not set anew."""
    return {
        "torch's default type": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "grad mode": torch.is_grad_enabled(),
        "anomaly mode": torch.is_anomaly_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cuDNN": (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32),
        "oneDNN": torch.backends.mkldnn.enabled,
        "numpy's errors": tuple(sorted(np.geterr().items())),
        "the working folder": _folder(),
        "the locale": locale.setlocale(locale.LC_NUMERIC),
        "warning filters": tuple(kind for kind, *_ in warnings.filters if kind == "error"),
        "the recursion limit": sys.getrecursionlimit(),
    }


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def free_memory() -> None:
    """Gives back what no object uses: to the system, and of a GPU to its neighbors on the card."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if os.name == "posix":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it, and keeps memory
        if trim is not None:
            trim(0)


def own_memory_mib() -> float:
    """Resident memory of this process that no file backs; mapped clips belong to all workers."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024 / MIB
    except (OSError, ValueError):
        pass
    return 0.0
