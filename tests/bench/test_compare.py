"""Head to head: the pair alone, from records whose correctness is chosen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import yaml
from synthetic_runs import on_data, suite, write_run

from bench import cli
from bench.compare import head_to_head, over_data_sets, shared_cells
from bench.records import load_run
from bench.stats import two_way_paired_t
from datasets.errors import UserError

ENTRIES = {"supervised": "baseline", "fixmatch": "competitor", "softmatch": "competitor", "full": "bound"}
MEANS = {"supervised": 0.60, "fixmatch": 0.75, "softmatch": 0.61, "full": 0.98}
LOADED = suite(ENTRIES)


def records_of(tmp_path, outcome=None, loaded=LOADED, **options):
    made = write_run(loaded, tmp_path / "tiny", outcome or (lambda e, labels, s: MEANS[e]), **options)
    return load_run(made).records


def pair(records, a="fixmatch", b="supervised", **options):
    ((mine, theirs),) = shared_cells(records, a, b).values()
    return head_to_head(mine, theirs, LOADED.suite, **options)


def test_the_test_is_the_two_way_paired_t_of_the_pair(tmp_path):
    records = records_of(tmp_path)
    by = {(r.planned.entry, r.planned.seed): r.correct for r in records}
    expected = two_way_paired_t(
        np.stack([by["fixmatch", s] for s in range(5)]), np.stack([by["supervised", s] for s in range(5)])
    )
    found = pair(records)
    assert found.difference == expected and found.significant
    assert found.record == (5, 0, 0) and found.superiority == 1.0
    assert found.more_seeds == 0
    assert 0 < found.detectable < found.difference.estimate


def test_it_does_not_depend_on_the_other_methods(tmp_path):
    records = records_of(tmp_path)
    alone = [r for r in records if r.planned.entry in ("fixmatch", "supervised")]
    one, two = pair(records), pair(alone)
    for field in dataclasses.fields(one):
        if field.name not in ("scored", "suite"):
            assert getattr(one, field.name) == getattr(two, field.name), field.name


def test_swapping_the_two_flips_everything_that_has_a_side(tmp_path):
    records = records_of(tmp_path)
    one, two = pair(records), pair(records, "supervised", "fixmatch")
    assert one.difference.estimate == pytest.approx(-two.difference.estimate)
    assert one.difference.p == pytest.approx(two.difference.p)
    assert (one.difference.low, one.difference.high) == pytest.approx(
        (-two.difference.high, -two.difference.low)
    )
    assert one.record == two.record[::-1] and one.superiority == pytest.approx(1 - two.superiority)
    assert [c.clip for c in one.only_a] == [c.clip for c in two.only_b]
    assert one.shares == two.shares[::-1]
    assert [(c.label, c.a, c.b) for c in one.classes] == [(c.label, c.b, c.a) for c in two.classes]


def test_classes_and_clips_are_counted_over_the_shared_seeds(tmp_path):
    records = records_of(tmp_path, lambda e, b, s: "missing" if (e, s) == ("fixmatch", 4) else MEANS[e])
    found = pair(records)
    assert found.seeds == (0, 1, 2, 3)
    by = {(r.planned.entry, r.planned.seed): r for r in records}
    clips = by["fixmatch", 0].scored.clips
    first = found.only_a[0]
    place = clips.index(first.clip)
    assert first.a == sum(bool(by["fixmatch", s].correct[place]) for s in range(4))
    assert first.b == sum(bool(by["supervised", s].correct[place]) for s in range(4))
    assert first.a > first.b and found.only_b[0].b > found.only_b[0].a
    gaps = [abs(c.a - c.b) for c in found.classes]
    assert gaps == sorted(gaps, reverse=True) and sum(c.clips for c in found.classes) == 240
    worst = found.classes[0]
    mine = by["fixmatch", 0].scored.labels == worst.label
    assert worst.a == pytest.approx(np.mean([by["fixmatch", s].correct[mine].mean() for s in range(4)]))
    assert found.sensitivity.one_sided == (4,)
    assert "fixmatch, seed 4: no result (not run yet)." in found.cautions


def test_equal_methods_need_more_seeds_and_two_seeds_claim_nothing(tmp_path):
    records = records_of(tmp_path / "a", clips=600)
    found = pair(records, "softmatch", "supervised")
    assert not found.significant and (found.more_seeds is None or found.more_seeds > 0)
    few = pair([r for r in records if r.planned.seed < 2])
    assert not few.tested and few.detectable is None and few.equivalent is None


def test_mean_per_class_uses_the_class_weights(tmp_path):
    records = records_of(tmp_path, clips=250)
    found = pair(records, measure="mean_class")
    mine = [r.metrics["mean_class"] for r in records if r.planned.entry == "fixmatch"]
    assert list(found.scores_a.values()) == pytest.approx(mine)
    assert found.difference.estimate != pytest.approx(pair(records).difference.estimate, abs=1e-6)


def test_bounds_diverged_trials_and_code_versions_are_cautions(tmp_path):
    records = records_of(
        tmp_path,
        lambda e, b, s: "diverged" if (e, s) == ("softmatch", 2) else MEANS[e],
        code_hash=lambda method, seed: f"code{seed > 2}-{method}",
    )
    found = pair(records, "softmatch", "full")
    text = " ".join(found.cautions)
    assert "full is a bound: it has all labels" in text
    assert "softmatch, seed 2: diverged, scored at chance level." in text
    assert "were run by different versions of the code" in text
    assert found.scores_a[2] == pytest.approx(1 / 12)
    assert found.sensitivity.without_diverged.n_seeds == 4


def test_a_protocol_that_differs_is_said(tmp_path):
    records = list(records_of(tmp_path))
    spec = records[0].spec
    longer = spec.model_copy(update={"protocol": spec.protocol.model_copy(update={"steps": 900})})
    planned = records[0].planned.model_copy(update={"spec": longer})
    records[0] = dataclasses.replace(records[0], planned=planned)
    (said,) = pair(records).cautions
    assert said.startswith("Warning: trials of different protocols: 'steps' is 600 (fixmatch) but 900")


def test_several_data_sets_have_a_mean(tmp_path):
    loaded = on_data(LOADED, "one", "two", labels=("2", "4"))
    records = records_of(tmp_path, loaded=loaded)
    cells = shared_cells(records, "fixmatch", "supervised")
    assert len(cells) == 4
    found = over_data_sets(cells, loaded.suite)
    one = found.cells[0].difference
    # All four cells have the same answers: averaging budgets changes nothing, two data sets halve V.
    assert found.overall.estimate == pytest.approx(one.estimate)
    assert found.overall.se == pytest.approx(one.se / np.sqrt(2))
    assert list(shared_cells(records, "fixmatch", "supervised", data="two", labels="4")) == [
        ("embedded", "two@4")
    ]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("fixmach", "supervised"), {}, r"compare: there is no entry 'fixmach'\. Did you mean 'fixmatch'"),
        (("fixmatch", "fixmatch"), {}, "cannot be compared with itself"),
        (("fixmatch", "softmatch"), {"data": "gymlik"}, r"--dataset: there is no data set 'gymlik'"),
        (("fixmatch", "softmatch"), {"labels": "5%"}, r"--fraction: there is no label budget '5%'.*Known: 2"),
        (("fixmatch", "softmatch"), {"section": "paper"}, "--section: there is no section 'paper'"),
    ],
)
def test_what_does_not_exist_is_named(tmp_path, names, options, message):
    records = records_of(tmp_path, clips=24)
    with pytest.raises(UserError, match=message):
        shared_cells(records, *names, **options)


def test_no_seed_in_common_and_limited_trials_say_what_to_do(tmp_path):
    records = records_of(tmp_path / "a", lambda e, b, s: "missing" if e == "fixmatch" else 0.5, clips=24)
    with pytest.raises(UserError, match="no finished seed in common on gymlike@2; run them first"):
        pair(records)
    with pytest.raises(UserError, match="a finished trial ran with fewer steps"):
        pair(records_of(tmp_path / "b", clips=24, limited=True))


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """The command line on a written run; the suite comes from a file."""
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(LOADED.suite.model_dump(mode="json")), encoding="utf-8")

    def run(*arguments):
        capsys.readouterr()
        status = cli.invoke(["compare", *arguments, "--suite", str(path), "--out", str(tmp_path)])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_one_screen_has_everything(tmp_path, command):
    records_of(tmp_path)
    status, out, _ = command("fixmatch", "supervised")
    assert status == 0 and len(out.splitlines()) < 50
    for text in (
        "fixmatch against supervised on gymlike, 2 labels per class: top-1",
        "fixmatch beats supervised by",
        "95 % t interval",
        "two-way paired t of this pair alone",
        "5 wins, 0 ties, 0 losses of fixmatch",
        "would have been found with a probability of 80 %",
        "none for a claim about this difference",
        "Classes where they differ most",
        "Clips that supervised gets right more often",
        "of 5",
    ):
        assert text in out, text


def test_mistakes_are_one_sentence(tmp_path, command):
    records_of(tmp_path, clips=24)
    for arguments, message in (
        (("fixmatch",), "name two entries"),
        (("fixmatch", "softmatch", "--published"), "leave out the names"),
        (
            ("fixmatch", "softmatch", "--metric", "top_1"),
            "there is no tested metric 'top_1'. Did you mean 'top1'",
        ),
        (("fixmatch", "softmatch", "--metric", "nll"), "differences are tested for top1 and mean_class"),
    ):
        status, out, err = command(*arguments)
        assert status == 1 and message in err and err.count("\n") == 1 and "Traceback" not in out + err
