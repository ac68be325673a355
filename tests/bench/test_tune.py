"""Tuning: equal effort, draws that stay, validation alone, and the file that is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import plugins, runner, tune
from bench.store import read_json
from bench.suite import LoadedSuite, TunedEntry, load_suite
from bench.tune import Effort, choose, drawn_settings, entry_candidates, run_hash, tunable
from datasets.errors import UserError


def _more(content: dict[str, Any]) -> None:
    section = content["sections"]["embedded"]
    section["entries"] += [
        {"label": "weak labels", "method": "supervised", "role": "reference", "labeled_augmentation": "weak"},
        {"label": "all labels", "method": "supervised", "role": "bound"},
    ]
    section["tune"]["seeds"] = "100-101"
    content["tuned"] = "tiny.tuned.yaml"


@pytest.fixture
def search(bench: Any) -> Any:
    """`bench tune` on the suite `tiny`, with trials in this process."""
    suite = bench.suite(_more)

    def run(*more: str) -> Any:
        return bench("tune", "--suite", suite, "--configs", "3", *more)

    run.bench, run.suite, run.file = bench, suite, bench.folder / "tiny.tuned.yaml"  # type: ignore[attr-defined]
    return run


def test_every_entry_gets_the_same_search_on_validation_clips(search: Any) -> None:
    answer = search()
    assert answer.status == 0, answer.err
    specs = [
        read_json(path)["spec"] for path in search.bench.folder.glob("runs/tiny-tune/trials/*/done.json")
    ]
    assert all(spec["scored_on"] == "validation" for spec in specs)
    assert {spec["seed"] for spec in specs} == {100, 101}
    assert {spec["labels"] for spec in specs} == {"2"}
    counts = {m: sum(spec["method"] == m for spec in specs) for m in ("supervised", "fixmatch")}
    assert counts == {"supervised": 6, "fixmatch": 6}
    done = [read_json(path) for path in search.bench.folder.glob("runs/tiny-tune/trials/*/done.json")]
    assert {record["metrics"]["listed"] for record in done} == {24}  # 12 classes x 2 validation clips


def test_the_file_says_what_was_chosen_and_the_suite_uses_it(search: Any) -> None:
    search()
    loaded = load_suite(str(search.suite))
    assert loaded.tuned is not None
    assert (loaded.tuned.configurations, loaded.tuned.seeds) == (3, "100-101")
    assert set(loaded.tuned.entries) == {"supervised", "fixmatch"}
    assert loaded.tuned.validation_clips == {"synthgym_tiny@2": 24}
    assert re.fullmatch("[0-9a-f]{16}", loaded.tuned.run_hash)
    for entry in loaded.tuned.entries.values():
        assert len(entry.validation_accuracies) == loaded.tuned.configurations
        assert 0 <= max(entry.validation_accuracies) == entry.validation_accuracy <= 1
    text = search.file.read_text(encoding="utf-8")
    assert search().status == 0
    assert search.file.read_text(encoding="utf-8") == text


def test_a_second_search_only_adds_what_is_missing(search: Any) -> None:
    search()
    before = len(search.bench.executed)
    assert before == 12
    search.bench("tune", "--suite", search.suite, "--configs", "4")
    assert len(search.bench.executed) == before + 4


def test_a_part_of_the_entries_must_be_searched_alike(search: Any) -> None:
    search()
    kept = yaml.safe_load(search.file.read_text(encoding="utf-8"))
    refused = search.bench("tune", "--suite", search.suite, "--configs", "2", "--methods", "fixmatch")
    assert refused.status == 1
    assert "3 configurations" in refused.sentence
    assert search("--methods", "fixmatch").status == 0
    joined = yaml.safe_load(search.file.read_text(encoding="utf-8"))
    assert joined["entries"] == kept["entries"]


def test_the_result_can_go_elsewhere(search: Any) -> None:
    assert search("--to", "elsewhere/chosen.yaml").status == 0
    assert not search.file.exists()
    chosen = yaml.safe_load((search.bench.folder / "elsewhere/chosen.yaml").read_text(encoding="utf-8"))
    assert chosen["suite"] == "tiny"


def test_an_entry_without_a_finished_configuration_stops_the_search(
    search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "run_trials", lambda trials, run, settings, on_result: runner.Outcome())
    answer = search()
    assert answer.status == 1
    assert "no configuration of 'supervised' finished" in answer.sentence
    assert not search.file.exists()


def _loaded(bench: Any, change: Any = None) -> LoadedSuite:
    return load_suite(str(bench.suite(change or _more)))


def _candidates(loaded: LoadedSuite, label: str, count: int) -> list[tune.Candidate]:
    name, section, tuning = tunable(loaded, None)
    entry = next(entry for entry in section.entries if entry.label == label)
    return entry_candidates(name, section, tuning, entry, Effort(configurations=count))


def test_configuration_0_is_the_entry_as_it_is(bench: Any) -> None:
    loaded = _loaded(bench)
    first = _candidates(loaded, "fixmatch", 3)[0]
    spec = first.trials[0].spec
    assert spec.config["threshold"] == 0.95
    assert spec.protocol.optimizer.lr == loaded.suite.sections["embedded"].protocol.optimizer.lr
    assert len({candidate.trials[0].spec.id for candidate in _candidates(loaded, "fixmatch", 6)}) > 3


def test_draws_follow_the_declared_ranges(bench: Any) -> None:
    for candidate in _candidates(_loaded(bench), "fixmatch", 12)[1:]:
        assert set(candidate.settings.optimizer) == {"lr"}
        assert 0.001 <= candidate.settings.optimizer["lr"] <= 0.01
        assert candidate.settings.config["threshold"] in (0.7, 0.8, 0.9, 0.95)
    for candidate in _candidates(_loaded(bench), "supervised", 4)[1:]:
        assert set(candidate.settings.optimizer) == {"lr"} and not candidate.settings.config


def test_draws_do_not_move_with_other_entries_or_ranges(bench: Any) -> None:
    before = [c.settings for c in _candidates(_loaded(bench), "fixmatch", 4)]

    def widen(content: dict[str, Any]) -> None:
        section = content["sections"]["embedded"]
        section["entries"].insert(0, {"label": "softmatch", "method": "softmatch"})
        section["tune"]["optimizer"]["weight_decay"] = {"choices": [0.0, 0.1]}

    after = [c.settings for c in _candidates(_loaded(bench, widen), "fixmatch", 6)][:4]
    assert [c.config for c in after] == [c.config for c in before]
    assert [c.optimizer.get("lr") for c in after] == [c.optimizer.get("lr") for c in before]
    _, section, tuning = tunable(_loaded(bench), None)
    other = section.entries[1].model_copy(update={"label": "fixmatch again"})
    assert drawn_settings(section, tuning, other, 3) != drawn_settings(section, tuning, section.entries[1], 3)


def test_ranges_of_the_suite_reach_the_methods_that_have_the_field(bench: Any) -> None:
    def ranged(content: dict[str, Any]) -> None:
        content["sections"]["embedded"]["tune"]["config"] = {"threshold": {"choices": [0.55]}}

    loaded = _loaded(bench, ranged)
    assert {c.settings.config.get("threshold") for c in _candidates(loaded, "fixmatch", 4)[1:]} == {0.55}
    assert all(not c.settings.config for c in _candidates(loaded, "supervised", 4))


def test_the_best_mean_wins_and_the_earliest_of_equals() -> None:
    assert choose([[0.5, 0.7], [0.9, 0.5], [0.6, 0.6]]) == 1
    assert choose([[0.6, 0.6], [0.5, 0.7]]) == 0
    assert choose([[0.6], [None], [0.61]]) == 2
    assert choose([[1.0, None], [0.1, 0.1]]) == 1
    assert choose([[0.0], [None]]) == 0
    assert choose([[None], [None]]) is None


def test_the_hash_of_a_search_is_of_its_trials_and_predictions() -> None:
    assert run_hash({"a": "1", "b": "2"}) == run_hash({"b": "2", "a": "1"})
    assert run_hash({"a": "1", "b": "2"}) != run_hash({"a": "1", "b": "3"})


def test_a_suite_without_a_place_to_search_is_refused(bench: Any) -> None:
    def bare(content: dict[str, Any]) -> None:
        del content["sections"]["embedded"]["tune"]

    with pytest.raises(UserError, match="has the field 'tune'"):
        tunable(_loaded(bench, bare), None)
    with pytest.raises(UserError, match="Did you mean 'embedded'"):
        tunable(_loaded(bench), "embeded")


def test_the_home_of_tuning_is_apart_from_runs(search: Any) -> None:
    search()
    assert not Path(search.bench.folder / "runs/tiny").exists()


def test_every_entry_of_the_main_suite_gets_as_many_different_configurations() -> None:
    section = load_suite("fine_grained").suite.sections["embedded"]
    assert section.tune is not None
    for entry in tune.chosen_entries(section, None):
        drawn = tune.drawn_settings(section, section.tune, entry, 7)
        assert len({each.model_dump_json() for each in drawn}) == 7
        ranges = tune.search_ranges(section, section.tune, entry)
        assert "optimizer.lr" in ranges and "dropout" in ranges
        if entry.label == "sefar":  # adaptive regulation has no threshold
            assert "threshold" not in ranges
            unmixed = entry.model_copy(update={"config": {**entry.config, "mix": "off"}})
            assert "mix_weight" in ranges
            assert "mix_weight" not in tune.search_ranges(section, section.tune, unmixed)
        if entry.label.startswith("supervised"):
            assert ranges.keys() == {"optimizer.lr", "optimizer.weight_decay", "dropout"}


def test_the_committed_search_says_how_many_clips_chose() -> None:
    tuned = load_suite("fine_grained").tuned
    assert tuned is not None
    known = {cell: len(plugins.dataset(cell.split("@")[0]).table().validation) for cell in tuned.cells}
    assert tuned.validation_clips == known


def test_choices_are_for_the_section_that_was_searched() -> None:
    """The labels of rows on real data are those of rendered ones; what is right for one optimizer is not."""
    loaded = load_suite("fine_grained")
    assert loaded.tuned is not None and loaded.tuned.section == "embedded"
    paper = loaded.suite.sections["paper"]
    assert {entry.label for entry in paper.entries} & loaded.tuned.entries.keys()
    for entry in paper.entries:
        assert loaded.tuned_entry("paper", entry.label) == TunedEntry()
    assert loaded.tuned_entry("embedded", "supervised").optimizer["lr"] != paper.protocol.optimizer.lr
    unnamed = loaded.model_copy(update={"tuned": loaded.tuned.model_copy(update={"section": None})})
    assert unnamed.tuned_in("paper") is None  # a file of before: its cells tell
    assert unnamed.tuned_in("embedded") is unnamed.tuned


def test_a_search_with_shorter_trials_does_not_become_the_suites(search: Any) -> None:
    refused = search("--limit-steps", "1")
    assert refused.status == 1 and "--to" in refused.sentence
    assert not search.file.exists() and not search.bench.executed
    assert search("--limit-steps", "1", "--to", "tried.yaml").status == 0
    assert not search.file.exists()


def test_a_search_of_another_section_is_not_written_over(search: Any) -> None:
    search()
    text = search.file.read_text(encoding="utf-8").replace("section: embedded", "section: real")
    search.file.write_text(text, encoding="utf-8")
    refused = search()
    assert refused.status == 1
    assert "holds the search of section 'real'" in refused.sentence and "--to" in refused.sentence
    assert search.file.read_text(encoding="utf-8") == text
