"""That what the entries of a section name exists and is in range, said by file, line and field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import plugins
from bench.spec import Net
from bench.suite import Entry, Section
from bench.yaml_lines import Location, place
from datasets.errors import UserError
from methods.base import Method
from methods.config import build


def check_entries(section: Section, name: str, path: Path) -> None:
    """Every method, backbone and config field exists and is in range, and its batch may be accumulated.

    Args:
        section: what is checked.
        name: of the section in its suite.
        path: the file of the suite, for messages.

    Raises:
        UserError: the first mistake, with the line of its field.
    """
    top = _Spot(path, ("sections", name))
    if any(entry.backbone is None for entry in section.entries):
        _check_backbone(section.backbone, top.below("backbone"))
    for i, entry in enumerate(section.entries):
        _check_entry(section, entry, top, top.below("entries", i))


@dataclass(frozen=True)
class _Spot:
    """A field of a suite's file; as a text `file:line: field`."""

    path: Path
    field: Location

    def below(self, *parts: str | int) -> _Spot:
        """A field inside of this one."""
        return _Spot(self.path, (*self.field, *parts))

    def __str__(self) -> str:
        return f"{place(self.path, self.field)}: {'.'.join(map(str, self.field))}"


def _check_entry(section: Section, entry: Entry, top: _Spot, here: _Spot) -> None:
    cls = plugins.method_class(entry.method, str(here.below("method")))
    config = _config(cls, section.shared, entry, top, here)
    parts = section.protocol.batch.accumulate
    if parts > 1 and not section.independent_parts and not cls.separable_with(config):
        raise UserError(
            f"{here} '{entry.label}': method '{entry.method}' is not separable, so {parts} accumulated "
            "parts are not the step of one batch; set protocol.batch.accumulate to 1, or state "
            "independent_parts: true in the section if each part is meant as a batch of its own."
        )
    if entry.backbone is not None:
        _check_backbone(entry.backbone, here.below("backbone"))


def _config(
    cls: type[Method], shared: Mapping[str, Any], entry: Entry, top: _Spot, here: _Spot
) -> Method.Config:
    """The config of an entry; a value that is refused on its own is named with its line."""
    try:
        return build(cls.Config, {**shared, **entry.config}, f"{here} '{entry.label}'")
    except UserError:
        for field, value in entry.config.items():
            build(cls.Config, {field: value}, f"{here.below('config', field)} of '{entry.label}'")
        for field, value in shared.items():
            build(cls.Config, {field: value}, f"{top.below('shared', field)} (entry '{entry.label}')")
        raise  # no field alone is wrong, but all of them together


def _check_backbone(net: Net, here: _Spot) -> None:
    plugins.backbone_builder(net.name, str(here.below("name")))
    for field, value in net.config.items():
        plugins.check_backbone_config(net.name, {field: value}, str(here.below("config", field)))
