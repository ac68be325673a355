"""Plans: which trials a choice means on a machine, and what each trial's specification holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import plugins
from bench.agenda import Agenda, extended, make_agenda
from bench.plan import Choice, PlannedTrial, plan_section
from bench.suite import SUITES, LoadedSuite, Section, Tuned, TunedEntry, load_suite
from datasets.errors import UserError

SETS = """
from pathlib import Path

from datasets.types import ClipRef, ClipTable


class RealSet:
    name = "real"
    summary = "a set that is on this machine"

    def present(self):
        return True

    def table(self):
        refs = tuple(ClipRef(f"{i}.mp4", Path(f"{i}.mp4"), i % 2, f"{i}") for i in range(40))
        return ClipTable(self.name, ("a", "b"), refs[:30], refs[30:])

    def prepare(self):
        pass

    def how_to_add(self):
        return "it is here"


class OtherSet(RealSet):
    name = "other"


class NamelessSet(RealSet):
    name = "nameless"

    def table(self):
        refs = tuple(ClipRef(f"{i}.mp4", Path(f"{i}.mp4"), i % 2, f"{i}") for i in range(20))
        rest = tuple(ClipRef(f"{i}.mp4", Path(f"{i}.mp4"), -1, f"{i}") for i in range(20, 40))
        return ClipTable(self.name, ("a", "b"), refs[:10], refs[10:], unlabeled=rest)
"""


@pytest.fixture(autouse=True)
def _sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEFAR_BENCH_PLUGINS", "")
    path = tmp_path / "plan_sets.py"
    path.write_text(SETS, encoding="utf-8")
    plugins.add_plugin_file(str(path))
    yield
    plugins._registries.cache_clear()


def _suite(folder: Path, real: str | None = "real", **changes: Any) -> LoadedSuite:
    """An embedded section and, with `real`, one of that data set, which needs a GPU."""
    content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
    embedded = content["sections"]["embedded"]
    embedded.update(changes)
    if real is not None:
        paper = {**embedded, "embedded": False, "needs_gpu": True, "hours_per_trial": 12}
        paper.update(tasks=[{"data": real, "labels": ["2", "4"]}], tune=None, quick=None, seeds="0-1")
        content["sections"] = {"paper": paper, "embedded": embedded}
    path = folder / "planned.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_suite(str(path))


def _sections(agenda: Agenda) -> list[str]:
    return list(dict.fromkeys(trial.section for trial in agenda.trials))


def _lines(trials: Any) -> list[str]:
    return [trial.line for trial in trials]


def test_with_a_gpu_and_real_data_the_embedded_section_rests(tmp_path: Path) -> None:
    agenda = make_agenda(_suite(tmp_path), Choice(), device="cuda")
    assert _sections(agenda) == ["paper"]
    assert not agenda.banner and not agenda.held
    assert _sections(make_agenda(_suite(tmp_path), Choice(full=True), device="cuda")) == ["paper", "embedded"]


def test_without_a_gpu_real_data_wait_and_the_embedded_section_says_why(tmp_path: Path) -> None:
    agenda = make_agenda(_suite(tmp_path), Choice(), device="cpu")
    assert _sections(agenda) == ["embedded"]
    assert "no GPU" in agenda.banner[0]
    (held,) = agenda.held
    assert (held.name, len(held.trials)) == ("paper", 8)
    assert held.days == pytest.approx(8 * 12 / 24)
    (short,) = make_agenda(_suite(tmp_path), Choice(limit_steps=1), device="cpu").held
    assert short.days is None  # the hours are those of all steps
    tasks = [{"data": "real", "labels": ["2"]}, {"data": "real", "labels": ["4"], "steps": 48}]
    loaded = _suite(tmp_path)
    paper = loaded.suite.sections["paper"]
    longer = Section.model_validate({**paper.model_dump(), "tasks": tasks})
    assert paper.protocol.steps == 24
    sections = {**loaded.suite.sections, "paper": longer}
    made = loaded.model_copy(update={"suite": loaded.suite.model_copy(update={"sections": sections})})
    (held,) = make_agenda(made, Choice(), device="cpu").held
    assert held.days == pytest.approx(4 * (1 + 2) * 12 / 24)
    assert _sections(make_agenda(_suite(tmp_path), Choice(), device="cpu", yes=True)) == ["paper", "embedded"]


def test_without_real_data_the_embedded_section_runs_and_says_why(tmp_path: Path) -> None:
    agenda = make_agenda(_suite(tmp_path, real="gym99"), Choice(), device="cuda")
    assert _sections(agenda) == ["embedded"]
    assert "no real data set" in agenda.banner[0]
    assert "data add gym99" in agenda.absent["gym99"]


def test_a_suite_that_is_embedded_altogether_needs_no_banner(tmp_path: Path) -> None:
    agenda = make_agenda(_suite(tmp_path, real=None), Choice(), device="cpu")
    assert agenda.trials and not agenda.banner


def test_own_data_take_the_recipe_of_the_embedded_section(tmp_path: Path) -> None:
    loaded = _suite(tmp_path)
    agenda = make_agenda(loaded, Choice(data=["other"], seeds=(0,)), device="cpu")
    assert _lines(agenda.trials) == ["other@4 supervised seed=0", "other@4 fixmatch seed=0"]
    assert agenda.trials[0].spec.protocol.steps == loaded.suite.sections["embedded"].protocol.steps
    assert not agenda.held and not agenda.absent


def test_data_of_the_suite_are_not_run_by_two_sections(tmp_path: Path) -> None:
    agenda = make_agenda(_suite(tmp_path), Choice(data=["real"]), device="cuda")
    assert _sections(agenda) == ["paper"]


def test_quick_is_part_of_full(tmp_path: Path) -> None:
    quick = {"cells": ["synthgym_tiny@2"], "seeds": "0", "entries": ["supervised"]}
    loaded = _suite(tmp_path, real=None, quick=quick, tasks=[{"data": "synthgym_tiny", "labels": ["2", "4"]}])
    short = plan_section(loaded, "embedded", Choice(), "cpu")
    full = plan_section(loaded, "embedded", Choice(full=True), "cpu")
    assert _lines(short) == ["synthgym_tiny@2 supervised seed=0"]
    assert len(full) == 2 * 2 * 3
    assert {trial.spec.id for trial in short} < {trial.spec.id for trial in full}


def test_the_bound_has_all_labels_and_is_one_trial_for_all_budgets(tmp_path: Path) -> None:
    entries = [
        {"label": "supervised", "method": "supervised", "role": "baseline"},
        {"label": "all labels", "method": "supervised", "role": "bound"},
    ]
    tasks = [{"data": "synthgym_tiny", "labels": ["1", "2"]}]
    loaded = _suite(tmp_path, real=None, entries=entries, tasks=tasks, tune=None, seeds="0")
    planned = plan_section(loaded, "embedded", Choice(), "cpu")
    bounds = [trial for trial in planned if trial.role == "bound"]
    assert [trial.cell for trial in bounds] == ["synthgym_tiny@1", "synthgym_tiny@2"]
    assert bounds[0].spec == bounds[1].spec
    assert bounds[0].spec.labels == "all"


BOUND = [
    {"label": "supervised", "method": "supervised", "role": "baseline"},
    {"label": "fixmatch", "method": "fixmatch"},
    {"label": "fixmatch-ema", "method": "fixmatch", "config": {"ema_decay": 0.9}},
    {"label": "all labels", "method": "supervised", "role": "bound"},
    {"label": "all labels of fixmatch", "method": "fixmatch", "role": "bound"},
]


@pytest.mark.parametrize("choice", [Choice(full=True), Choice(methods=["all labels"])])
def test_without_all_labels_there_is_no_bound_but_the_rest_runs(tmp_path: Path, choice: Choice) -> None:
    tasks = [{"data": "nameless", "labels": ["list"]}, {"data": "synthgym_tiny", "labels": ["2"]}]
    loaded = _suite(tmp_path, real=None, entries=BOUND, tasks=tasks, tune=None, seeds="0")
    agenda = make_agenda(loaded, choice, device="cpu")
    assert "nameless@list supervised seed=0" in _lines(agenda.trials)
    assert {trial.cell for trial in agenda.trials if trial.role == "bound"} == {"synthgym_tiny@2"}
    assert agenda.unbound == ("nameless",)


@pytest.mark.parametrize(
    ("methods", "entries"),
    [
        (["supervised"], ["supervised"]),
        (["fixmatch"], ["supervised", "fixmatch"]),
        (["all labels"], ["supervised", "all labels"]),
        (["softmatch"], ["supervised", "one", "two"]),
    ],
)
def test_a_label_selects_its_entry_and_a_method_all_but_the_bound(
    tmp_path: Path, methods: list[str], entries: list[str]
) -> None:
    soft = [{"label": label, "method": "softmatch"} for label in ("one", "two")]
    limit = {"label": "three", "method": "softmatch", "role": "bound"}
    loaded = _suite(tmp_path, real=None, entries=[*BOUND, *soft, limit], tune=None, seeds="0")
    agenda = make_agenda(loaded, Choice(methods=methods), device="cpu")
    assert [trial.entry for trial in agenda.trials] == entries
    assert not agenda.unbound


def test_later_settings_override_earlier_ones(tmp_path: Path) -> None:
    entries = [
        {"label": "supervised", "method": "supervised", "role": "baseline"},
        {"label": "fixmatch", "method": "fixmatch", "config": {"threshold": 0.6, "warmup": 0.5}},
    ]
    loaded = _suite(tmp_path, real=None, entries=entries, shared={"warmup": 0.25, "dropout": 0.1}, seeds="0")
    tuned = Tuned(
        suite="smoke",
        configurations=2,
        seeds="100",
        cells=("synthgym_tiny@2",),
        run_hash="0" * 16,
        entries={"fixmatch": TunedEntry(config={"threshold": 0.9}, optimizer={"lr": 0.5})},
    )
    loaded = loaded.model_copy(update={"tuned": tuned})
    base, fix = plan_section(loaded, "embedded", Choice(), "cpu")
    assert (base.spec.config["warmup"], base.spec.config["dropout"]) == (0.25, 0.1)
    assert base.spec.protocol.optimizer.lr == loaded.suite.sections["embedded"].protocol.optimizer.lr
    assert (fix.spec.config["threshold"], fix.spec.config["warmup"]) == (0.9, 0.5)
    assert fix.spec.protocol.optimizer.lr == 0.5


def _one(loaded: LoadedSuite, choice: Choice, entry: str) -> PlannedTrial:
    return next(t for t in plan_section(loaded, "embedded", choice, "cpu") if t.entry == entry)


def test_identity_of_a_trial(tmp_path: Path) -> None:
    """What changes a result changes the id; what only names or places it does not."""
    loaded = _suite(tmp_path, real=None)
    choice = Choice(seeds=(0,))
    same = _one(loaded, choice, "fixmatch")
    assert _one(_suite(tmp_path), choice, "fixmatch").spec.id == same.spec.id
    assert _one(loaded, replace(choice, seeds=(1,)), "fixmatch").spec.id != same.spec.id
    limited = _one(loaded, replace(choice, limit_steps=5), "fixmatch")
    assert limited.spec.limited and limited.spec.protocol.steps == 5
    assert limited.spec.id != same.spec.id
    assert type(same.spec).model_validate_json(same.spec.canonical()).id == same.spec.id


def test_limiting_to_more_steps_than_there_are_still_bars(tmp_path: Path) -> None:
    loaded = _suite(tmp_path, real=None)
    trial = _one(loaded, Choice(limit_steps=10**6), "fixmatch")
    assert trial.spec.limited
    assert trial.spec.protocol.steps == loaded.suite.sections["embedded"].protocol.steps


def test_methods_of_one_section_do_not_upset_the_other(tmp_path: Path) -> None:
    loaded = _suite(tmp_path)
    suite = loaded.suite
    lone = suite.sections["paper"].model_copy(update={"entries": suite.sections["paper"].entries[:1]})
    loaded = loaded.model_copy(
        update={"suite": suite.model_copy(update={"sections": {**suite.sections, "paper": lone}})}
    )
    agenda = make_agenda(loaded, Choice(methods=["fixmatch"], full=True), device="cuda")
    assert _sections(agenda) == ["embedded"]


def test_a_registered_method_joins_every_section(tmp_path: Path) -> None:
    loaded = extended(_suite(tmp_path), ["softmatch", "fixmatch"])
    for section in loaded.suite.sections.values():
        assert [entry.label for entry in section.entries] == ["supervised", "fixmatch", "softmatch"]


def test_unknown_names_are_refused_before_anything_else(tmp_path: Path) -> None:
    loaded = _suite(tmp_path)
    for choice, name in ((Choice(methods=["softmach"]), "softmatch"), (Choice(data=["reel"]), "real")):
        with pytest.raises(UserError, match=f"Did you mean '{name}'"):
            make_agenda(loaded, choice, device="cpu")
