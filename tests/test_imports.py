"""Who may import whom, and what importing a package must not pull in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "datasets": {"datasets"},
    "methods": {"methods", "datasets"},
    "sefar": {"sefar", "methods", "datasets"},
    "bench": {"bench", "methods", "datasets"},
}
VIDEO_LIBRARIES = {
    "datasets/decoders/with_decord.py": {"decord"},
    "datasets/decoders/with_pyav.py": {"av"},
    "datasets/decoders/with_torchcodec.py": {"torchcodec"},
    "datasets/video_writing.py": {"av"},
}
"""Who may import a library that reads or writes videos: one file each."""
HEAVY = ("ray", "decord", "av", "torchcodec", "cv2", "matplotlib", "pandas", "timm")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(file: Path, inside_functions: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, at its top and (unless told not to) in functions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    later = {
        inner
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions
        for inner in ast.walk(function)
    }
    for node in (each for each in ast.walk(tree) if each not in later):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def plugins_of(kind: str) -> dict[str, str]:
    """Name -> module of our own entry points."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = re.search(rf'\[project\.entry-points\."sefar_bench\.{kind}"\]\n(.*?)\n\n', text, re.DOTALL)
    assert section is not None
    return dict(re.findall(r'^(\w+) = "([\w.]+):\w+"$', section[1], re.MULTILINE))


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_in_one_direction(package: str) -> None:
    ours = set(ALLOWED)
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in modules(package)
        for line, name in imported(file)
        if name.split(".")[0] in ours - ALLOWED[package]
    ]
    assert wrong == []


def test_bench_imports_no_method_and_no_data_set() -> None:
    plugins = {*plugins_of("methods").values(), *plugins_of("datasets").values()}
    assert {"methods.fixmatch", "sefar.method", "datasets.synthgym"} <= plugins
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in modules("bench")
        for line, name in imported(file)
        if name in plugins or name.rpartition(".")[0] in plugins
    ]
    assert wrong == []


def test_bench_names_no_method_and_no_data_set() -> None:
    names = {*plugins_of("methods"), *plugins_of("datasets")}
    assert {"fixmatch", "sefar", "synthgym"} <= names
    contract = "bench/conformance/contract.py"
    # A package, a loss, and a field of a step.
    other_things = {("bench/code_hash.py", "sefar"), (contract, "supervised"), (contract, "pseudo_label")}
    wrong = []
    for file in modules("bench"):
        place = file.relative_to(ROOT).as_posix()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        wrong += [
            f"{place}:{node.lineno} names '{node.value}'"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value in names
            and (place, node.value) not in other_things
        ]
    assert wrong == []


def test_one_package_imports_ray_and_waits_until_it_is_needed() -> None:
    """Only `bench/schedule` names Ray, and never while it is imported itself."""
    of_ray = {
        file.relative_to(ROOT).parent.as_posix()
        for package in ALLOWED
        for file in modules(package)
        if any(name.split(".")[0] == "ray" for _, name in imported(file))
    }
    assert of_ray == {"bench/schedule"}
    early = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in modules("bench/schedule")
        for line, name in imported(file, inside_functions=False)
        if name.split(".")[0] == "ray"
    ]
    assert early == []


def test_only_the_files_of_decoders_and_the_writer_import_a_video_library() -> None:
    libraries = {name for names in VIDEO_LIBRARIES.values() for name in names}
    found: dict[str, set[str]] = {}
    for file in (file for package in ALLOWED for file in modules(package)):
        place = file.relative_to(ROOT).as_posix()
        names = {name.split(".")[0] for _, name in imported(file)} | set(imported_by_name(file))
        if names & libraries:
            found[place] = names & libraries
    assert found == VIDEO_LIBRARIES


def imported_by_name(file: Path) -> Iterator[str]:
    """What a file hands to `import_module` or `__import__`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in {"import_module", "__import__"}:
                yield str(node.args[0].value).split(".")[0]


def test_video_functions_of_other_libraries_are_not_used() -> None:
    """OpenCV and torchvision could read videos, too, past all checks."""
    others = ("VideoCapture", "VideoWriter", "read_video", "write_video_file")
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno} uses {name}"
        for package in ALLOWED
        for file in modules(package)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
        and (name := node.attr if isinstance(node, ast.Attribute) else node.id) in others
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (
            "datasets.loader, datasets.augment, datasets.sampling, methods.base, methods.fixmatch, "
            "methods.svformer, methods.mean_teacher, methods.softmatch",
            {"sefar", "bench"},
        ),
        ("sefar.method", {"bench"}),
    ],
)
def test_importing_a_method_pulls_in_no_decoder_and_no_scheduler(names: str, others: set[str]) -> None:
    code = f"import sys, {names}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert sorted({*HEAVY, *others} & set(done.stdout.split())) == []
