"""Splits that travel with results, and trials that check them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.plan import read_anew
from bench.spec import TrialSpec
from bench.split_folder import check_split, keep_splits
from datasets.errors import UserError
from datasets.synthgym import SynthGymTiny
from datasets.types import ClipTable


@pytest.fixture
def specs(bench: Any) -> list[Path]:
    """Files of planned trials, with their splits beside them."""
    assert bench("plan", "--suite", bench.suite(), "--specs", "specs").status == 0
    return sorted((bench.folder / "specs").glob("*.json"))


def _spec(path: Path) -> TrialSpec:
    return TrialSpec.model_validate_json(path.read_text(encoding="utf-8"))


def test_every_planned_split_has_one_file_with_its_hash(specs: list[Path]) -> None:
    files = list((specs[0].parent / "splits").iterdir())
    hashes = {_spec(path).split_hash for path in specs}
    assert len(files) == len(hashes) == 2, "two seeds, shared by all entries"
    assert {file.read_text(encoding="utf-8").split("\n")[0].split()[-1] for file in files} == hashes
    for path in specs:
        check_split(_spec(path), path)


def test_a_trial_on_other_data_names_the_clip(
    bench: Any, specs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SynthGymTiny().table()

    def fewer(self: SynthGymTiny) -> ClipTable:
        return replace(whole, test=whole.test[1:])

    def more(self: SynthGymTiny) -> ClipTable:
        return replace(whole, test=(*whole.test, replace(whole.test[0], key="new.mp4")))

    monkeypatch.setattr(SynthGymTiny, "table", fewer)
    read_anew()
    answer = bench("trial", specs[0])
    assert answer.status == 1
    assert f"'{whole.test[0].key}' is no clip of data set 'synthgym_tiny'" in answer.sentence
    monkeypatch.setattr(SynthGymTiny, "table", more)
    sentence = bench("trial", specs[0]).sentence
    assert "'new.mp4' is test only here" in sentence and "plan again" in sentence


def test_a_split_of_another_trial_or_none_at_all(specs: list[Path]) -> None:
    spec = _spec(specs[0])
    file = next((specs[0].parent / "splits").glob(f"*{spec.split_hash[:12]}.tsv"))
    other = next(path for path in (specs[0].parent / "splits").iterdir() if path != file)
    other.replace(file)
    with pytest.raises(UserError, match="run again"):
        check_split(spec, specs[0])
    file.unlink()
    check_split(spec, specs[0])
    keep_splits([spec], specs[0].parent)
    check_split(spec, specs[0])


def test_an_id_names_small_classes_only_where_they_are_allowed(specs: list[Path]) -> None:
    spec = _spec(specs[0])
    assert "allow_empty_classes" not in spec.canonical()
    allowed = spec.model_copy(update={"allow_empty_classes": True})
    assert allowed.id != spec.id
