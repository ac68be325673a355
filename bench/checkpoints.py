"""Checkpoints of a running trial: whole or not there, the last two kept, loaded without running code.

    checkpoint-0000001200-3f9ac1d2e4b57a60.pt      step, and the first 16 digits of the file's SHA-256

A file gets its name when it is whole and on the disk, so a torn or damaged one is known by its name, and the
one before it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import random
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.store import disk_errors, put_in_place

KEPT = 2
NAME = re.compile(r"checkpoint-(\d{10})-([0-9a-f]{16})\.pt")


class Checkpoints:
    """The checkpoints of one trial.

    Args:
        folder: the trial's folder.
        code: hash of the code that trains; checkpoints of other code are not used.
    """

    def __init__(self, folder: Path, code: str) -> None:
        self._folder, self._code = folder, code

    def save(self, step: int, content: Mapping[str, Any]) -> Path:
        """Writes a checkpoint and removes all but the last two.

        Args:
            step: how far training is.
            content: tensors and plain data.

        Returns:
            Its file.

        Raises:
            UserError: when the disk is full or the folder cannot be written.
        """
        temporary = self._folder / f".checkpoint.{uuid.uuid4().hex[:8]}"
        whole = {**content, "code_hash": self._code, "random": random_state()}
        with disk_errors(self._folder):
            try:
                with temporary.open("wb") as file:
                    _write(whole, file)
                path = self._folder / f"checkpoint-{step:010d}-{_digest(temporary)}.pt"
                put_in_place(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            for old in self._files()[KEPT:]:
                old.unlink(missing_ok=True)
        return path

    def load(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole and of this code, or None; sets all random generators.

        Those before it in the row are removed: they would take the places of good ones.
        """
        for path in self._files():
            saved = self._read(path)
            if saved is not None:
                set_random_state(saved["random"])
                return saved
            with contextlib.suppress(OSError):
                path.unlink()
        return None

    def _files(self) -> list[Path]:
        """Newest first."""
        found = [path for path in self._folder.glob("checkpoint-*.pt") if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.name[: -len("-0123456789abcdef.pt")], reverse=True)

    def _read(self, path: Path) -> dict[str, Any] | None:
        match = NAME.fullmatch(path.name)
        try:
            if match is None or _digest(path) != match[2]:
                return None
            saved: dict[str, Any] = torch.load(path, weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
            return None
        return saved if isinstance(saved, dict) and saved.get("code_hash") == self._code else None


def _write(content: Mapping[str, Any], file: Any) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:  # torch wraps what the disk says
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise


def remove_checkpoints(folder: Path) -> None:
    """Removes the checkpoints of a trial, torn ones included."""
    for pattern in ("checkpoint*.pt", ".checkpoint.*"):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()


def random_state() -> dict[str, Any]:
    """The state of every global random generator, as tensors and plain data.

    The harness draws from none of them between steps; a plugin may.
    """
    # The generators' own forms, but numpy's array becomes a tensor: the safe loader takes no array.
    numpy: Any = np.random.get_state(legacy=False)
    key = torch.from_numpy(numpy["state"]["key"].astype("int64"))
    numpy = {**numpy, "state": {**numpy["state"], "key": key}}
    return {
        "python": random.getstate(),
        "numpy": numpy,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """The opposite of `random_state`."""
    random.setstate(state["python"])
    numpy = state["numpy"]
    key = numpy["state"]["key"].numpy().astype("uint32")
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
