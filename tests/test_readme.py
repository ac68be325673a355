"""What the README shows works."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from typer.main import get_command

from bench import conformance, plugins
from bench.commands import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_leaderboard_of_the_readme_is_the_committed_one() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_readme.py"))
    board = (ROOT / "reports" / "leaderboard.md").read_text(encoding="utf-8")
    assert made["with_block"](README, board) == README, "run: python docs/make_readme.py"


def test_the_method_in_30_lines_passes_the_conformance_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 30
    file = tmp_path / "entropy.py"
    file.write_text(block, encoding="utf-8")
    monkeypatch.setenv(plugins.PLUGIN_FILES, "")
    plugins.add_plugin_file(str(file))
    try:
        method = plugins.method_class("entropy")
        assert not conformance.failures(method)
    finally:
        monkeypatch.undo()
        plugins._registries.cache_clear()


def test_every_command_of_the_readme_exists() -> None:
    names = set(re.findall(r"python -m bench ([\w-]+)", README))
    known = set(get_command(app).commands)
    assert names <= known, names - known
