"""Suites: seeds, checks, and the places that errors name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.suite import SUITES, Suite, Tuned, TunedEntry, load_suite, parse_seeds, suite_names
from datasets.errors import UserError


@given(st.lists(st.integers(0, 500), unique=True, min_size=1, max_size=12))
def test_seeds_written_one_by_one_are_read_back(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == tuple(seeds)


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_range_has_both_ends(low: int, more: int) -> None:
    assert parse_seeds(f"{low}-{low + more}") == tuple(range(low, low + more + 1))


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,,2", "3-1", "0-2,1", "1.5", "²"])
def test_other_texts_are_no_seeds(text: str) -> None:
    with pytest.raises(ValueError):
        parse_seeds(text)


@pytest.mark.parametrize("name", suite_names())
def test_the_suites_of_the_package_load(name: str) -> None:
    assert load_suite(name).suite.name == name


def _write(folder: Path, change: Any) -> Path:
    content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
    change(content, content["sections"]["embedded"])
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_tuned_settings_are_found_beside_the_suite(tmp_path: Path) -> None:
    path = _write(tmp_path, lambda content, section: content.update(tuned="own.tuned.yaml"))
    assert load_suite(str(path)).tuned is None
    tuned = Tuned(
        suite="smoke",
        configurations=3,
        seeds="100",
        cells=("synthgym_tiny@2",),
        run_hash="0" * 16,
        entries={"fixmatch": TunedEntry(config={"threshold": 0.7})},
    )
    text = yaml.safe_dump(tuned.model_dump(mode="json"))
    (tmp_path / "own.tuned.yaml").write_text(text, encoding="utf-8")
    loaded = load_suite(str(path))
    assert loaded.tuned_entry("embedded", "fixmatch").config == {"threshold": 0.7}
    assert loaded.tuned_entry("embedded", "supervised") == TunedEntry()
    (tmp_path / "own.tuned.yaml").write_text(text.replace("run_hash", "run_hsh"), encoding="utf-8")
    with pytest.raises(UserError, match=r"own\.tuned\.yaml:\d+: .*Did you mean 'run_hash'"):
        load_suite(str(path))


def _entry(section: dict[str, Any], **fields: Any) -> None:
    section["entries"].append({"label": "more", "method": "fixmatch", **fields})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, s: s["entries"].append(dict(s["entries"][1])), "two entries are labeled 'fixmatch'"),
        (lambda c, s: _entry(s, role="baseline"), "exactly one entry"),
        (lambda c, s: s["protocol"]["augmentations"].pop("weak"), "lacks 'weak'"),
        (lambda c, s: _entry(s, role="reference", labeled_augmentation="wild"), "names no augmentation"),
        (lambda c, s: _entry(s, labeled_augmentation="weak"), "unfair"),
        (lambda c, s: s["tune"].update(cells=["synthgym@9"]), "'synthgym@9' is no task"),
        (lambda c, s: s.update(quick={"cells": ["synthgym_tiny@2"], "seeds": "0", "entries": ["x"]}), "'x'"),
        (lambda c, s: s["tune"]["optimizer"].update(lr={"low": 1.0}), "'choices' or both"),
        (lambda c, s: s["tasks"][0].update(labels=["4%%"]), "labels"),
        (lambda c, s: s["tasks"][0].update(labels=["500%"]), "labels"),
        (lambda c, s: s["tasks"][0].update(labels=["0%"]), "labels"),
        (lambda c, s: s["protocol"]["augmentations"]["weak"].update(scael=1), "scael"),
    ],
)
def test_inconsistent_suites_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = _write(tmp_path, change)
    with pytest.raises(UserError, match=r"own\.yaml:\d+: ") as caught:
        load_suite(str(path))
    assert message in str(caught.value)


def test_a_reference_may_have_its_own_labeled_augmentation(tmp_path: Path) -> None:
    path = _write(tmp_path, lambda c, s: _entry(s, role="reference", labeled_augmentation="weak"))
    suite: Suite = load_suite(str(path)).suite
    assert suite.sections["embedded"].entries[-1].labeled_augmentation == "weak"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../elsewhere"),
        ("name", "a/../b"),
        ("name", "/a"),
        ("name", ".."),
        ("name", ""),
        ("name", "-rf"),
        ("tuned", "../fine_grained.tuned.yaml"),
        ("tuned", "/etc/tuned.yaml"),
        ("tuned", ".."),
        ("sections", "a/b"),
    ],
)
def test_names_that_would_leave_the_run_folder_are_refused(tmp_path: Path, field: str, value: str) -> None:
    def change(content: dict[str, Any], section: dict[str, Any]) -> None:
        content[field] = {value: section} if field == "sections" else value

    path = _write(tmp_path, change)
    with pytest.raises(UserError, match=rf"own\.yaml:\d+: field '{field}"):
        load_suite(str(path))
