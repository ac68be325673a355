"""What a reader of the written report would notice."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from page_run import with_logs
from synthetic_runs import reseal, suite, write_run

from bench.render import report as report_module
from bench.render.report import write_report
from bench.store import read_json
from bench.suite import Tuned
from datasets.errors import UserError

ENTRIES = {
    "supervised": "baseline",
    "fixmatch": "competitor",
    "softmatch": "competitor",
    "full": "bound",
    "weak": "reference",
}
EQUAL = {"supervised": 0.7, "fixmatch": 0.7, "softmatch": 0.7, "full": 0.98, "weak": 0.5}
LEAD = {**EQUAL, "fixmatch": 0.82}
NOTES = {"fixmatch": "EMA teacher, aligned"}


def report(tmp_path, means=LEAD, loaded=None, formats=("md",), outcome=None, **options):
    """The page (and the folder) of a synthetic run."""
    loaded = loaded or suite(ENTRIES, notes=NOTES)
    run = write_run(loaded, tmp_path / "run", outcome or (lambda e, labels, s: means[e]), **options)
    path = write_report(loaded, run, tmp_path / "report", formats)
    return path.read_text(encoding="utf-8")


def table_row(page, entry):
    return next(line for line in page.splitlines() if line.startswith("|") and entry in line)


def test_a_clear_leader_is_named_first_bold_and_significant(tmp_path):
    page = report(tmp_path)
    said = re.search(
        r"fixmatch \(EMA teacher, aligned\) beats supervised by (\d+\.\d) points "
        r"\(95 % interval \d+\.\d to \d+\.\d, p (=|&lt;) \.\d+ after Holm over 2 tests\)",
        page.split("## Embedded")[0],
    )
    assert said and 9 < float(said[1]) < 15
    assert "**fixmatch**" in table_row(page, "fixmatch")
    assert "**softmatch**" not in page and "**supervised**" not in page
    assert "5/0/0" in table_row(page, "fixmatch") and "5 of 5" in table_row(page, "fixmatch")
    assert "No difference from supervised is shown for softmatch." in page


def test_equal_methods_are_called_indistinguishable_and_nobody_is_bold(tmp_path):
    page = report(tmp_path, EQUAL)
    top = page.split("## Embedded")[0]
    assert "No entry is distinguishable from another." in top
    assert re.search(
        r"a true difference to the baseline of \d+\.\d points would have been found with a probability", top
    )
    assert "seeds should show 5 points" in top or "seeds would show 5 points" in top
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert not any("**" in line for line in rows)
    assert table_row(page, "fixmatch").split("|")[1].strip() == "1–3"


def test_what_family_b_marks_and_family_a_does_not_is_explained(tmp_path):
    entries = {"supervised": "baseline", **{f"m{i}": "competitor" for i in range(7)}}
    means = {**dict.fromkeys(entries, 0.7), "m3": 0.745}
    page = report(tmp_path, means, loaded=suite(entries))
    assert "m3 beats supervised by 4.6 points" in page and "| **supervised** " in page
    assert re.search(
        r"Family A, all 28 pairs, is stricter than family B: m3 against supervised has p = \.\d+ there, so "
        r"their ranks and groups do not tell them apart\.", page,
    )  # fmt: skip
    assert "is stricter than family B" not in report(tmp_path / "clear")


def test_fewer_than_three_seeds_are_insufficient(tmp_path):
    page = report(tmp_path, loaded=suite(ENTRIES, seeds="0-1"))
    assert page.count("Insufficient seeds: the entries have 2 finished seeds in common") == 2
    assert "beats" not in page.split("## How to read")[0] and "**fixmatch**" not in page


def test_failed_diverged_and_missing_trials_are_listed_with_their_cause(tmp_path):
    special = {("softmatch", 0): "diverged", ("fixmatch", 4): "failed", ("supervised", 3): "missing"}
    page = report(tmp_path, outcome=lambda e, labels, s: special.get((e, s), LEAD[e]))
    assert "softmatch, seed 0: diverged, which is an outcome and is scored at chance level" in page
    assert "fixmatch, seed 4: no result (exception: a worker was lost)." in page
    assert "supervised, seed 3: no result (not run yet)." in page
    assert "Compared are the seeds that all ranked entries have finished (0–2)" in page
    assert "5 of 5, 1 diverged" in table_row(page, "softmatch")
    assert "4 of 5" in table_row(page, "fixmatch")


def test_a_test_protocol_of_several_looks_is_in_the_small_print(tmp_path):
    loaded = suite(ENTRIES)
    section = loaded.suite.sections["embedded"]
    looks = section.protocol.evaluation.model_copy(update={"views": 2, "crops": 3})
    section = section.model_copy(
        update={"protocol": section.protocol.model_copy(update={"evaluation": looks})}
    )
    made = loaded.suite.model_copy(update={"sections": {"embedded": section}})
    page = report(tmp_path, loaded=loaded.model_copy(update={"suite": made}))
    assert (
        "2 draws of frames (the first one deterministic) x 3 crops of a clip, probabilities averaged." in page
    )


@pytest.mark.parametrize("frames", [8, 16])
def test_rows_that_show_more_frames_than_others_are_named(tmp_path, frames):
    loaded = suite(ENTRIES, notes=NOTES)
    run = write_run(loaded, tmp_path / "run", lambda entry, labels, seed: LEAD[entry])
    for trial in (run.path / "trials").iterdir():
        mine = frames if read_json(trial / "spec.json")["config"]["form"] == "fixmatch" else 8
        reseal(trial, step_cost={"clips_forward": 40.0, "frames_forward": 40 * mine})
    page = write_report(loaded, run, tmp_path / "report", ("md",)).read_text(encoding="utf-8")
    assert ("equally many frames of a clip: most 8, fixmatch 16." in page) == (frames == 16)
    other = "; fixmatch: 16 of a clip in a view, over all levels" if frames == 16 else ""
    assert f"- **Frames:** 8 of a clip in a view, over all levels{other}.\n" in page


def test_limited_trials_are_barred_in_words(tmp_path):
    page = report(tmp_path, limited=True, formats=("md", "csv"))
    assert "25 finished trials are barred from this board: each ran with fewer steps" in page
    assert "barred from the boards" in page.split("## Embedded")[0]
    assert "**fixmatch**" not in page and "| rank" not in page
    assert "**Code:**" not in page and "**Hardware:**" not in page, "there is none whose numbers are shown"
    rows = list(csv.DictReader((tmp_path / "report/results.csv").open(encoding="utf-8")))
    assert {row["status"] for row in rows} == {"limited"}


def test_two_label_budgets_share_a_summary_and_a_figure(tmp_path, real_figures, monkeypatch):
    for name in ("tight_box", "as_bytes"):  # names alone count
        monkeypatch.setattr(f"bench.render.figures.canvas.{name}", lambda *arguments: b"")
    page = report(
        tmp_path,
        loaded=suite(ENTRIES, labels=("2", "4")),
        outcome=lambda e, labels, s: 0.7 if e == "fixmatch" and labels == "4" else LEAD[e],
    )
    summary = page.split("difference to the baseline at each label budget")[1].split("\n\n")[1]
    assert "2 labels per class" in summary.splitlines()[0]
    assert re.search(r"\| fixmatch +\| \+1\d\.\d \\\* +\| [-+]?\d\.\d +\|", summary)
    figures = {path.name for path in (tmp_path / "report/figures").iterdir()}
    assert "embedded-gymlike-accuracy.png" in figures
    assert "embedded-gymlike-4-differences.svg" in figures


def test_a_published_label_list_is_conditional_and_in_no_summary(tmp_path):
    page = report(tmp_path, loaded=suite(ENTRIES, labels=("2", "list")))
    assert page.count("This board is conditional on this label draw") == 1
    assert "at each label budget" not in page


def test_leaks_flaws_and_notes_of_the_data_are_said_in_words(tmp_path):
    loaded = suite(ENTRIES)
    run = write_run(loaded, tmp_path / "run", lambda e, labels, s: LEAD[e])
    assert "Leak in" not in write_report(loaded, run, tmp_path / "report", ("md",)).read_text("utf-8")
    plan = json.loads((run.path / "plan.json").read_text("utf-8"))
    plan["audit"] = {
        "gymlike": [
            {"severity": s, "check": s, "count": 2, "sentence": f"2 clips are {s}s", "examples": ["a"]}
            for s in ("leak", "flaw", "note")
        ],
        "other": [{"severity": "leak", "check": "x", "count": 1, "sentence": "none here", "examples": []}],
    }
    pages = tmp_path / "report"
    for accepted, consent in (
        (["gymlike"], "accepted for this run"),
        (["other"], "which nobody is known to have accepted"),
    ):
        (run.path / "plan.json").write_text(json.dumps({**plan, "accepted": accepted}), "utf-8")
        write_report(loaded, run, pages, ("md", "html", "latex"))
        for name in ("leaderboard.md", "leaderboard.html", "tables.tex"):
            text = (pages / name).read_text("utf-8")
            assert f"Leak in gymlike, {consent}: 2 clips are leaks." in text, name
            assert "Flaw of gymlike: 2 clips are flaws." in text, name
            assert "Note on gymlike: 2 clips are notes." in text, name
            assert "none here" not in text


def test_every_linked_figure_exists_and_is_what_it_says(tmp_path, real_figures):
    page = report(tmp_path)
    links = re.findall(r"\((figures/[^)]+)\)", page)
    kinds = ("accuracy", "differences", "to-best", "pairs", "groups", "compute", "confusion")
    name = "figures/embedded-gymlike-2"
    assert links == [f"{name}-{kind}.{end}" for kind in kinds for end in ("png", "svg")]
    assert {path.name for path in (tmp_path / "report/figures").iterdir()} == {Path(n).name for n in links}
    for link in links:
        content = (tmp_path / "report" / link).read_bytes()
        if link.endswith(".png"):
            assert content.startswith(b"\x89PNG")
        else:
            ET.fromstring(content)
            assert b"<dc:date>" not in content


def test_the_same_run_gives_the_same_bytes(tmp_path, real_figures):
    loaded = suite({"supervised": "baseline", "fixmatch": "competitor", "softmatch": "competitor"})
    run = write_run(loaded, tmp_path / "run", lambda e, labels, s: LEAD[e], clips=120)
    with_logs(run)

    def digests(to):
        write_report(loaded, run, to)
        files = sorted(path for path in to.rglob("*") if path.is_file())
        return {str(p.relative_to(to)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    first = digests(tmp_path / "one")
    assert len(first) == 5 + 2 * 9 + 1 and first == digests(tmp_path / "two")


def test_figures_of_an_earlier_report_go_and_other_files_stay(tmp_path):
    old, other = (
        tmp_path / "out" / "figures" / name for name in ("embedded-gymlike-9-accuracy.png", "my.png")
    )
    old.parent.mkdir(parents=True)
    for path in (old, other):
        path.write_bytes(b"x")
    loaded = suite({"supervised": "baseline", "fixmatch": "competitor"})
    run = write_run(loaded, tmp_path / "run", lambda e, labels, s: LEAD[e], clips=60)
    write_report(loaded, run, tmp_path / "out", ("md",))
    assert other.exists() and not old.exists() and len(list(old.parent.glob("*.svg"))) == 2


def test_labels_cannot_inject_markup(tmp_path):
    evil = "<img src=x onerror=alert(1)> | **b** [a](http://x.y) $x$ `c`"
    loaded = suite(
        {"supervised": "baseline", evil: "competitor"}, notes={evil: "</td><script>"}, title="# *T* <b>"
    )
    page = report(tmp_path, loaded=loaded, outcome=lambda e, labels, s: 0.7, banner="<script>x</script>")
    assert "<img" not in page and "<script" not in page and "<b>" not in page and "</td>" not in page
    assert not re.search(r"(?<!\\)\]\(http", page) and "**b**" not in page
    header, rule, *rows = [line for line in page.splitlines() if line.startswith("|")][:4]
    columns = len(re.findall(r"(?<!\\)\|", header))
    assert all(len(re.findall(r"(?<!\\)\|", line)) == columns for line in (rule, *rows))


def test_entries_without_a_seed_in_common_are_no_empty_board(tmp_path):
    def sittings(entry, labels, seed):
        late = entry == "softmatch"
        return 0.6 if entry == "supervised" else "missing" if late == (seed < 3) else 0.8

    page = report(tmp_path, outcome=sittings, loaded=suite(ENTRIES, seeds="0-5"))
    assert "No result yet" not in page
    assert "No claim: the entries have no finished seed in common" in page
    assert "fixmatch has 0–2; softmatch has 3–5" in page and "Run all of them on the same seeds" in page


def test_seeds_that_are_not_compared_are_said(tmp_path):
    def short(entry, labels, seed):
        return "missing" if entry == "softmatch" and seed > 2 else 0.7

    page = report(tmp_path, outcome=short, loaded=suite(ENTRIES, seeds="0-5"))
    assert "6 of 6, 3 compared" in table_row(page, "fixmatch")
    assert "compared" not in table_row(page, "softmatch")


def test_tuning_is_printed_with_its_effort_and_its_gaps(tmp_path):
    tuned = Tuned(
        suite="tiny", configurations=12, seeds="100-101", cells=("gymlike@2",), run_hash="0123abcd",
        validation_clips={"gymlike@2": 240},
        entries={"supervised": {"optimizer": {"lr": 0.01}}, "fixmatch": {"config": {"threshold": 0.9}}},
    )  # fmt: skip
    page = report(tmp_path, loaded=suite(ENTRIES, tuned=tuned))
    assert "tuned: 12 configurations each, on validation clips of gymlike (2 labels per class)" in page
    assert "with seeds 100-101, which no board uses" in page
    assert "chose, on 2 seeds: 240 beside 24 labels on gymlike (2 labels per class). " in page
    assert "Oliver et al." in page and "compute is not: the time of each is in the tables." in page
    assert "0123abcd" in page and "Not tuned, so not of equal effort: softmatch." in page
    details = page.split("How each row was measured")[1]
    assert "12 configurations (threshold)" in table_row(details, "fixmatch")
    assert "not tuned" in table_row(details, "softmatch")
    assert "no entry was tuned" in report(tmp_path / "untuned")
    again = tuned.model_copy(update={"seeds": "1-2"})
    assert "with seeds 1-2, of which the boards use 1 and 2, too" in report(
        tmp_path / "again", loaded=suite(ENTRIES, tuned=again)
    )
    elsewhere = tuned.model_copy(update={"section": "another"})
    assert "no entry was tuned" in report(tmp_path / "else", loaded=suite(ENTRIES, tuned=elsewhere))


def test_the_small_print_says_what_was_run(tmp_path):
    page = report(tmp_path, banner=["embedded data only"], plan={"absent": {"gym99": "bench data add gym99"}})
    for text in (
        "> **Note:** embedded data only",
        "Data set gym99 was not on this machine; add it with: bench data add gym99",
        "B 2 tests, A 3 tests",
        "α = 0.05. Correction: Holm",
        "**Checkpoint:** the final step.",
        "average of the weights (EMA, decay 0.98)",
        "**Test views:** one deterministic view of a clip.",
        "**Labeled augmentation:** “strong”",
        "**Steps:** 600.",
        "8 labeled + 16 unlabeled clips",
        "torch 2.6.0",
        "code-fixmatch (fixmatch)",
        "**Seeds:** 0–4.",
        "240 of 240",
        "32 s CPU (clock)",
    ):
        assert text in page, text
    assert "Warning" not in page


def test_one_method_run_by_two_versions_of_the_code_is_a_warning(tmp_path):
    page = report(tmp_path, code_hash=lambda method, seed: f"code{seed > 2}-{method}")
    assert re.search(r"Warning: trials of fixmatch on shiftnet, .* by different versions of the code", page)
    assert page.count("Read the warning below its table first") == 1


def test_results_csv_has_a_row_per_trial_and_costs_apart(tmp_path):
    outcome = lambda e, labels, s: "diverged" if (e, s) == ("softmatch", 1) else LEAD[e]  # noqa: E731
    text = report(tmp_path, formats=("csv",), outcome=outcome)
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 25
    keys = [(r["section"], r["data"], r["labels"], r["entry"], int(r["seed"])) for r in rows]
    assert keys == sorted(keys)
    sick = next(r for r in rows if r["status"] == "diverged")
    assert (sick["top1"], sick["nll"], sick["train_seconds"]) == ("0.083333", "", "")
    one = next(r for r in rows if r["entry"] == "fixmatch")
    assert one["role"] == "competitor" and one["listed"] == "240" and one["train_seconds"] == "30.250"
    assert re.fullmatch(r"0\.\d{6}", one["top1"])


def test_stats_json_holds_every_test(tmp_path):
    value = json.loads(report(tmp_path, formats=("json",)))
    (board,) = value["boards"]
    assert [test["family"] for test in board["tests"]] == ["B", "B", "A", "A", "A"]
    lead = next(t for t in board["tests"] if t["family"] == "B" and t["a"] == "fixmatch")
    assert lead["b"] == "supervised" and lead["low"] < lead["estimate"] < lead["high"]
    assert lead["adjusted_p"] >= lead["p"] and lead["se"] > 0 and lead["df"] > 0


def test_nothing_finished_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no trial is finished yet"):
        report(tmp_path, outcome=lambda e, labels, s: "failed")
    assert not (tmp_path / "report").exists()


def test_an_unknown_format_offers_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"no format 'mdx'\. Did you mean 'md'"):
        report(tmp_path, formats=("mdx",))


def test_only_the_figures_load_matplotlib():
    for path in Path(report_module.__file__).parent.glob("*.py"):
        if path.name == "pictures.py":
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        text = " ".join(ast.unparse(node) for node in imports)
        assert not re.search(r"matplotlib|seaborn|figures|pictures", text), path
