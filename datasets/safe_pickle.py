"""Reading pickles of plain data and numpy arrays, and nothing else: a pickle can name code to run."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from datasets.errors import UserError


def _latin1(text: str, encoding: str) -> bytes:
    """Protocol 2 and 3 write bytes as text with this codec; others are not needed."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the codec '{encoding}' is not allowed")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Callable[..., Any]]:
    empty = np.empty(0).__reduce__()[0]  # numpy.core.multiarray._reconstruct, wherever this numpy has it
    scalar = np.float64(0).__reduce__()[0]
    assert not isinstance(empty, str) and not isinstance(scalar, str)
    found: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[module, "_reconstruct"], found[module, "scalar"] = empty, scalar
    return found


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that knows containers, numbers, strings and numpy arrays; every other name is refused."""

    _known = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it wants to run '{module}.{name}'")
        return self._known[module, name]


def load_plain(path: Path) -> Any:
    """The content of a pickle file that holds plain data and numpy arrays.

    Raises:
        UserError: the file is missing or damaged, or names anything else than numpy's arrays.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give the right folder.") from error
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle raises anything
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path} is no annotation pickle: {reason}; nothing of it was run.  Fetch the file again."
        ) from error
