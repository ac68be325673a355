"""The suites of the paper's tables: they load, they plan, they stand beside what is published."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bench import runner
from bench.agenda import make_agenda
from bench.beside import _published_on, differences
from bench.entry_checks import check_entries
from bench.plan import Choice, trial_specs
from bench.published import load_figures, load_notes
from bench.suite import SUITES, LoadedSuite, load_suite, suite_names
from datasets.errors import UserError

TABLES = [
    "table1a", "table1b", "table1c", "table2", "table3", "table4", "table7", "table6", "prediction_times",
    "sampling", "threshold",
]  # fmt: skip
PUBLISHED = {
    "table1a": "SeFAR-T1a",
    "table1b": "SeFAR-T1b",
    "table1c": "SeFAR-T1c",
    "table2": "SeFAR-T2",
    "table3": "SeFAR-T3",
    "table4": "SeFAR-T4",
    "table7": "SeFAR-T7",
    "table6": "SeFAR-T6",
    "prediction_times": "SeFAR-Tx-prediction-times",
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_loads_and_takes_its_protocol_from_the_main_suite(name: str) -> None:
    loaded, main = load_suite(f"paper/{name}"), load_suite("fine_grained").suite
    assert f"paper/{name}" in suite_names() and loaded.suite.name == f"paper/{name}"
    assert set(loaded.suite.sections) == {"paper", "embedded"}
    for key, section in loaded.suite.sections.items():
        check_entries(section, key, loaded.path)
        own = section.protocol.model_copy(update={"frames": main.sections[key].protocol.frames})
        assert own == main.sections[key].protocol
        assert section.needs_gpu == main.sections[key].needs_gpu
        sizes = {entry.labeled_batch for entry in section.entries if entry.method == "supervised"}
        batch = section.protocol.batch
        assert sizes <= {batch.labeled + batch.unlabeled}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_row_of_ours_has_a_cell(name: str) -> None:
    notes = load_notes()
    figures = [each for each in load_figures() if each.table == PUBLISHED[name]]
    cells = [
        cell for task in load_suite(f"paper/{name}").suite.sections["paper"].tasks for cell in task.cells
    ]
    known = [each for each in figures if each.label_percent is not None]
    assert known
    for figure in known:
        assert [cell for cell in cells if _published_on(cell, figure, notes)], figure


def test_imported_lists_stand_beside_the_rate_they_were_published_for() -> None:
    notes = load_notes()
    figure = next(f for f in load_figures() if f.table == "SeFAR-T1b" and f.dataset == "Gym-UB")
    assert figure.label_percent == 10
    assert _published_on("gym99_ub_published_10@list", figure, notes)
    assert not _published_on("gym99_ub_published_20@list", figure, notes)
    assert not _published_on("gym99_published_10@list", figure, notes)
    assert not _published_on("gym99_ub_published_10@10%", figure, notes)


@pytest.mark.parametrize("name", ["table4", "table7"])
def test_perturbations_meet_on_ordered_saltos_aligned_and_paired(name: str) -> None:
    section = load_suite(f"paper/{name}").suite.sections["embedded"]
    assert "synthgym_order" in {task.data for task in section.tasks}
    trials = make_agenda(load_suite(f"paper/{name}"), Choice(embedded=True), device="cuda").trials
    seeds: dict[str, set[int]] = {}
    for trial in trials:
        assert trial.section == "embedded" and trial.spec.config["alignment"]
        seeds.setdefault(trial.entry, set()).add(trial.seed)
    assert set(map(frozenset, seeds.values())) == {frozenset(range(10))}
    assert {"spatial-only", "mod-reverse", "all-reverse"} <= set(seeds)


def test_embedded_alone_asks_for_no_other_data(bench: Any) -> None:
    plain = bench("plan", "--suite", "paper/prediction_times")
    assert "data set 'gym99' is not on this machine" in plain.out
    assert "gym99_published_5" not in plain.out  # an imported list is an offer, nothing to ask for
    alone = bench("plan", "--suite", "paper/prediction_times", "--embedded")
    assert alone.status == 0, alone.err
    assert "not on this machine" not in alone.out and "embedded section runs because" not in alone.out
    assert "60 trials" in alone.out


def test_runs_of_a_suite_in_a_folder_lie_in_a_folder() -> None:
    loaded = load_suite("paper/table7")
    assert runner.run_folder(loaded, Path("runs"), Choice()).path == Path("runs/paper/table7")


def _extending(path: Path, **changes: Any) -> LoadedSuite:
    content = yaml.safe_load((SUITES / "paper/threshold.yaml").read_text(encoding="utf-8"))
    content |= changes
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_suite(str(path))


def test_a_suite_of_ones_own_can_extend_and_change_single_fields(tmp_path: Path) -> None:
    main = load_suite("fine_grained").suite.sections["embedded"]
    own = yaml.safe_load((SUITES / "paper/threshold.yaml").read_text(encoding="utf-8"))["sections"][
        "embedded"
    ]
    own["protocol"] = {"steps": 7}
    found = _extending(tmp_path / "own.yaml", sections={"embedded": own}).suite.sections["embedded"]
    assert found.protocol == main.protocol.model_copy(update={"steps": 7})
    assert found.shared == {**main.shared, **own["shared"]}
    assert found.quick is None and found.tune is None


def test_a_suite_cannot_extend_what_does_not_exist_or_extends_itself(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'extends'.*'fine_grain'.*Did you mean 'fine_grained'"):
        _extending(tmp_path / "own.yaml", extends="fine_grain")
    with pytest.raises(UserError, match=r"'paper/table7' extends 'fine_grained' itself; extend that one"):
        _extending(tmp_path / "own.yaml", extends="paper/table7")
    with pytest.raises(UserError, match=r"own\.yaml:\d+: .*stepz.*Did you mean 'steps'"):
        own = {"title": "t", "tasks": [], "entries": [], "protocol": {"stepz": 7}}
        _extending(tmp_path / "own.yaml", sections={"embedded": own})


@pytest.mark.parametrize(
    "name", ["fine_grained", "classic", *(f"paper/table{n}" for n in ("1a", "1b", "1c", "2"))]
)
def test_where_methods_compete_all_show_equally_many_frames(name: str) -> None:
    trials = make_agenda(load_suite(name), Choice(embedded=True, full=True), device="cuda").trials
    shown: dict[str, set[int]] = {}
    for trial in trials:
        config = trial.spec.config
        frames = sum(config["levels"]) if "levels" in config else config["frames"]
        shown.setdefault(trial.entry, set()).add(frames or trial.spec.protocol.frames)
    assert len(shown) > 2 and set.union(*shown.values()) == {8}, shown


LABELED = {  # of the release's lists, and of as large shares of our own pools
    "gym99_published_5": 1316, "gym99_published_10": 2632, "gym288_published_5": 1466,
    "gym288_published_10": 2933, "gym99_ub_published_10": 959, "gym99_ub_published_20": 1918,
    "gym99_fx_published_10": 540, "gym99_fx_published_20": 1081, "gym99_ub_s1_published_10": 496,
    "gym99_ub_s1_published_20": 992, "gym99_fx_s1_published_10": 189, "gym99_fx_s1_published_20": 378,
    "ucf101_published_1": 101, "ucf101_published_5": 477, "ucf101_published_10": 1010,
    "hmdb51_published_40": 2094, "hmdb51_published_50": 2618, "hmdb51@40%": 1428, "hmdb51@50%": 1785,
}  # fmt: skip


def _labeled(cell: str) -> int | None:
    """Labels of a cell; a share of a pool is counted as the list of that share, where there is one."""
    data, _, labels = cell.rpartition("@")
    if labels == "list":
        return LABELED[data]
    return LABELED.get(cell, LABELED.get(f"{data}_published_{labels.rstrip('%')}"))


def _planned(name: str) -> list[tuple[str, str, Any]]:
    """(cell, entry, stand-in of its row on the board) of a paper section, as if all its data were here."""
    loaded = load_suite(f"paper/{name}")
    section = loaded.suite.sections["paper"]
    found = []
    for task in section.tasks:
        for entry in section.entries:
            for cell in task.cells:
                data, _, labels = cell.rpartition("@")
                (spec,) = trial_specs(
                    section, entry, loaded.tuned_entry("paper", entry.label), data, labels, [0], "cuda"
                )
                record = SimpleNamespace(spec=spec, done={"labeled": _labeled(cell)})
                found.append((cell, entry.label, SimpleNamespace(records=[record])))
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_row_of_our_methods_meets_one_planned_row_of_its_protocol(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But on FineDiving, where the release has no list and the suites train longer: all else is the row's."""
    monkeypatch.setattr("bench.plan.split_hash", lambda *_: "0" * 64)  # nothing is read of the data
    notes, planned = load_notes(), _planned(name)
    figures = [
        each
        for each in load_figures()
        if each.table == PUBLISHED[name] and each.label_percent and each.method in notes.methods
        and notes.methods[each.method].method in ("sefar", "svformer")
    ]  # fmt: skip
    assert figures
    for figure in figures:
        alias = notes.methods[figure.method]
        meeting = [
            (cell, entry, differences(figure, row, notes))
            for cell, entry, row in planned
            if _published_on(cell, figure, notes) and row.records[0].spec.method == alias.method
        ]
        same: dict[str, list[str]] = {}
        for cell, entry, differs in meeting:
            same.setdefault(cell, [])
            if not differs:
                same[cell].append(entry)
        assert same and all(len(entries) == 1 for entries in same.values()), (figure, same, meeting)
