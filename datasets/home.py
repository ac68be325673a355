"""Where this user's data live: `SEFAR_BENCH_HOME`, by default a folder under the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def data_home() -> Path:
    """The data home of this user; it is not created by asking for it."""
    given = os.environ.get("SEFAR_BENCH_HOME")
    return Path(given).expanduser() if given else user_cache_path("sefar-bench")
