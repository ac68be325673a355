"""Which code is behind a trial."""

from __future__ import annotations

from bench import plugins
from bench.code_hash import code_hash, module_of
from bench.spec import TrialSpec


def trial_code_hash(spec: TrialSpec) -> str:
    """The hash of the code that can change a trial's numbers."""
    used = [plugins.method_class(spec.method), plugins.backbone_builder(spec.backbone.name)]
    protocol = spec.protocol.evaluation
    more = ["bench.looks"] if protocol.views * protocol.crops > 1 else []
    return code_hash(*(module_of(plugin) for plugin in used), *more)
