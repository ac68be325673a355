"""A run folder whose every name and message is hostile: no format gets markup, no file leaves the report."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import on_data, reseal, suite, write_run
from test_html import Tags
from test_latex import CHARACTERS, COMMANDS, OURS, balanced

from bench.render.report import write_report
from bench.render.stamp import FILES
from bench.store import read_json, sealed, write_json

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'> [a](javascript:x) | **b** `c` {{ 7*7 }}"
TEX = r"\write18{touch evil} \input{/etc/passwd} $x$ % & # _ ^ ~ }"
EVIL = f"{MARKUP} {TEX} --> </title></style></td>"
DATA = f"../../../evil/{EVIL}"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run in which suite, plan, records, predictions and failures are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    rival = EVIL.replace(",", "")
    loaded = suite({"supervised": "baseline", rival: "competitor", "b": "competitor"}, notes={rival: EVIL})
    loaded = on_data(loaded, DATA)
    audit = {"severity": "leak", "check": EVIL, "count": 1, "sentence": EVIL, "examples": [EVIL]}
    names = [f"{EVIL}{i}" for i in range(12)]
    plan = {"absent": {EVIL: EVIL}, "classes": {DATA: names}, "audit": {DATA: [audit]}}
    run = write_run(
        loaded, folder / "run", lambda entry, labels, seed: "failed" if entry == "b" and seed else 0.6,
        clips=60, banner=EVIL, plan=plan,
    )  # fmt: skip
    for trial in (run.path / "trials").iterdir():
        if (trial / "failed.json").is_file():
            record = {**read_json(trial / "failed.json"), "kind": EVIL, "message": EVIL}
            write_json(trial / "failed.json", sealed(record))
            continue
        table = pd.read_parquet(trial / "predictions.parquet")
        table["clip"] = EVIL + table["clip"]
        table["group"] = EVIL + table["group"]
        table.to_parquet(trial / "predictions.parquet", index=False)
        environment = dict.fromkeys(("sefar_bench", "python", "torch", "processor"), EVIL)
        plugins = dict.fromkeys(("method", "data", "backbone"), EVIL)
        unread = {"excluded": {EVIL: EVIL}, "unread": {"test": {"listed": 60, "unread": 1, "first": [EVIL]}}}
        reseal(trial, environment=environment, plugins=plugins, **unread)
    write_report(loaded, run, folder / "deep/down/report")
    return folder


def test_nothing_is_written_outside_of_the_report(rendered: Path) -> None:
    assert {path.name for path in rendered.iterdir()} == {"run", "deep"}
    assert [path.name for path in (rendered / "deep").iterdir()] == ["down"]
    assert [path.name for path in (rendered / "deep/down").iterdir()] == ["report"]
    written = {path.name for path in (rendered / "deep/down/report").iterdir()}
    assert written == {*FILES.values(), "figures", ".rendered.json"}
    figures = list((rendered / "deep/down/report/figures").iterdir())
    assert figures and all(re.fullmatch(r"[\w.@+-]+", path.name) for path in figures)


def test_html(rendered: Path) -> None:
    page = (rendered / "deep/down/report/leaderboard.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.wrong == [] and tags.open == []
    assert len([tag for tag, _ in tags.elements if tag == "script"]) == 1
    assert all(a["src"].startswith("data:") for tag, a in tags.elements if tag == "img")
    assert not any(name.startswith("on") for _, a in tags.elements for name in a)
    assert not any((a.get("href") or "").startswith("javascript") for _, a in tags.elements)
    assert "alert(1)" in tags.text and "{{ 7*7 }}" in tags.text


def test_markdown(rendered: Path) -> None:
    page = (rendered / "deep/down/report/leaderboard.md").read_text(encoding="utf-8")
    assert "no decoder reads 1 of 60 test clips" in page
    assert "alert" in page and "<img" not in page and "<script" not in page and "</td>" not in page
    assert not re.search(r"(?<!\\)\]\(javascript", page) and "**b**" not in page
    for block in re.findall(r"(?:^\|.*\n)+", page, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_latex(rendered: Path) -> None:
    text = (rendered / "deep/down/report/tables.tex").read_text(encoding="utf-8")
    body = re.sub(r"^%.*$", "", text, flags=re.M)
    assert "no decoder reads 1 of 60 test clips" in body
    assert "write18" in body and "\\write18" not in body
    assert set(COMMANDS.findall(body)) <= OURS | CHARACTERS | {"\\\\"}
    assert balanced(body) and not re.search(r"(?<!\\)%", body)


def test_figures(rendered: Path) -> None:
    for path in (rendered / "deep/down/report/figures").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text and "<img" not in text and "onerror=" not in re.sub(r">[^<]*<", "", text)


def test_tables_are_read_back_as_they_were(rendered: Path) -> None:
    folder = rendered / "deep/down/report"
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["data"] for row in rows} == {DATA} and len(rows) == 15
    json.loads((folder / "stats.json").read_text(encoding="utf-8"))
