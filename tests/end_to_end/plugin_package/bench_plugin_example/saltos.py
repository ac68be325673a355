"""A data set: the small rendered saltos under a name of their own."""

from __future__ import annotations

from datasets.synthgym import SynthGymTiny


class PluginSaltos(SynthGymTiny):
    """`synthgym_tiny`, as somebody else's data set."""

    name = "plugin_saltos"
    summary = "an example of a data set that a package brings"
