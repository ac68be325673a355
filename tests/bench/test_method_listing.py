"""What `ls methods` and docs/methods.md say of methods."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench import method_facts, method_times, plugins
from bench.method_facts import facts_of
from bench.method_listing import as_text, listing
from datasets.errors import UserError
from datasets.types import Batch
from methods.base import Method, Progress, Step
from methods.fixmatch import FixMatch
from methods.mean_teacher import MeanTeacher
from methods.supervised import Supervised
from methods.videossl import VideoSSL
from sefar.method import SeFAR

ROOT = Path(__file__).parents[2]


class Clumsy(Supervised):
    name = "clumsy"

    def step(self, batch: Batch, progress: Progress) -> Step:
        raise ZeroDivisionError("three left hands")


CLASSES: dict[str, type[Method]] = {
    "supervised": Supervised,
    "fixmatch": FixMatch,
    "videossl": VideoSSL,
    "clumsy": Clumsy,
}


def load(name: str) -> type[Method]:
    if name not in CLASSES:
        raise UserError(f"method '{name}' cannot be loaded.")
    return CLASSES[name]


@pytest.mark.parametrize(
    ("method", "views", "teacher", "forward", "backward"),
    [
        (Supervised, (), False, 1, 1),
        (FixMatch, ("weak", "strong"), False, 3, 2),
        (MeanTeacher, ("weak", "weak2"), True, 3, 2),
        (
            SeFAR,
            ("weak", "strong"),
            True,
            4,
            3,
        ),  # ten teacher passes are one, and the mixed clips are a third
        (VideoSSL, ("weak",), False, 2, 2),
    ],
)
def test_passes_are_counted(
    method: type[Method], views: tuple[str, ...], teacher: bool, forward: float, backward: float
) -> None:
    facts = facts_of(method)
    assert facts.views == views
    assert facts.teacher == teacher
    assert (facts.forward, facts.backward) == (forward, backward)
    assert facts.cost == pytest.approx((forward + 2 * backward) / 3)


def test_parameters_beyond_the_backbone_are_those_of_the_heads() -> None:
    head = 192 * 12 + 12
    assert facts_of(FixMatch).parameters == head
    assert facts_of(VideoSSL).parameters == head + 192 * 5 + 5  # the stand-in for an image net has 5 classes
    assert facts_of(SeFAR).parameters > 10 * head


def test_a_method_that_breaks_is_listed_with_its_reason_and_stops_no_other() -> None:
    rows = {row["name"]: row for row in listing(["supervised", "clumsy", "gone", "fixmatch"], load)}
    assert rows["clumsy"]["kind"] == rows["gone"]["kind"] == "broken"
    assert "three left hands" in rows["clumsy"]["reason"]
    assert "cannot be loaded" in rows["gone"]["summary"]
    assert rows["supervised"]["cost_counted"] == 1
    assert rows["fixmatch"]["cost_counted"] == pytest.approx(7 / 3, abs=1e-4)
    text = as_text(rows.values())
    assert text.index("three left hands") > text.index("Broken:") > text.index("fixmatch")


def test_bounds_and_methods_that_nobody_can_run_are_apart() -> None:
    rows = listing(["fixmatch"], load)
    kinds = {row["name"]: row["kind"] for row in rows}
    assert kinds["fully_supervised"] == "bound"
    assert {name for name, kind in kinds.items() if kind == "not implementable"} == {"tacl", "l2a"}
    text = as_text(rows)
    assert text.index("fixmatch") < text.index("Bounds") < text.index("  fully_supervised: ")
    assert text.index("Not implementable") < text.index("  tacl: ") < text.index("  l2a: ")
    assert set(plugins.methods().names()).isdisjoint(name for name, kind in kinds.items() if kind != "method")


def test_one_link_is_one_paper() -> None:
    names = plugins.methods().names()
    papers: dict[str, set[str]] = {}
    for row in listing(names, plugins.method_class):
        papers.setdefault(row["link"], set()).add(row["paper"].rpartition(" in: ")[2])
    assert {link: found for link, found in papers.items() if len(found) > 1} == {}


def test_extra_inputs_say_how_to_supply_them() -> None:
    text = as_text(listing(["fixmatch", "videossl"], load))
    table, inputs = text.split("Extra inputs:")
    assert "videossl*" in table
    assert "fixmatch*" not in table
    assert "config field 'image_weights' (torch.save(" in inputs


def test_measured_times_are_shown_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_facts, "measured", dict)
    assert "time" not in as_text(listing(["fixmatch"], load)).splitlines()[0]
    monkeypatch.setattr(method_facts, "measured", lambda: {"fixmatch": 2.125})
    rows = listing(["fixmatch", "supervised"], load)
    assert [row["cost_measured"] for row in rows[:2]] == [2.125, None]
    how = {"date": "2026-02-03", "labeled_clips": 8, "threads": 1, "rounds": 30}
    monkeypatch.setattr(method_times, "_measurement", lambda: {"settings": how})
    lines = as_text(rows).splitlines()
    assert "time" in lines[0]
    assert "2.12" in lines[1]
    assert "measured on 2026-02-03 with the small net (8 labeled" in "\n".join(lines)


def test_the_committed_times_have_labels_alone_as_their_unit() -> None:
    assert 0.9 <= method_times.measured()["supervised"] <= 1.1


def test_ls_methods_knows_all_methods(bench: Any) -> None:
    rows = json.loads(bench("ls", "methods", "--json").out)
    found = {row["name"]: row for row in rows}
    for name in plugins.methods().names():
        assert found[name]["kind"] == "method", found[name]["summary"]
        assert found[name]["forward_clips"] >= 1
        assert found[name]["year"] > 1950
        assert found[name]["link"].startswith("https://")


def make_methods() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_methods", ROOT / "docs" / "make_methods.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_methods_is_in_step_with_the_code() -> None:
    maker = make_methods()
    made = maker.page()
    assert maker.PAGE.read_text(encoding="utf-8") == made, f"docs/methods.md is old; run: {maker.COMMAND}"
    for name in plugins.methods().names():
        if plugins.method_class(name).__module__.split(".")[0] in maker.OURS:
            assert f"\n## {name}\n" in made


def test_the_page_shows_only_what_a_method_adds_to_the_shared_settings() -> None:
    maker = make_methods()
    own = maker.settings(MeanTeacher.Config, Method.Config)
    assert "| `unlabeled_weight` | `50` | `5`, `10`, `25`, `50` |" in own
    assert "`ema_decay` | `0.999`" in own  # changed
    assert "`dropout`" not in own
