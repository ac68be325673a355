"""`--init`, and what the record says of the weights that a net started from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.initial_weights import net_from, parse_init, starting_from, statement
from bench.spec import Net, TrialSpec
from bench.store import read_json, sha256
from bench.suite import load_suite


def test_init_reaches_every_net_that_has_ready_made_weights_and_no_other() -> None:
    loaded = load_suite("fine_grained")
    assert starting_from(loaded, None) is loaded
    changed = starting_from(loaded, "random").suite.sections
    paper = changed["paper"]
    nets = [paper.backbone, *(entry.backbone for entry in paper.entries if entry.backbone)]
    assert {net.weights for net in nets} == {"random"} and len(nets) > 1
    assert [net.config for net in nets] == [
        net.config
        for net in [
            loaded.suite.sections["paper"].backbone,
            *(entry.backbone for entry in loaded.suite.sections["paper"].entries if entry.backbone),
        ]
    ]
    named = starting_from(loaded, "vit.pth").suite.sections
    assert named["paper"].backbone.weights == "vit.pth"
    assert named["embedded"].backbone == loaded.suite.sections["embedded"].backbone


def test_the_record_says_which_weights_were_used(bench: Any) -> None:
    run = bench("run", "--suite", bench.suite(), "--seeds", "0", "--init", "random")
    assert run.status == 0, run.err
    done = next((bench.folder / "runs/tiny/trials").glob("*/done.json"))
    assert read_json(done)["initial_weights"] == "shiftnet: random initial weights"


def test_a_single_trial_can_start_from_other_weights() -> None:
    net = Net(name="timesformer_small", weights="vit_small_patch16_224.augreg_in21k")
    assert net_from(net, parse_init("random")).weights == "random"
    assert net_from(net, {}) is net
    assert net_from(net, parse_init("timesformer_base=b.pth")) is net
    assert net_from(Net(name="shiftnet"), parse_init("vit.pth")) == Net(name="shiftnet")


def test_a_file_is_for_the_nets_that_start_from_weights_and_each_may_have_its_own() -> None:
    def weights(given: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for entry in starting_from(load_suite("paper/table1a"), given).suite.sections["paper"].entries:
            if entry.backbone:
                found.setdefault(entry.backbone.name, set()).add(entry.backbone.weights)
        return found

    assert set.union(*weights("random").values()) == {"random"}
    assert weights("vit.pth") == {
        "r3d_18": {"random"}, "timesformer_small": {"vit.pth"}, "timesformer_base": {"vit.pth"},
    }  # fmt: skip
    both = weights("timesformer_small=s.pth,timesformer_base=runs=1/b.pth,r3d_18=r.pth")
    assert both == {
        "r3d_18": {"r.pth"}, "timesformer_small": {"s.pth"}, "timesformer_base": {"runs=1/b.pth"},
    }  # fmt: skip


@pytest.mark.parametrize("given", ["timesformer_small=s.pth,timesformer_base=b.pth", "s.pth", "random"])
def test_a_row_that_is_there_to_start_at_random_starts_at_random(given: str) -> None:
    entries = starting_from(load_suite("paper/table2"), given).suite.sections["paper"].entries
    weights = {entry.label: entry.backbone.weights for entry in entries if entry.backbone}
    assert weights["sefar-s-scratch"] == "random"
    assert weights["sefar-s"] == ("random" if given == "random" else "s.pth")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("timesformer_smal=a.pth", "Did you mean 'timesformer_small'"),
        ("shiftnet=a.pth", "backbone 'shiftnet' takes no weights"),
        ("timesformer_small=", "give 'random', one file or name, or BACKBONE=FILE"),
        ("a.pth,b.pth", "give 'random', one file or name, or BACKBONE=FILE"),
        ("", "give 'random', one file or name"),
    ],
)
def test_a_mistake_in_init_is_one_sentence(bench: Any, given: str, said: str) -> None:
    answer = bench("plan", "--suite", bench.suite(), "--init", given)
    assert answer.status == 1 and said in answer.sentence


def test_bench_trial_goes_on_without_weights_that_it_cannot_get(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Net] = []

    def start(spec: TrialSpec, *_: Any) -> dict[str, Any]:
        started.append(spec.backbone)
        return {"status": "failed", "kind": "exception", "message": "it need not train here", "seconds": 0.0}

    monkeypatch.setattr("bench.run_stored.run_kept", start)
    bench("plan", "--suite", bench.suite(), "--specs", "specs", "--seeds", "0")
    spec = read_json(next((bench.folder / "specs").glob("*.json")))
    spec["backbone"] = {"name": "timesformer_tiny", "config": {"depth": 1}, "weights": "absent.pth"}
    (bench.folder / "mine.json").write_text(json.dumps(spec))
    refused = bench("trial", "mine.json")
    assert refused.status == 1 and "go on with --init random" in refused.sentence
    assert bench("trial", "mine.json", "--init", "random").status == 3
    assert [net.weights for net in started] == ["random"]


def test_files_are_stated_with_the_hash_of_their_content(tmp_path: Path) -> None:
    file = tmp_path / "vit.pth"
    file.write_bytes(b"weights")
    net = Net(name="timesformer_small", weights=str(file))
    assert statement(net) == f"timesformer_small: file vit.pth, sha256 {sha256(file)}"
    named = statement(Net(name="s3d", weights="KINETICS400_V1"))
    assert named == "s3d: ready-made weights 'KINETICS400_V1'"
