"""What nets start from: `--init`, and the statement in the record."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path

from bench import plugins
from bench.spec import Net
from bench.store import sha256
from bench.suite import LoadedSuite, Section
from datasets.errors import UserError, unknown_name

RANDOM = "random"


def starting_from(loaded: LoadedSuite, given: str | None) -> LoadedSuite:
    """The suite with other initial weights.

    Args:
        loaded: the suite.
        given: `random` for every net that can start from ready-made weights; a file, or a name that the
            backbone knows, for the nets that the suite starts from such (where there are none: for all
            that can); or `BACKBONE=FILE` for that backbone, several of these with commas in between.  A net
            that the suite starts at random beside another of its backbone that it does not, stays at
            random: the difference is what it is there for.  None changes nothing.

    Raises:
        UserError: for the name of no backbone, or of one that takes no weights.
    """
    if given is None:
        return loaded
    chosen = parse_init(given)
    nets = [net for section in loaded.suite.sections.values() for net in _nets(section)]
    ready = {net.name for net in nets if takes_weights(net) and net.weights != RANDOM}

    def changed(net: Net) -> Net:
        meant = net.name in chosen and net.name not in ready
        untouched = ready and net.weights == RANDOM and not meant
        return net if untouched else net_from(net, chosen)

    sections = {
        name: section.model_copy(
            update={
                "backbone": changed(section.backbone),
                "entries": tuple(
                    entry.model_copy(update={"backbone": entry.backbone and changed(entry.backbone)})
                    for entry in section.entries
                ),
            }
        )
        for name, section in loaded.suite.sections.items()
    }
    return loaded.model_copy(update={"suite": loaded.suite.model_copy(update={"sections": sections})})


def parse_init(given: str) -> dict[str, str]:
    """Weights by backbone, under "" those of all others.

    Raises:
        UserError: for the name of no backbone, of one that takes no weights, or twice the same.
    """
    chosen: dict[str, str] = {}
    for part in given.split(","):
        named = _NAMED.fullmatch(part)
        name, weights = (named["name"], named["weights"]) if named else ("", part)
        if name and name not in plugins.backbones().loaders:
            raise unknown_name("backbone", name, plugins.backbones().loaders, "--init")
        if name and not takes_weights(Net(name=name)):
            raise UserError(f"--init {part}: backbone '{name}' takes no weights; leave it out.")
        if not weights or name in chosen:
            raise UserError(
                f"--init {given}: give 'random', one file or name, or BACKBONE=FILE,BACKBONE=FILE."
            )
        chosen[name] = weights
    return chosen


_NAMED = re.compile(r"(?P<name>\w+)=(?P<weights>.*)")


def net_from(net: Net, chosen: Mapping[str, str]) -> Net:
    """The net with the initial weights that were chosen for it, see `parse_init`."""
    weights = chosen.get(net.name, chosen.get(""))
    return net.model_copy(update={"weights": weights}) if weights and takes_weights(net) else net


def _nets(section: Section) -> list[Net]:
    return [section.backbone, *(entry.backbone for entry in section.entries if entry.backbone)]


def takes_weights(net: Net) -> bool:
    """Whether the net's backbone can start from ready-made weights."""
    return "weights" in inspect.signature(plugins.backbone_builder(net.name)).parameters


def statement(net: Net) -> str:
    """Which weights a net started from, in words: for files with the hash of their content."""
    if net.weights == RANDOM:
        return f"{net.name}: random initial weights"
    path = Path(net.weights)
    if path.is_file():
        return f"{net.name}: file {path.name}, sha256 {sha256(path)}"
    return f"{net.name}: ready-made weights '{net.weights}'"
