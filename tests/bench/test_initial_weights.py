"""`--init`, and what the record says of the weights that a net started from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.initial_weights import net_from, starting_from, statement
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
    assert net_from(net, "random").weights == "random"
    assert net_from(net, None) is net
    assert net_from(Net(name="shiftnet"), "vit.pth") == Net(name="shiftnet")


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
