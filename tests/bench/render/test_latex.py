"""tables.tex: booktabs, and closed to what names could smuggle in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_run import make_run
from synthetic_runs import suite

from bench.render.latex import cell, escape
from bench.render.report import write_report

COMMANDS = re.compile(r"\\[A-Za-z]+|\\.")
OURS = {
    "\\toprule", "\\midrule", "\\bottomrule", "\\begin", "\\end", "\\centering", "\\caption", "\\label",
    "\\par", "\\medskip", "\\textbf",
}  # fmt: skip
CHARACTERS = {
    "\\textbackslash", "\\{", "\\}", "\\$", "\\&", "\\#", "\\%", "\\_", "\\textasciicircum",
    "\\textasciitilde", "\\textless", "\\textgreater", "\\textbar", "\\textquotedbl", "\\textasciigrave",
    "\\textquotesingle", "\\ldots", "\\pm", "\\times", "\\leq", "\\geq", "\\alpha", "\\lambda", "\\tau",
}  # fmt: skip
EVIL = r"\input{/etc/passwd} $x^2$ a&b \\ [1ex] % # _ ~ {} \end{tabular} ` "


def balanced(text):
    depth = 0
    for mark in re.findall(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        assert depth >= 0, text
    return depth == 0


def tex(tmp_path, loaded=None, **options):
    loaded, run = make_run(tmp_path / "run", loaded, **options)
    path = write_report(loaded, run, tmp_path / "report", ("latex",))
    assert path.name == "tables.tex"
    return path.read_text(encoding="utf-8")


def test_a_table_per_board_with_its_verdict(tmp_path):
    text = tex(tmp_path)
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 2
    assert text.count("\\toprule") == text.count("\\bottomrule") == 2 * 3  # board, bound, reference
    assert "\\textbf{fixmatch} &" in text and "\\textbf{softmatch}" not in text
    assert re.search(r"fixmatch \(EMA teacher, aligned\) beats supervised by \d+\.\d points", text)
    assert "booktabs" in text and balanced(re.sub(r"^%.*$", "", text, flags=re.M))
    for block in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL):
        columns = len(re.match(r"\\begin\{tabular\}\{([lr]+)\}", block)[1])
        rows = [line for line in block.splitlines() if line.endswith(r"\\")]
        assert len(rows) >= 2
        assert all(len(re.findall(r"(?<!\\)&", row)) == columns - 1 for row in rows)


def test_a_name_cannot_become_a_command(tmp_path):
    entries = {"supervised": "baseline", EVIL.replace(",", ""): "competitor", "c": "competitor"}
    text = tex(tmp_path, suite(entries, notes={EVIL: EVIL}, title=EVIL), banner=EVIL)
    body = re.sub(r"^%.*$", "", text, flags=re.M)
    assert set(COMMANDS.findall(body)) <= OURS | CHARACTERS | {"\\\\"}
    assert text.count("\\end{tabular}") == text.count("\\begin{tabular}")
    assert "[1ex]" not in text and "{[}1ex{]}" in text and balanced(body)
    assert not re.search(r"(?<!\\)%", body)


def test_numbers_and_dashes():
    assert cell("-2.2 (-4.4 to 0.1)") == "$-$2.2 ($-$4.4 to 0.1)"
    assert cell("-3.4 (-6.4 to -0.4)") == "$-$3.4 ($-$6.4 to $-$0.4)"  # with its spaces
    assert cell("1–3") == "1--3" and cell("–") == "--" and cell("< .001") == "\\textless{} .001"
    assert cell("fixmatch-2") == "fixmatch{-}2"


@given(st.text())
def test_escaped_text_has_no_command_but_those_of_characters(text):
    shown = escape(text)
    assert "\n" not in shown and balanced(shown)
    assert set(COMMANDS.findall(shown)) <= CHARACTERS
    plain = re.sub(r"\\.", "", shown)
    assert not set("&#%_^~[]") & set(re.sub(r"\{[\[\]]\}", "", plain))
    assert plain.count("$") % 2 == 0


def test_it_compiles(tmp_path):
    program = shutil.which("pdflatex")
    if program is None:
        assert not os.environ.get("CI"), "pdflatex is missing: install texlive-latex-recommended, see .ci/run"
        pytest.skip("pdflatex is not installed: tables.tex was NOT compiled")
    entries = {
        "supervised": "baseline",
        EVIL.replace(",", ""): "competitor",
        "µ – ‘é’ ≤ α ± 5 %": "competitor",
    }
    text = tex(tmp_path, suite(entries, notes={EVIL: EVIL}, title=EVIL), banner=EVIL)
    head = (
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{textcomp,booktabs}\\begin{document}\n"
    )
    (tmp_path / "page.tex").write_text(f"{head}{text}\n\\end{{document}}\n", encoding="utf-8")
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").is_file()
