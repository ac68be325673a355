"""Versions and hardware of this process."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bench
from bench.spec import TrialSpec


def environment(spec: TrialSpec) -> dict[str, Any]:
    """Versions and hardware behind a trial that runs in this process."""
    gpu = torch.cuda.get_device_name() if spec.device == "cuda" else None
    return {
        "sefar_bench": bench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processor": _processor(),
        "gpu": gpu,
        "threads": spec.protocol.threads,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
