"""What a result depends on beside its specification: versions, hardware, code, data."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bench
from bench import plugins
from bench.doctor import machine
from bench.plan import PlannedTrial
from bench.spec import TrialSpec
from bench.store import sha256
from bench.trial_code import trial_code_hash
from datasets.clip_cache import ClipCache
from datasets.errors import UserError

GIT_SECONDS = 10


def environment(spec: TrialSpec) -> dict[str, Any]:
    """Versions and hardware behind a trial that runs in this process."""
    gpu = torch.cuda.get_device_name() if spec.device == "cuda" else None
    return {
        "sefar_bench": bench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processor": processor(),
        "gpu": gpu,
        "threads": spec.protocol.threads,
    }


def run_environment(trials: Sequence[PlannedTrial], command: Sequence[str]) -> dict[str, Any]:
    """What `env.json` keeps of a run: machine, packages, git, and hashes of code, splits and data.

    Args:
        trials: the trials of the plan; their data must be prepared.
        command: the arguments of the run.
    """
    code: dict[str, str] = {}
    origins: dict[str, dict[str, str]] = {}
    splits: dict[str, str] = {}
    data: dict[str, str] = {}
    for spec in {trial.spec.id: trial.spec for trial in trials}.values():
        pair = f"{spec.method} on {spec.backbone.name}"
        if pair not in code:
            code[pair] = trial_code_hash(spec)
            origins[pair] = plugins.origins_of(spec.method, spec.data, spec.backbone.name)
        splits[f"{spec.cell} seed={spec.seed}"] = spec.split_hash
        name = f"{spec.data} at {spec.protocol.short_side} pixels"
        if name not in data:
            data[name] = _content(spec)
    return {
        "command": list(command),
        "machine": {**machine(), "processor": processor()},
        "packages": dict(sorted((str(each.name), each.version) for each in distributions())),
        "git": git_state(),
        "code": code,
        "plugins": origins,
        "plugin_files": {str(path): sha256(path) for path in plugins.plugin_files()},
        "splits": splits,
        "data": data,
    }


def _content(spec: TrialSpec) -> str:
    clips, protocol = plugins.dataset(spec.data).table().clips(), spec.protocol
    short_side, form, decoder = protocol.short_side, protocol.store, protocol.decoder
    try:
        # Trials that are done already may be on data that nobody needs, and so nobody decodes, now.
        if lacking := ClipCache.lacking(clips, spec.data, short_side, decoder=decoder, form=form):
            return f"unknown ({len(lacking)} of {len(clips)} clips are not in the clip cache)"
        cache = ClipCache.open(clips, spec.data, short_side, progress=False, decoder=decoder, form=form)
    except (OSError, UserError) as error:  # data that trials make themselves
        return f"unknown ({error})"
    return cache.content_hash([clip.key for clip in clips])


def git_state() -> dict[str, Any]:
    """Commit of the source tree and whether it was changed since; empty for an installed package."""
    root = Path(bench.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {}
    commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    return {} if commit is None else {"commit": commit, "changed": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """The name of the processor, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
