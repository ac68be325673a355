"""Registries of methods, data sets and backbones: entry points, and files named by `--plugin`.

Ours are entry points of this distribution; anybody's package can add more.  A plugin that cannot be
imported is reported under its own name and stops nobody else.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import entry_points
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

BackboneBuilder = Callable[..., nn.Module]


@dataclass
class Registry:
    """Names of one kind and how to load what they stand for; `broken` says which ones cannot be."""

    kind: str
    group: str
    loaders: dict[str, Callable[[], Any]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All names, sorted, broken ones included."""
        return sorted(self.loaders)

    def load(self, name: str, where: str = "") -> Any:
        """What a name stands for.

        Raises:
            UserError: for an unknown name (nearest one offered) or a plugin that fails to import.
        """
        if name not in self.loaders:
            raise unknown_name(self.kind, name, self.loaders, where)
        try:
            return self.loaders[name]()
        except (ImportError, AttributeError, SyntaxError) as error:
            self.broken[name] = str(error)
            raise UserError(
                f"{self.kind} '{name}' cannot be loaded ({error}); repair or remove its plugin."
            ) from error


def add_plugin_file(path: str) -> None:
    """Makes a file's methods, data sets and backbones known to this process and to its workers.

    Raises:
        UserError: when the file does not exist.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise UserError(f"--plugin {path}: there is no such file.")
    known = [p for p in os.environ.get(PLUGIN_FILES, "").split(os.pathsep) if p]
    if str(file) not in known:
        os.environ[PLUGIN_FILES] = os.pathsep.join([*known, str(file)])
        _registries.cache_clear()


def methods() -> Registry:
    """The registry of methods."""
    return _registries()["methods"]


def backbones() -> Registry:
    """The registry of backbones."""
    return _registries()["backbones"]


def method_class(name: str, where: str = "") -> type[Method]:
    """The class of a method."""
    found: type[Method] = methods().load(name, where)
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
    made: DataSet = registry.load(name, where)()
    return made


@cache
def _registries() -> dict[str, Registry]:
    kinds = {"methods": "method", "datasets": "data set", "backbones": "backbone"}
    found = {plural: Registry(kind, f"sefar_bench.{plural}") for plural, kind in kinds.items()}
    for registry in found.values():
        for point in entry_points(group=registry.group):
            registry.loaders.setdefault(point.name, point.load)
    for file in os.environ.get(PLUGIN_FILES, "").split(os.pathsep):
        if file:
            _register_file(Path(file), found)
    return found


def _register_file(file: Path, found: dict[str, Registry]) -> None:
    """Registers what a plugin file defines itself (not what it imports)."""
    module = _import_file(file)
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if not inspect.isclass(value):
            continue
        if issubclass(value, Method):
            found["methods"].loaders[value.name] = partial(_same, value)
        elif hasattr(value, "table") and hasattr(value, "prepare"):
            found["datasets"].loaders[str(getattr(value, "name", name))] = partial(_same, value)
        elif issubclass(value, nn.Module) and hasattr(value, "patch"):
            found["backbones"].loaders[name.lower()] = partial(_same, value)


def _same(value: Any) -> Any:
    return value


def _import_file(file: Path) -> ModuleType:
    name = f"sefar_bench_plugin_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"--plugin {file}: this is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a plugin is foreign code: whatever it raises is its author's to read
        del sys.modules[name]
        raise UserError(f"--plugin {file}: {type(error).__name__} while importing it: {error}") from error
    return module
