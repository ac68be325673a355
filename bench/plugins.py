"""Registries of methods, data sets and backbones: entry points, and files named by `--plugin`.

Ours are entry points of this distribution; anybody's package can add more.  Whoever comes first keeps a
name: we do, then packages by their names, then files in the order given.  A plugin that clashes or cannot
be imported is reported under its own name (`problems`) and stops nobody else.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from bench import readers
from datasets import catalog, places
from datasets.errors import UserError, unknown_name
from datasets.types import DataSet
from methods.base import Method

PLUGIN_FILES = "SEFAR_BENCH_PLUGINS"
"""Environment variable with the plugin files of this run, so that worker processes load the same ones."""

OURS = "sefar-bench"
"""The distribution whose names nobody can take over."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Names are typed, are separated by commas, and name folders and rows."""

KINDS = {"methods": "method", "datasets": "data set", "backbones": "backbone"}

BackboneBuilder = Callable[..., nn.Module]


@dataclass
class Registry:
    """Names of one kind, where they come from, and how to load what they stand for.

    `problems` are sentences about plugins, `unreadable` those of them about files that gave nothing at all;
    the registries of all kinds share these lists.
    """

    kind: str
    problems: list[str]
    unreadable: list[str]
    loaders: dict[str, Callable[[], Any]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All names, sorted, those included that turn out not to load."""
        return sorted(self.loaders)

    def add(self, name: str, origin: str, load: Callable[[], Any]) -> None:
        """Registers a name, unless it is taken or malformed: that is a problem, not an error."""
        if not NAME.fullmatch(name):
            self.problems.append(
                f"{origin}: '{name}' cannot name a {self.kind}; use letters, digits, '_', '-' and '.'. "
                "It is left out."
            )
        elif name in self.loaders:
            self.problems.append(
                f"{origin}: there is a {self.kind} '{name}' already, from {self.origins[name]}, and that one "
                "is used; rename the new one."
            )
        else:
            self.loaders[name], self.origins[name] = load, origin

    def load(self, name: str, where: str = "", *, made: bool = False) -> Any:
        """What a name stands for; with `made`, what that makes when it is called.

        Raises:
            UserError: for an unknown name (nearest one offered) or a plugin that fails to import.
        """
        if name not in self.loaders:
            unknown = unknown_name(self.kind, name, self.loaders, where)
            raise UserError(" ".join([str(unknown), *self.unreadable]))
        try:
            found = self.loaders[name]()
            return found() if made else found
        except (Exception, SystemExit) as error:  # foreign code: whatever it raises is its author's to read
            place = f"{where}: " if where else ""
            raise UserError(
                f"{place}{self.kind} '{name}' of {self.origins[name]} cannot be loaded "
                f"({type(error).__name__}: {error}); repair or remove its plugin."
            ) from error


def add_plugin_file(path: str, given_to: str = "--plugin") -> None:
    """Makes a file's methods, data sets and backbones known to this process and to its workers.

    Args:
        path: the file.
        given_to: the option or command that was given it, for messages.

    Raises:
        UserError: when the file does not exist, or its path cannot be passed on.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise UserError(f"{given_to} {path}: there is no such file.")
    if os.pathsep in str(file):
        raise UserError(
            f"{given_to} {path}: its path holds '{os.pathsep}', which separates paths; rename it."
        )
    known = plugin_files()
    if file not in known:
        os.environ[PLUGIN_FILES] = os.pathsep.join(map(str, [*known, file]))
        _registries.cache_clear()


def plugin_files() -> list[Path]:
    """The files that `--plugin` named, here or in the process that started this one."""
    return [Path(path) for path in os.environ.get(PLUGIN_FILES, "").split(os.pathsep) if path]


def methods_of_file(path: str, given_to: str) -> list[str]:
    """Registers a file and names the methods in it; for `given_to` see `add_plugin_file`.

    Raises:
        UserError: when it does not exist, cannot be imported, or has no method under a name of its own.
    """
    add_plugin_file(path, given_to)
    origin = _origin(Path(path).resolve())
    found = [name for name, place in methods().origins.items() if place == origin]
    if not found:
        said = [problem for problem in problems() if problem.startswith(f"{origin}: ")]
        nothing = f"{origin}: there is no method in it, which is a class derived from methods.base.Method."
        raise UserError(" ".join(said) or nothing)
    return found


def problems() -> tuple[str, ...]:
    """A sentence about each plugin that clashes with another one or cannot be imported."""
    registries = _registries()
    hidden = sorted(set(registries["datasets"].loaders) & set(catalog.entries()))
    return (
        *registries["methods"].problems,
        *(
            f"{registries['datasets'].origins[name]}: its data set '{name}' is hidden by the one that was "
            f"added on this machine; remove that one with: bench data rm {name}"
            for name in hidden
        ),
    )


def methods() -> Registry:
    """The registry of methods."""
    return _registries()["methods"]


def backbones() -> Registry:
    """The registry of backbones."""
    return _registries()["backbones"]


def origins_of(method: str, data: str, backbone: str) -> dict[str, str]:
    """Where the code of a trial's plugins comes from: foreign code has its name here."""
    registries = _registries()
    return {
        "method": registries["methods"].origins.get(method, ""),
        "data": registries["datasets"].origins.get(data, "added on this machine"),
        "backbone": registries["backbones"].origins.get(backbone, ""),
    }


def method_class(name: str, where: str = "") -> type[Method]:
    """The class of a method.

    Raises:
        UserError: for an unknown name, or a plugin that cannot be imported or registers something else.
    """
    found = methods().load(name, where)
    if not (inspect.isclass(found) and issubclass(found, Method)):
        raise UserError(
            f"method '{name}' of {methods().origins[name]} is no class derived from methods.base.Method; "
            "repair or remove its plugin."
        )
    return found


def backbone_builder(name: str, where: str = "") -> BackboneBuilder:
    """The builder of a backbone; its keyword arguments are the backbone's settings."""
    found: BackboneBuilder = backbones().load(name, where)
    return found


def check_backbone_config(name: str, config: Mapping[str, Any], where: str = "") -> None:
    """That a backbone exists and has the settings that it is given.

    Raises:
        UserError: for an unknown backbone or setting (nearest one offered).
    """
    fields = inspect.signature(backbone_builder(name, where)).parameters
    if any(each.kind is each.VAR_KEYWORD for each in fields.values()):
        return
    for given in config:
        if given not in fields or given == "weights":
            known = set(fields) - {"weights"}
            place = f"{where}: backbone '{name}'" if where else f"backbone '{name}'"
            raise unknown_name("config field", given, known, place)


def dataset_names() -> list[str]:
    """Names of all data sets: plugins and those registered on this machine."""
    return sorted({*_registries()["datasets"].loaders, *catalog.entries(), *places.entries()})


def dataset(name: str, where: str = "") -> DataSet:
    """A data set by name: one registered on this machine, or one of the plugins."""
    registry = _registries()["datasets"]
    if name in catalog.entries():
        return catalog.load(name)
    if place := places.entries().get(name):
        return places.opened(place, readers.reader(place.format, where or f"data set '{name}'"))
    if name not in registry.loaders:
        raise unknown_name("data set", name, dataset_names(), where)
    found: DataSet = registry.load(name, where, made=True)
    return found


@cache
def _registries() -> dict[str, Registry]:
    problems: list[str] = []
    unreadable: list[str] = []
    found = {plural: Registry(kind, problems, unreadable) for plural, kind in KINDS.items()}
    for plural, registry in found.items():
        for point in sorted(entry_points(group=f"sefar_bench.{plural}"), key=_precedence):
            registry.add(point.name, f"package '{_distribution(point)}'", point.load)
    for file in plugin_files():
        _register_file(file, found)
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "?"


def _precedence(point: EntryPoint) -> tuple[bool, str, str]:
    """Ours first, then by name: who keeps a name does not depend on the order of installation."""
    return _distribution(point) != OURS, _distribution(point), point.name


def _origin(file: Path) -> str:
    return f"plugin file {file}"


def _register_file(file: Path, found: Mapping[str, Registry]) -> None:
    """Registers what a plugin file defines itself (not what it imports)."""
    origin, methods = _origin(file), found["methods"]
    try:
        module = _import_file(file)
    except (Exception, SystemExit) as error:  # foreign code: whatever it raises is its author's to read
        sentence = f"{origin}: {type(error).__name__} while importing it: {error}. It is left out."
        methods.problems.append(sentence)
        methods.unreadable.append(sentence)
        return
    own = {name: v for name, v in vars(module).items() if inspect.isclass(v) and _defined_in(v, module)}
    for name, value in own.items():
        if issubclass(value, Method):
            if "name" in vars(value):
                methods.add(str(value.name), origin, partial(_same, value))
            elif not any(issubclass(other, value) for other in own.values() if other is not value):
                methods.problems.append(
                    f"{origin}: method class {name} has no name of its own; give it one, as in: "
                    f'name = "{name.lower()}". It is left out.'
                )
        elif hasattr(value, "table") and hasattr(value, "prepare"):
            found["datasets"].add(str(getattr(value, "name", name)), origin, partial(_same, value))
        elif issubclass(value, nn.Module) and hasattr(value, "patch"):
            found["backbones"].add(name.lower(), origin, partial(_same, value))


def _defined_in(value: type, module: ModuleType) -> bool:
    return value.__module__ == module.__name__


def _same(value: Any) -> Any:
    return value


def _import_file(file: Path) -> ModuleType:
    """The module of a file, imported once per process; two files of one name are two modules."""
    name = base = f"sefar_bench_plugin_{file.stem}"
    number = 1
    while name in sys.modules:
        if getattr(sys.modules[name], "__file__", None) == str(file):
            return sys.modules[name]
        number += 1
        name = f"{base}_{number}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
