"""The built wheel works in an environment of its own, from a foreign folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(command: list[str], folder: Path) -> str:
    """Standard output of a command that must succeed; nothing of this checkout is importable."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["SEFAR_BENCH_HOME"] = str(folder / "home")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; third-party packages are borrowed from the one that runs this."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    purelib = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    subprocess.run([*install, "--python", str(python), str(wheel)], check=True, capture_output=True)
    # A folder named by a .pth file is searched, but its own .pth files (our editable install) are not read.
    (Path(purelib) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "env/bin"


@pytest.mark.slow
def test_the_wheel_carries_suites_and_plugins(installed: Path, tmp_path: Path) -> None:
    where = _run([str(installed / "python"), "-c", "import bench; print(bench.__file__)"], tmp_path)
    assert str(installed.parent) in where
    suites = _run([str(installed / "python"), "-m", "bench", "ls", "suites"], tmp_path)
    assert "fine_grained" in suites
    assert "smoke" in suites
    methods = _run([str(installed / "sefar-bench"), "ls", "methods"], tmp_path)
    assert "sefar" in methods
    plan = _run([str(installed / "sefar-bench"), "plan", "--suite", "smoke"], tmp_path)
    assert "6 trials" in plan
