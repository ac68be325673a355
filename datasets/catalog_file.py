"""A small JSON file of named entries in the data home, changed under a lock and in one rename."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from datasets.errors import UserError


@dataclass(frozen=True)
class CatalogFile:
    """A file with one JSON object whose values are objects."""

    path: Path

    def load(self) -> dict[str, dict[str, Any]]:
        """The entries by name; none where there is no file.

        Raises:
            UserError: the file cannot be read, or is damaged.
        """
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UserError(f"the catalog {self.path} cannot be read ({error.strerror}).") from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"the catalog {self.path} is damaged; mend or delete it.") from error
        if not isinstance(stored, dict) or not all(isinstance(entry, dict) for entry in stored.values()):
            raise UserError(f"the catalog {self.path} is damaged; mend or delete it.")
        return stored

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, dict[str, Any]]]:
        """The entries for change, saved when the block ends well.

        Raises:
            UserError: the file cannot be read or written.
        """
        temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock")):
                stored = self.load()
                yield stored
                temporary.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
                temporary.replace(self.path)
        except OSError as error:
            raise UserError(f"the catalog {self.path} cannot be written ({error.strerror}).") from error
        finally:
            temporary.unlink(missing_ok=True)
