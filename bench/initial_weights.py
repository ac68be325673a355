"""What nets start from: `--init`, and the statement in the record."""

from __future__ import annotations

import inspect
from pathlib import Path

from bench import plugins
from bench.spec import Net
from bench.store import sha256
from bench.suite import LoadedSuite


def starting_from(loaded: LoadedSuite, weights: str | None) -> LoadedSuite:
    """The suite with other initial weights in every net that can start from ready-made ones.

    Args:
        loaded: the suite.
        weights: `random`, a file, or a name that the backbone knows; None changes nothing.
    """
    if weights is None:
        return loaded

    def changed(net: Net) -> Net:
        return net_from(net, weights)

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


def net_from(net: Net, weights: str | None) -> Net:
    """The net with other initial weights where it can start from ready-made ones; None changes nothing."""
    takes = "weights" in inspect.signature(plugins.backbone_builder(net.name)).parameters
    return net.model_copy(update={"weights": weights}) if takes and weights is not None else net


def statement(net: Net) -> str:
    """Which weights a net started from, in words: for files with the hash of their content."""
    if net.weights == "random":
        return f"{net.name}: random initial weights"
    path = Path(net.weights)
    if path.is_file():
        return f"{net.name}: file {path.name}, sha256 {sha256(path)}"
    return f"{net.name}: ready-made weights '{net.weights}'"
