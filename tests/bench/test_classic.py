"""The suite `classic`: the whole catalogue under the protocol of the main suite's embedded section."""

from __future__ import annotations

from typing import Any

from bench import plugins
from bench.suite import load_suite
from datasets.types import TaskInfo
from methods.config import build

APART = {"sefar_supervised", "sefar_official"}
"""Supervised-only training of one method's own net, a row of the main suite; and that method's release, which
the suite `paper/departures` takes apart."""

TASK = TaskInfo(classes=12, labeled=24, unlabeled=2376, class_counts=(2,) * 12, frames=16)


def _embedded(suite: str) -> Any:
    return load_suite(suite).suite.sections["embedded"]


def test_views_and_search_are_those_of_the_main_suite() -> None:
    classic, main = _embedded("classic"), _embedded("fine_grained")
    for field in ("backbone", "shared"):
        assert getattr(classic, field) == getattr(main, field), field
    for field in ("optimizer", "config"):
        assert getattr(classic.tune, field) == getattr(main.tune, field), field
    assert classic.baseline == main.baseline
    policies = dict(classic.protocol.augmentations)
    policies.pop("medium")
    same = classic.protocol.model_copy(
        update={"augmentations": policies, "steps": main.protocol.steps},
    )
    assert same == main.protocol
    assert {cell for task in classic.tasks for cell in task.cells} == {"synthgym@2"}


def test_the_medium_view_lies_between_the_weak_and_the_strong_one() -> None:
    policies = _embedded("classic").protocol.augmentations
    weak, medium, strong = (policies[name] for name in ("weak", "medium", "strong"))
    for field in (
        "aspect",
        "rotate",
        "window",
        "color_mix",
        "permute",
        "gray",
        "contrast",
        "noise",
        "cutout",
    ):
        assert getattr(weak, field) < getattr(medium, field) < getattr(strong, field), field
    assert strong.scale[0] < medium.scale[0] < weak.scale[0] <= medium.scale[1] < strong.scale[1]


def test_every_method_that_needs_no_extra_input_is_there_once() -> None:
    section = _embedded("classic")
    rows = [entry.method for entry in section.entries if entry.role != "bound"]
    assert len(rows) == len(set(rows))
    able = set()
    for name, origin in plugins.methods().origins.items():
        if origin == f"package '{plugins.OURS}'":
            cls = plugins.method_class(name)
            config = build(cls.Config, section.shared, f"method '{name}'")
            able |= {name} if cls.unsupported(config, TASK) is None else set()
    assert set(rows) == able - APART, "write the missing ones into bench/suites/classic.yaml"


def test_the_plan_prints_a_trial_of_every_row(bench: Any) -> None:
    answer = bench("plan", "--suite", "classic", "--seeds", "0")
    assert answer.status == 0, answer.err
    for entry in _embedded("classic").entries:
        assert answer.out.count(f" synthgym@2 {entry.label} seed=0\n") == 1
