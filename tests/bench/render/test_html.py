"""The HTML page as text: complete without a script, closed to what records could smuggle in."""

from __future__ import annotations

import base64
import hashlib
import html as html_module
import re
from html.parser import HTMLParser

import pytest
from page_run import ENTRIES, make_run, with_logs
from synthetic_runs import suite

from bench.render.columns import EXPLAINED
from bench.render.html.cells import sort_key
from bench.render.report import write_report

VOID = {"meta", "link", "input", "img", "br", "hr"}


class Tags(HTMLParser):
    """Every element with its attributes, the text outside of style and script, and unbalanced tags."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open, self.wrong = [], "", [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


def page_of(folder, loaded, run, formats=("html",)):
    return write_report(loaded, run, folder, formats).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    loaded, run = make_run(folder / "run")
    return page_of(folder / "report", loaded, run)


def test_the_page_is_one_well_formed_file_that_asks_for_nothing(page):
    tags = Tags(page)
    assert tags.wrong == [] and tags.open == []
    for tag, attributes in tags.elements:
        assert tag not in ("iframe", "object", "embed", "base")
        for name in ("src", "href", "action"):
            assert attributes.get(name, "data:").startswith(("data:", "#")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style


def test_only_our_own_script_may_run(page):
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in Tags(page).elements if a.get("http-equiv"))
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


def test_every_header_is_explained_on_the_page(page):
    elements = Tags(page).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    asked = {a["aria-describedby"] for tag, a in elements if tag == "button" and "aria-describedby" in a}
    assert len(asked) > 15 and asked <= set(ids)
    assert asked <= {f"col-{key}" for key in EXPLAINED}


def test_what_the_page_shows_without_a_script(page):
    text = " ".join(Tags(page).text.split())
    for expected in (
        "fixmatch (EMA teacher, aligned) beats supervised by",
        "Class by class",
        "backward piked",
        "Confusion matrices",
        "Training curves",
        "share of used pseudo-labels that are right, %",
        "Bound: all training clips labeled",
        "How to read the columns",
        "Holm within each family",
    ):
        assert expected in text, expected
    assert page.count('class="panel"') == 2 * len(ENTRIES)
    pictures = [a for tag, a in Tags(page).elements if tag == "img"]
    assert len(pictures) == 4 and all(a["alt"] for a in pictures)
    first = base64.b64decode(pictures[0]["src"].split(",")[1])
    assert first.startswith(b"<?xml") and b"<svg" in first


EVIL = "<img src=x onerror=alert(1)> \"'><script>alert(2)</script> {{ 7*7 }} </title></style>"


def test_nothing_from_records_becomes_markup(tmp_path):
    entries = {"supervised": "baseline", EVIL.replace(",", ""): "competitor", "b": "competitor"}
    loaded = suite(entries, notes={EVIL: EVIL}, title=EVIL)
    loaded, run = make_run(
        tmp_path / "run", loaded, banner=EVIL, classes=[f"{EVIL}{i}" for i in range(12)], absent={EVIL: EVIL}
    )
    page = page_of(tmp_path / "report", loaded, run)
    tags = Tags(page)
    assert tags.wrong == [] and tags.open == []
    assert len([tag for tag, _ in tags.elements if tag == "script"]) == 1
    assert all(a["src"].startswith("data:") for tag, a in tags.elements if tag == "img")
    assert "alert(1)" in tags.text and "{{ 7*7 }}" in tags.text
    assert html_module.escape(EVIL, quote=False).split()[0] in page


def test_a_task_with_many_classes_lists_the_frequent_confusions(tmp_path):
    loaded, run = make_run(tmp_path / "run", classes=[f"element {i}" for i in range(30)], number=30)
    page = page_of(tmp_path / "report", loaded, run)
    assert re.search(r"<td>element \d+</td><td>element \d+</td><td class=\"number\">\d+\.\d %</td>", page)
    assert "element 3" in page and 'class="confusion"' not in page


def test_a_run_without_logs_has_no_curves(tmp_path):
    loaded, run = make_run(tmp_path / "run", logs=False)
    page = page_of(tmp_path / "report", loaded, run)
    assert "Training curves" not in page and "Confusion matrices" in page


def test_the_same_run_gives_the_same_bytes(tmp_path):
    loaded, run = make_run(tmp_path / "run")
    formats = ("html", "latex")
    for name in ("one", "two"):
        write_report(loaded, run, tmp_path / name, formats)
    for file in ("leaderboard.html", "tables.tex"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("58.9 (54.3 to 63.5)", "58.9"),
        ("-2.2 (-4.4 to -0.1)", "-2.2"),
        ("+3.6", "3.6"),
        (".063", "0.063"),
        ("1", "1"),
        ("1–3", "1"),
        ("8/0/2", "8"),
        ("10 of 10, 1 diverged", "10"),
        ("1,234 of 1,240", "1234"),
        ("53 s CPU", "53"),
        ("8.9 min CPU", "534"),
        ("1.5 h GPU", "5400"),
        ("best", "0"),
        ("baseline, 55.3 %", "0"),
        ("–", ""),
        ("not tuned", ""),
        ("fixmatch", ""),
    ],
)
def test_cells_are_sorted_by_what_they_say(text, key):
    assert sort_key(text) == key


def test_a_p_below_the_printed_ones_sorts_first():
    assert float(sort_key("< .001")) < float(sort_key(".001"))


def test_with_logs_writes_what_a_trial_would(tmp_path):
    _, run = make_run(tmp_path / "run", logs=False)
    with_logs(run)
    trials = 2 * 5 * (len(ENTRIES) - 1) + 5  # the bound is one trial on both boards
    assert len(list(run.path.glob("trials/*/metrics.jsonl"))) == trials
