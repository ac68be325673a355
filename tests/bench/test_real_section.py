"""The main suite on a machine that has a real data set, in the shape of FineGym, and no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import agenda, plan, runner
from bench.plan import Choice
from bench.schedule import Outcome
from bench.suite import load_suite
from datasets import places

CLASSES, PER_CLASS = 99, 3


@pytest.fixture
def gym(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder with `clips` and `annotations` of 99 classes; the clips are empty files."""
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    for module in (agenda, plan):
        monkeypatch.setattr(module, "default_device", lambda: "cpu")
    notes, clips = tmp_path / "annotations", tmp_path / "clips"
    notes.mkdir()
    clips.mkdir()
    rows: dict[str, list[str]] = {"train_element_v1.1": [], "val_element": []}
    categories = []
    for label in range(CLASSES):
        categories.append(f"Clabel: {label:3}; set:  1; Glabel: {label:3}; (VT) element {label}")
        for number in range(PER_CLASS + 1):
            name = f"video_{label % 7:05}_E_000100_000200_A_{label:04}_{number:04}"
            rows["val_element" if number == PER_CLASS else "train_element_v1.1"].append(f"{name} {label}")
            (clips / f"{name}.mp4").touch()
    for name, lines in {"categories": categories, **rows}.items():
        (notes / f"gym99_{name}.txt").write_text("\n".join(lines) + "\n")
    yield tmp_path
    places.opened.cache_clear()


def _add(bench: Any, gym: Path) -> None:
    answer = bench("data", "add", "gym99", "--videos", gym / "clips", "--annotations", gym / "annotations")
    assert answer.status == 0, answer.err
    assert "gym99: 99 classes, 297 training, 99 test clips" in answer.out


def test_the_suite_uses_the_set_and_holds_it_back_without_a_gpu(
    bench: Any, gym: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def execute(trials: Any, todo: Any, run: Any, settings: Any, told: Any) -> Outcome:
        ran.append(sorted({trial.cell for trial in todo}))
        return Outcome()

    monkeypatch.setattr(runner, "execute", execute)
    monkeypatch.setattr(runner, "report", lambda *arguments: None)
    _add(bench, gym)
    plain = bench("run", "--suite", "fine_grained", "--seeds", "0")
    assert plain.status == 0, plain.err
    assert "data set 'gym99' is on this machine: 99 classes, 297 training, 99 test clips" in plain.out
    assert "not yet done: python -m bench data verify gym99, python -m bench data audit gym99" in plain.out
    for absent in ("gym288", "finediving"):
        assert (
            f"data set '{absent}' is not on this machine; add it with: python -m bench data add" in plain.out
        )
    assert "12 trials would take about 229 days here; to run them all the same, add --yes" in plain.out
    assert "gym99@5% sefar seeds 0" in plain.out and "this machine has no GPU" in plain.out
    assert ran[0] and all(cell.startswith("synthgym") for cell in ran[0])
    assert bench("run", "--suite", "fine_grained", "--seeds", "0", "--yes").status == 0
    assert {"gym99@5%", "gym99@10%"} <= set(ran[1])
    splits = {path.name.partition("-seed")[0] for path in (gym / "runs/fine_grained/splits").iterdir()}
    assert {"gym99@5pc", "gym99@10pc", "gym99@all"} <= splits


def test_with_a_gpu_the_real_section_runs_alone(bench: Any, gym: Path) -> None:
    _add(bench, gym)
    planned = agenda.make_agenda(load_suite("fine_grained"), Choice(), device="cuda")
    assert {trial.cell for trial in planned.trials} == {"gym99@5%", "gym99@10%"}
    assert {trial.seed for trial in planned.trials} == set(range(5))
    assert (planned.present, planned.held, planned.banner) == (("gym99",), (), ())
