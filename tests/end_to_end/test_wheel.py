"""The built wheel in an environment of its own, from a foreign folder, with a plugin package beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "plugin_package"


def _answer(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command that must succeed; nothing of this checkout is importable."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["SEFAR_BENCH_HOME"] = str(folder / "home")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _run(command: list[str], folder: Path) -> str:
    """Standard output of a command that must succeed."""
    return _answer(command, folder).stdout


def _wheel(package: Path, folder: Path) -> Path:
    """Builds the wheel of a package into an empty folder."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=package, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _install(wheel: Path, python: Path) -> None:
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    subprocess.run([*install, "--python", str(python), str(wheel)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; third-party packages are borrowed from the one that runs this."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    purelib = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    _install(_wheel(ROOT, folder), python)
    # A folder named by a .pth file is searched, but its own .pth files (our editable install) are not read.
    (Path(purelib) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "env/bin"


@pytest.mark.slow
def test_the_wheel_carries_suites_templates_and_plugins(installed: Path, tmp_path: Path) -> None:
    where = _run([str(installed / "python"), "-c", "import bench; print(bench.__file__)"], tmp_path)
    assert str(installed.parent) in where
    suites = _run([str(installed / "python"), "-m", "bench", "ls", "suites"], tmp_path)
    for name in ("classic", "fine_grained", "smoke"):
        assert name in suites
    methods = _run([str(installed / "sefar-bench"), "ls", "methods"], tmp_path)
    assert "sefar" in methods
    plan = _run([str(installed / "sefar-bench"), "plan", "--suite", "smoke"], tmp_path)
    assert "6 trials" in plan
    _run([str(installed / "sefar-bench"), "new", "method", "my_idea"], tmp_path)
    assert "0 failed" in _run([str(installed / "sefar-bench"), "check-method", "my_idea.py"], tmp_path)


def _own_suite(folder: Path) -> Path:
    """A suite of the plugin's data set, backbone and method, written by somebody who uses the wheel."""
    content = yaml.safe_load((ROOT / "bench/suites/smoke.yaml").read_text(encoding="utf-8"))
    section = content["sections"]["embedded"]
    section["backbone"] = {"name": "pooled_net", "config": {"dim": 24}}
    section["tasks"] = [{"data": "plugin_saltos", "labels": ["2"]}]
    section["entries"] = [
        {"label": "supervised", "method": "supervised", "role": "baseline"},
        {"label": "fixmatch", "method": "fixmatch"},
        {"label": "margin-wide", "method": "margin", "config": {"least": 0.2}},
    ]
    section["seeds"] = "0-1"
    del section["tune"]
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**content, "name": "own"}, sort_keys=False), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_package_brings_a_method_a_data_set_and_a_backbone(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    _install(_wheel(PLUGIN, tmp_path / "dist"), installed / "python")
    folder = tmp_path / "foreign"
    folder.mkdir()
    program = str(installed / "sefar-bench")

    rows = json.loads(_run([program, "ls", "methods", "--json"], folder))
    listed = {row["name"]: row["summary"] for row in rows}
    assert "An example of a plugin" in listed["margin"]
    assert "An example of a plugin" not in listed["fixmatch"]
    assert "bench-plugin-example" in listed["torn"] and "weights that this plugin reads" in listed["torn"]
    assert "0 failed" in _run([program, "check-method", "margin"], folder)

    done = _answer([program, "run", "--suite", str(_own_suite(folder))], folder)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "package 'bench-plugin-example'" in warnings[0] and "'fixmatch'" in warnings[0]
    board = (folder / "runs/own/report/leaderboard.md").read_text(encoding="utf-8")
    for row in ("supervised", "fixmatch", "margin-wide"):
        assert row in board
    assert "plugin_saltos" in board
    assert len(list(folder.glob("runs/own/trials/*/done.json"))) == 6
