"""The published numbers as data, and what stands beside them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from synthetic_runs import on_data, suite, write_run

from bench.beside import _started, beside, default_config, differences
from bench.board import build_boards
from bench.plan import trial_specs
from bench.plugins import methods
from bench.published import EXTRA, FIGURES, Alias, Figure, Notes, load_extra, load_figures, load_notes
from bench.records import load_run
from bench.render.published_screen import published_screen
from bench.suite import TunedEntry, load_suite
from datasets.errors import UserError

SPEC = Path(__file__).parents[3] / "shared" / "spec"
ENTRIES = {"supervised": "baseline", "fixmatch": "competitor"}
NOTES = Notes(
    methods={"FixMatch": {"method": "fixmatch"}},
    backbones={"Net-S": "shiftnet"},
    general=("single values",),
    cautions=({"text": "another list", "datasets": ["GymLike"]}, {"text": "never", "percents": [1]}),
)


def figure(top1, method="FixMatch", backbone="Net-S", dataset="Gym-Like", percent=5.0, **changes) -> Figure:
    values = {"input": "V", "imagenet_init": "no", "frames": "8", "epochs": "200", "source": "a paper"}
    return Figure(
        table="T1", method=method, backbone=backbone, dataset=dataset, label_percent=percent, top1=top1,
        **{**values, **changes},
    )  # fmt: skip


def found(tmp_path, figures, outcome=0.75, tolerance=0.1, seeds="0-4", notes=NOTES, defaults=None):
    loaded = on_data(suite(ENTRIES, seeds=seeds), "gymlike", labels=("5%", "2"))
    run = load_run(write_run(loaded, tmp_path / "run", lambda e, labels, s: outcome))
    boards = build_boards(run.records, loaded.suite)
    return beside(
        loaded.suite, boards, figures, notes, tolerance=tolerance, defaults=defaults or (lambda m: {})
    )


@pytest.mark.parametrize(
    ("published", "tolerance", "verdict"),
    [(0.75, 0.1, "agrees"), (0.5, 0.1, "higher"), (0.95, 0.05, "lower"), (0.75, 0.001, "undecided")],
)
def test_the_verdict_is_where_the_interval_lies(tmp_path, published, tolerance, verdict):
    result = found(tmp_path, [figure(published)], tolerance=tolerance)
    ((line,),) = result.cells[0].protocols.values()
    assert (line.entry, line.verdict) == ("fixmatch", verdict)
    assert line.measured.estimate == pytest.approx(0.75, abs=0.03)
    assert result.without == ("gymlike@2",)


def test_two_seeds_make_no_verdict(tmp_path):
    ((line,),) = found(tmp_path, [figure(0.75)], seeds="0-1").cells[0].protocols.values()
    assert line.verdict == "too few seeds"


def test_protocols_are_never_in_one_table_and_another_one_is_not_compared(tmp_path):
    figures = [figure(0.75), figure(0.8, backbone="Net-B"), figure(0.7, method="Unknown")]
    (cell,) = found(tmp_path, figures).cells
    small, large = cell.protocols.values()
    assert [line.figure.method for line in small] == ["FixMatch", "Unknown"]
    assert small[1].entry is None and small[1].verdict is None
    assert [line.figure.top1 for line in large] == [0.8] and large[0].measured is None
    (apart,) = cell.apart
    assert apart.differs == ("backbone: shiftnet, not Net-B",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"imagenet_init": "yes"}, "ImageNet weights: no, not yes"),
        ({"frames": "16"}, "frames: 8, not 16"),
        ({"epochs": "30"}, "epochs of the labeled clips: 200, not 30"),
    ],
)
def test_every_part_of_the_protocol_counts(tmp_path, changes, said):
    (cell,) = found(tmp_path, [figure(0.75, **changes)]).cells
    assert cell.apart[0].differs == (said,)


def test_what_a_table_does_not_state_is_no_difference(tmp_path):
    (cell,) = found(tmp_path, [figure(0.75, imagenet_init="", frames="", epochs="")]).cells
    assert cell.apart == ()


def test_another_choice_is_another_method_and_another_rate_is_not(tmp_path):
    defaults = {"form": "something else", "rate": 0.5}
    (cell,) = found(tmp_path, [figure(0.75)], defaults=lambda method: defaults).cells
    assert cell.apart[0].differs == ("form is fixmatch, not something else",)
    own = NOTES.model_copy(
        update={"methods": {"FixMatch": Alias(method="fixmatch", config={"form": "fixmatch"})}}
    )
    (cell,) = found(tmp_path / "b", [figure(0.75)], notes=own, defaults=lambda method: defaults).cells
    assert cell.apart == ()


def differing(published, labeled=1316, steps=600, **config):
    """In what a row of SeFAR, as the main suite plans it but for these changes, departs from a figure."""
    section = load_suite("fine_grained").suite.sections["paper"]
    entry = next(each for each in section.entries if each.method == "sefar")
    (spec,) = trial_specs(section, entry, TunedEntry(), "synthgym", "4", [0], "cuda")
    protocol = spec.protocol.model_copy(update={"steps": steps})
    spec = spec.model_copy(update={"protocol": protocol, "config": {**spec.config, **config}})
    row = SimpleNamespace(records=[SimpleNamespace(spec=spec, done={"labeled": labeled})])
    made = figure(0.3, published, "ViT-S", imagenet_init="yes", epochs="30")
    return [each.partition(":")[0] for each in differences(made, row, load_notes())]


def test_a_number_that_names_a_published_row_must_be_equal():
    without = "SeFAR-S + Dual-Ele + Mod-Perturb"
    assert differing(without, regulation="fixed", threshold=0.3) == []
    assert differing(without, regulation="fixed", threshold=0.5) == ["threshold is 0.5, not 0.3"]
    assert differing("SeFAR-S", threshold=0.5) == []  # nothing that its row is about


@pytest.mark.parametrize(
    ("labeled", "steps", "as_long"),
    [(101, 30, True), (101, 47, True), (101, 31, False), (1316, 600, True), (1316, 500, False)],
)
def test_leftovers_that_the_release_drops_do_not_make_a_training_shorter(labeled, steps, as_long):
    assert differing("SeFAR-S", labeled, steps) == ([] if as_long else ["epochs of the labeled clips"])


def test_weights_of_kinetics_are_no_weights_of_imagenet():
    assert _started("KINETICS400_V1") == "KINETICS400_V1" and _started("vit.pth") == "yes"
    assert _started("random") == "no"


def test_what_else_a_table_prints_is_shown_below():
    console = Console(width=140, record=True, file=io.StringIO())
    loaded = load_suite("paper/prediction_times")
    console.print(published_screen(beside(loaded.suite, (), load_figures(), load_notes())))
    text = console.export_text()
    below = text[text.index("Also published in SeFAR-Tx-prediction-times") :]
    row = next(line for line in below.splitlines() if line.split()[:1] == ["K=10"])
    assert row.split() == ["K=10", "160.4", "1080.7", "14.8"]
    assert "Params" not in below


def test_cells_that_were_not_run_show_the_published_numbers_alone():
    loaded = on_data(suite(ENTRIES), "gymlike", labels=("5%",))
    result = beside(loaded.suite, (), [figure(0.75)], NOTES)
    ((line,),) = result.cells[0].protocols.values()
    assert line.measured is None and line.verdict is None


def test_footnotes_are_those_that_concern_a_figure(tmp_path):
    notes = NOTES.model_copy(update={"cautions": load_notes().cautions[:0]})
    assert found(tmp_path / "a", [figure(0.75)], notes=notes).footnotes == ()
    result = found(tmp_path / "b", [figure(0.75, dataset="GymLike")])
    assert result.footnotes == ("another list",)
    ((line,),) = result.cells[0].protocols.values()
    assert line.notes == (1,)


def test_the_screen_shows_both_numbers_the_verdict_and_the_footnotes(tmp_path):
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(published_screen(found(tmp_path, [figure(0.5, dataset="GymLike")])))
    text = console.export_text()
    for part in (
        "gymlike, 5 % of each class labeled",
        "Net-S, no ImageNet weights, 8 frames, 200 epochs, input frames",
        "50.0",
        "higher",
        "[1] another list",
        "* single values",
        "Nothing is published for: gymlike@2.",
        "never ranked together",
    ):
        assert part in text, part


def test_a_table_without_measured_rows_leaves_their_columns_out(tmp_path):
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(published_screen(found(tmp_path, [figure(0.5, method="Unknown", dataset="GymLike")])))
    text = console.export_text()
    assert "nothing measured yet" in text and "Unknown" in text
    assert "verdict" not in text and "not run" not in text


def test_our_data_files_hold_what_the_sheets_hold():
    assert len(load_figures()) == 436 and len(load_extra()) == 28
    assert all(figure.source for figure in load_figures())
    one = [f for f in load_figures() if (f.table, f.method, f.dataset) == ("SeFAR-T1a", "SeFAR-S", "Gym99")]
    assert [f.label_percent for f in one] == [5.0, 10.0]
    assert [f.top1 for f in one] == pytest.approx([0.367, 0.563])
    if SPEC.is_dir():
        for ours, sheet in ((FIGURES, "published.csv"), (EXTRA, "published_extra.csv")):
            rows = [list(csv.reader(path.open(encoding="utf-8"))) for path in (ours, SPEC / sheet)]
            assert rows[0] == rows[1]


def test_every_name_in_the_notes_is_a_published_one():
    figures, notes = load_figures(), load_notes()
    assert set(notes.methods) <= {figure.method for figure in figures}
    assert set(notes.backbones) <= {figure.backbone for figure in figures}
    for caution in notes.cautions:
        assert any(caution.concerns(figure) for figure in figures), caution.text
        for name in caution.tables + caution.methods + caution.datasets:
            assert any(name in (f.table, f.method, f.dataset) for f in figures), name


def test_rows_whose_strong_view_has_no_rand_augment_here_say_so():
    said = {
        figure.method
        for figure in load_figures()
        if any("without RandAugment" in each.text for each in load_notes().cautions if each.concerns(figure))
    }
    assert said == {"FixMatch", "CMPL", "LTG"}
    strong = load_suite("fine_grained").suite.sections["paper"].protocol.augmentations["strong"]
    assert strong.rand_augment is None


def test_settings_in_the_notes_exist():
    for name, alias in load_notes().methods.items():
        if alias.config:
            assert alias.method in methods().names(), name
            known = default_config(alias.method)
            assert set(alias.config) <= set(known), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table,method\nT,M\n", r"f\.csv:1: lacks the column 'backbone'"),
        ("HEAD\nT,M,B,V,no,8,30,D,5,abc,S\n", r"f\.csv:2: column 'top1' must be a number"),
        ("HEAD\nT,M,B,V,no,8,30,D,5,nan,S\n", r"f\.csv:2: column 'top1' must be a number"),
        ("HEAD\nT,M,B\n", r"f\.csv:2: has another number of columns"),
    ],
)
def test_a_damaged_data_file_names_its_line(tmp_path, text, message):
    head = FIGURES.read_text(encoding="utf-8").splitlines()[0]
    (tmp_path / "f.csv").write_text(text.replace("HEAD", head), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_figures(tmp_path / "f.csv")
