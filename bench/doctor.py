"""What this machine has of what the harness needs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import psutil
import torch

import bench
from bench.cli import foreign_datasets
from datasets.decoders import DECODERS
from datasets.home import data_home

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "pyarrow",
    "ray",
    "timm",
    "decord",
    "av",
    "torchcodec",
    "pydantic",
)
ROLES = {
    "decord": "asked first",
    "pyav": "reads what decord does not, and makes videos",
    "torchcodec": "reads what neither of the two was built for",
}
OPTIONAL = ("decord", "av", "torchcodec")
"""Packages that are no error where they are missing."""
LOW_GIB = 2.0
Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: a `problem` makes the command end with status 3."""

    level: Level
    what: str
    text: str


def machine() -> dict[str, Any]:
    """Versions and hardware, as `env.json` keeps them."""
    return {
        "sefar_bench": bench.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def examine(out: Path) -> list[Finding]:
    """Everything that the doctor looks at."""
    return [*_versions(), *_decoders(), *_devices(), *_disk(out), _clash()]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _versions() -> list[Finding]:
    found = [Finding("ok", "version", f"sefar-bench {bench.__version__}, Python {sys.version.split()[0]}")]
    for name in PACKAGES:
        number = _version(name)
        if number:
            found.append(Finding("ok", "version", f"{name} {number}"))
        elif name not in OPTIONAL:
            cure = "install sefar-bench with its requirements"
            found.append(Finding("problem", "version", f"{name} is not installed; {cure}"))
    return found


def _decoders() -> list[Finding]:
    found = []
    for name, decoder in DECODERS.items():
        lack = decoder.missing()
        text = f"{name}: {ROLES.get(name, 'another decoder')}" if lack is None else lack
        found.append(Finding("ok" if lack is None else "note", "decoder", text))
    if all(finding.level != "ok" for finding in found):
        found.append(Finding("problem", "decoder", "no video can be decoded; pip install av"))
    return found


def _devices() -> list[Finding]:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    found = [Finding("ok", "device", f"{count} CPUs, {memory.total / 2**30:.0f} GiB of memory")]
    if not torch.cuda.is_available():
        note = "no GPU: the embedded section runs, real data sets need --yes"
        return [*found, Finding("note", "device", note), _half_precision(_product_speed())]
    for i in range(torch.cuda.device_count()):
        size = torch.cuda.get_device_properties(i).total_memory / 2**30
        found.append(Finding("ok", "device", f"{torch.cuda.get_device_name(i)}, {size:.0f} GiB"))
    return found


def _product_speed(side: int = 768, rounds: int = 5) -> float:
    """Speed of the processor's matrix products in bfloat16 relative to float32, best of turns."""
    operands = [torch.ones(side, side, dtype=kind) for kind in (torch.float32, torch.bfloat16)]
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for matrix, taken in zip(operands, seconds, strict=True):
            started = time.perf_counter()
            matrix @ matrix
            taken.append(time.perf_counter() - started)
    return min(seconds[0]) / min(seconds[1])


def _half_precision(speed: float) -> Finding:
    text = f"products in bfloat16 at {speed:.2g} times the speed of float32 on this processor"
    if speed < 1:
        return Finding("note", "device", f"{text}: leave protocol.precision at float32")
    return Finding("ok", "device", text)


def _disk(out: Path) -> list[Finding]:
    found = []
    for what, path in (("data home", data_home()), ("runs", out.resolve())):
        there = next(p for p in (path, *path.parents) if p.exists())
        free = shutil.disk_usage(there).free / 2**30
        text = f"{what} {path}: {free:.1f} GiB free"
        if not os.access(there, os.W_OK):
            found.append(Finding("problem", "disk", f"{what} {path}: {there} cannot be written"))
        else:
            found.append(Finding("problem" if free < LOW_GIB else "ok", "disk", text))
    return found


def _clash() -> Finding:
    complaint = foreign_datasets()
    if complaint:
        return Finding("problem", "datasets", complaint)
    return Finding("ok", "datasets", "the package 'datasets' is ours")
