"""From the URI of `--storage` to an open place in a store, or one sentence why not."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from bench.storage import CURES, Storage, StorageError, complaint, first_line, without_secrets
from bench.store import make_folder

ANSWER_SECONDS = 20.0
"""A store that says nothing for so long, when it is first asked, is taken for unreachable."""

SCHEMES = ("file", "s3", "gs", "gcs", "hdfs", "viewfs")
"""Drivers that pyarrow brings; 'fsspec+NAME' is any other one, by its own package."""

GCS_PATIENCE = "retry_limit_seconds"
"""Google's client tries for a quarter of an hour by itself."""

T = TypeVar("T")


@lru_cache(maxsize=8)
def open_storage(uri: str) -> Storage:
    """Opens a place in a store and asks whether it answers.

    Args:
        uri: a folder, `file://`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `hdfs://`, or `fsspec+NAME://`.
            Options follow a '?', as `endpoint_override=HOST:PORT&scheme=http` for an S3 that is not Amazon's.

    Raises:
        StorageError: there is no driver for it, or it does not answer.
        UserError: the folder cannot be written.
    """
    name = without_secrets(uri)
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", uri) is None:
        folder = str(Path(uri).expanduser().absolute())
        return _checked(Storage(folder, name, fs.LocalFileSystem(), folder))
    scheme = uri.split("://", maxsplit=1)[0].lower()
    if scheme not in SCHEMES and not scheme.startswith("fsspec+"):
        raise StorageError(
            f"--storage {name}: there is no driver for '{scheme}://'; give a folder, file://, s3://, gs:// "
            f"or hdfs://, or 'fsspec+{scheme}://...' after installing the fsspec package for it."
        )
    if not (urlsplit(uri).netloc or scheme == "file"):
        raise StorageError(f"--storage {name}: it names no bucket; write {scheme}://BUCKET/PREFIX.")
    if scheme in ("gs", "gcs") and GCS_PATIENCE not in uri:
        uri = f"{uri}{'&' if '?' in uri else '?'}{GCS_PATIENCE}={ANSWER_SECONDS:.0f}"
    return _checked(_connected(uri, name, scheme))


def _connected(uri: str, name: str, scheme: str) -> Storage:
    try:
        system, root = _in_time(lambda: fs.FileSystem.from_uri(uri), name)
    except ImportError as error:
        raise StorageError(
            f"--storage {name}: the driver for '{scheme}://' is missing ({first_line(error)}); install it "
            "here and on every machine that runs trials."
        ) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise complaint(name, error) from error
    return Storage(uri, name, system, root)


def _checked(storage: Storage) -> Storage:
    folder = storage.folder
    if folder is not None:
        make_folder(folder, "--storage")
        return storage
    try:
        _in_time(lambda: storage.system.get_file_info(f"{storage.root.rstrip('/')}/results"), storage.name)
    except (OSError, pa.ArrowException) as error:
        raise complaint(storage.name, error) from error
    return storage


def _in_time(request: Callable[[], T], name: str) -> T:
    """Runs a request that may hang; one that does is left behind."""
    answer: list[T] = []
    failure: list[BaseException] = []

    def ask() -> None:
        try:
            answer.append(request())
        except BaseException as error:  # handed to whoever asked
            failure.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    if failure:
        raise failure[0]
    if not answer:
        raise StorageError(
            f"--storage {name}: no answer within {ANSWER_SECONDS:.0f} s; {CURES[-1][1]}; nothing was lost."
        )
    return answer[0]
