"""What a trial costs beside the clock: processor time, memory, energy.  None where a machine cannot say."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

MIB = 1 << 20


class Meter:
    """Measures one trial from here on; processes that run several trials make a new one for each.

    Args:
        device: where the trial trains.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = time.process_time()
        self._joules = _joules(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _forget_peak()

    def cpu_seconds(self) -> float:
        """Processor seconds of all threads of this process; neighbors on the machine do not count."""
        return time.process_time() - self._cpu

    def peak_memory_mib(self) -> float:
        """The most memory held, in MiB: of the GPU's allocator, or of this process with its mapped clips."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        return _peak() / MIB

    def energy_joules(self) -> float | None:
        """Joules that the whole GPU drew, neighbors included; None without a GPU that counts them."""
        now = _joules(self._device)
        return None if now is None or self._joules is None else now - self._joules


def _forget_peak() -> None:
    """Makes the peak of this process start anew, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak() -> int:
    """Peak resident bytes of this process.

    `ru_maxrss` is the fallback only: it never falls, and a child begins with its parent's.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _joules(device: torch.device) -> float | None:
    """Reading of the GPU's energy counter; None without NVML (package nvidia-ml-py) or without a counter."""
    if device.type != "cuda":
        return None
    try:
        import pynvml  # type: ignore[import-not-found]  # noqa: PLC0415 - an optional package
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle: Any = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
    except pynvml.NVMLError:
        return None
