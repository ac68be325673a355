"""docs/sefar.md: its table comes from a results table, and lists the toggles that there are."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.backbones.shiftnet import shiftnet
from bench.suite import load_suite, suite_names
from datasets.types import TaskInfo
from methods.config import build
from methods.ema import decay_at
from sefar.method import SeFAR
from sefar.official import SeFAROfficial

DOCS = Path(__file__).parent.parent / "docs"
SUITE = load_suite("paper/departures").suite.sections["embedded"]


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("make_sefar", DOCS / "make_sefar.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


make_sefar = _script()


def _config(label: str) -> dict[str, Any]:
    entry = next(entry for entry in SUITE.entries if entry.label == label)
    values = {**SUITE.shared, **entry.config}
    return dataclasses.asdict(build(SeFAROfficial.Config, values, label))


def _differences(label: str, base: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _config(label).items() if value != base[name]}


def test_every_departure_is_a_toggle_a_row_of_the_suite_and_nothing_else() -> None:
    released = {field.name: field.default for field in dataclasses.fields(SeFAROfficial.Config)}
    own = released.keys() - {field.name for field in dataclasses.fields(SeFAR.Config)}
    assert {each.toggle for each in make_sefar.DEPARTURES} == own
    base = _config(make_sefar.BASE)
    for each in make_sefar.DEPARTURES:
        assert str(base[each.toggle]).lower() == each.paper
        assert _differences(each.entry, base) == {each.toggle: released[each.toggle]}
    assert _differences(make_sefar.ALL, base) == {name: released[name] for name in own}


def test_the_suite_is_of_the_same_kind_as_the_leaderboard() -> None:
    main = load_suite("fine_grained").suite.sections["embedded"]
    for field in ("backbone", "protocol", "shared"):
        assert getattr(SUITE, field) == getattr(main, field), field


def _results(path: Path, rows: list[tuple[str, int, str, float]]) -> Path:
    lines = ["entry,seed,status,top1", *(f"{e},{s},{status},{top1}" for e, s, status, top1 in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_effects_are_paired_by_seed_with_an_interval(tmp_path: Path) -> None:
    rows = [("intended", seed, "done", 0.5 + 0.1 * seed) for seed in range(3)]
    rows += [
        ("reversal", seed, "done", 0.5 + 0.1 * seed - drop) for seed, drop in enumerate((0.01, 0.02, 0.03))
    ]
    rows += [("reversal", 3, "done", 0.0), ("partners", 0, "done", 0.4), ("channels", 0, "failed", 0.1)]
    block = make_sefar.table(make_sefar.read_scores(_results(tmp_path / "results.csv", rows)))
    line = next(line for line in block.splitlines() if line.startswith("| 4.1 |"))
    assert "-2.0 [-4.5, +0.5], 3 seeds" in line  # 4.303 · 1 / sqrt(3) = 2.48 points to each side
    for item in ("4.2", "4.6", "4.13"):
        row = next(line for line in block.splitlines() if line.startswith(f"| {item} |"))
        assert make_sefar.UNMEASURED in row
    assert "60.0 (3 seeds)" in block


def test_a_table_without_the_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no finished trial of the entry 'intended'"):
        make_sefar.read_scores(_results(tmp_path / "results.csv", [("reversal", 0, "done", 0.5)]))


def test_the_committed_page_lists_the_toggles() -> None:
    assert make_sefar.main(["--check"]) == 0


def _text(page: str) -> str:
    return " ".join((DOCS / page).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("page", ["sefar.md", "ablations.md"])
def test_the_pages_state_the_decays_of_the_paper_suites(page: str) -> None:
    text = _text(page)
    for step in (600, 1350):
        assert f"{decay_at(0.999, step, True):.3f} at step {step}" in text
    reached = next(step for step in range(10**4) if decay_at(0.999, step, True) == 0.999)
    assert f"0.999 at step {reached}" in text or f"0.999 only from step {reached} on" in text
    assert SeFAR.Config().ema_warm
    budgets = [
        section.steps(task.data, labels)
        for name in suite_names()
        if name.startswith("paper/") and (section := load_suite(name).suite.sections.get("paper"))
        for task in section.tasks
        for labels in task.labels
    ]
    assert (min(budgets), max(budgets)) == (30, 1350)
    assert decay_at(0.99, 889, True) == decay_at(0.9999, 889, True) < decay_at(0.99, 890, True) == 0.99
    if page == "sefar.md":
        assert "reaches 0.99 at step 890" in text and "in the 30 to 1350 steps" in text


@pytest.mark.parametrize("page", ["sefar.md", "ablations.md"])
def test_the_pages_state_how_the_forms_depart_from_paper_and_release(page: str) -> None:
    text = _text(page)
    for name in (name for name in suite_names() if name.startswith("paper/")):
        assert load_suite(name).suite.sections["embedded"].shared["dropout"] == 0.2
    assert SeFAR.Config().dropout == 0.5
    assert "the head dropout 0.2" in text and "not the paper's 0.5" in text
    assert _config(make_sefar.ALL)["ema_warm"] and not SeFAROfficial.Config().ema_warm
    assert "The row `official`" in text and "keeps `ema_warm: true`" in text
    policies = load_suite("fine_grained").suite.sections["paper"].protocol.augmentations
    assert policies["strong"] == dataclasses.replace(policies["weak"], flip=0.5)
    assert "`strong` is `weak` with a flip" in text and "RandAugment" in text


def test_fields_that_the_page_calls_idle_are() -> None:
    assert "`frames` in `sefar`" in _text("sefar.md")
    task = TaskInfo(classes=3, labeled=6, unlabeled=12, class_counts=(2, 2, 2), frames=8)
    views = [SeFAR(SeFAR.Config(frames=n), task, shiftnet).sampler().levels for n in (0, 4)]
    assert views[0] == views[1] == (2, 2, 4)
