"""One trial: interrupted and resumed, damaged checkpoints, what a method can see."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench import code_hash, event_file, pulse, store, trial
from bench.checkpoints import Checkpoints
from bench.plan import Choice, plan_section
from bench.preemption import Preempted
from bench.spec import TrialSpec
from bench.store import TrialFolder
from bench.suite import load_suite
from bench.trial import Manner
from datasets.clip_cache import ClipCache
from datasets.synthgym import SynthGymTiny
from datasets.types import Batch
from methods.base import Progress, Step
from methods.fixmatch import FixMatch


@pytest.fixture
def spec(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> TrialSpec:
    """A short trial of the suite `smoke` that uses labels and unlabeled clips, validated on its way."""
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(shared_home))
    SynthGymTiny().prepare()
    planned = plan_section(load_suite("smoke"), "embedded", Choice(methods=["fixmatch"], seeds=(3,)))
    found = next(each.spec for each in planned if each.entry == "fixmatch")
    protocol = found.protocol.model_copy(
        update={"steps": 12, "checkpoint": "best_validation", "validate_every": 2}
    )
    config = {**found.config, "pseudo_labels": "teacher", "alignment": "label", "threshold": 0.0}
    return found.model_copy(update={"protocol": protocol, "config": config})


class PowerCut(BaseException):
    """Nothing may catch it."""


def _interrupted(
    spec: TrialSpec, folder: TrialFolder, at: int, monkeypatch: pytest.MonkeyPatch, every: float = 0.0
) -> None:
    """Runs a trial that checkpoints at every step until the power goes after step `at`."""
    look = trial._Keeper.look

    def cut(self: trial._Keeper) -> None:
        look(self)
        if self._experiment.state.step == at:
            raise PowerCut

    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(trial._Keeper, "look", cut)
        trial.run_trial(spec, folder, Manner(checkpoint_seconds=every))


def _same(one: TrialFolder, other: TrialFolder) -> bool:
    names = (store.PREDICTIONS, store.METRICS)
    return all((one.path / name).read_bytes() == (other.path / name).read_bytes() for name in names)


def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = TrialFolder(tmp_path / "whole"), TrialFolder(tmp_path / "parts")
    expected = trial.run_trial(spec, whole)
    for at in (2, 7, 11):  # in the warm-up, after it, before the end
        _interrupted(spec, parts, at, monkeypatch)
        assert parts.done() is None
        assert len(list(parts.path.glob("checkpoint-*.pt"))) == 2
    record = trial.run_trial(spec, parts)
    assert record["metrics"] == expected["metrics"]
    assert record["checkpoint_step"] == expected["checkpoint_step"]
    assert _same(whole, parts)
    assert sorted(path.name for path in parts.path.iterdir()) == sorted(
        path.name for path in whole.path.iterdir()
    )


@pytest.mark.parametrize("damage", ["cut", "flipped", "both", "other code"])
def test_a_checkpoint_that_cannot_be_trusted_is_not_used(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    whole = TrialFolder(tmp_path / "whole")
    trial.run_trial(spec, whole)
    folder = TrialFolder(tmp_path / "damaged")
    _interrupted(spec, folder, 7, monkeypatch)
    previous, newest = sorted(folder.path.glob("checkpoint-*.pt"))
    if damage == "cut":
        newest.write_bytes(newest.read_bytes()[:1000])
    if damage in ("flipped", "both"):
        for path in (newest, previous)[: 1 + (damage == "both")]:
            content = bytearray(path.read_bytes())
            content[len(content) // 3] ^= 16
            path.write_bytes(content)
    if damage == "other code":
        spoilt = Checkpoints(folder.path, trial.trial_code_hash(spec)).load()
        assert spoilt is not None and spoilt["state"]["step"] == 7
        for value in spoilt["state"]["method"].values():
            value.zero_()
        for path in (newest, previous):
            path.unlink()
        Checkpoints(folder.path, "of yesterday").save(7, spoilt)
    begins = []
    with monkeypatch.context() as patch:
        resume = trial._Keeper.resume
        patch.setattr(
            trial._Keeper, "resume", lambda self: (resume(self), begins.append(self._experiment.state.step))
        )
        record = trial.run_trial(spec, folder)
    assert begins == [6 if damage in ("cut", "flipped") else 0]
    assert record["status"] == "done"
    assert _same(whole, folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops_and_the_trial_goes_on(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole, folder = TrialFolder(tmp_path / "whole"), TrialFolder(tmp_path / "stopped")
    trial.run_trial(spec, whole)
    look = trial._Keeper.look

    def signaled(self: trial._Keeper) -> None:
        if self._experiment.state.step == 5:
            os.kill(os.getpid(), number)
        look(self)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch, pytest.raises(Preempted):
        patch.setattr(trial._Keeper, "look", signaled)
        trial.run_trial(spec, folder)
    assert signal.getsignal(number) is before
    assert [path.name[:21] for path in folder.path.glob("checkpoint-*.pt")] == ["checkpoint-0000000005"]
    assert folder.done() is None and folder.failed() is None and folder.holder() is None
    trial.run_trial(spec, folder)
    assert _same(whole, folder)


def test_the_position_of_an_unlabeled_clip_does_not_tell_its_class(spec: TrialSpec) -> None:
    scene, _ = trial.prepare_scene(spec)
    labels = np.array([clip.label for clip in scene.split.unlabeled])
    positions = np.arange(len(labels))
    # Chance is 1 in 12; splits are sorted by name, and sorted names of the rendered clips repeat the classes.
    assert (positions % 12 == labels).mean() < 0.25
    blocks = positions * 12 // len(labels)
    assert max((blocks[labels == c] == b).mean() for c in range(12) for b in range(12)) < 0.75
    again, _ = trial.prepare_scene(spec)
    assert again.split.unlabeled == scene.split.unlabeled


def test_predictions_that_are_not_finite_are_a_failure_not_a_score(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = FixMatch.predict
    monkeypatch.setattr(FixMatch, "predict", lambda *args: predict(*args) * float("nan"))
    record = trial.run_trial(spec, TrialFolder(tmp_path / "nan"))
    assert (record["status"], record["kind"]) == ("failed", "diverged")
    assert "fixmatch" in record["message"]


def test_a_loss_that_is_not_finite_ends_the_trial_with_term_step_and_method(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = 5  # the third step after the warm-up
    original = FixMatch.step

    def spoiled(self: FixMatch, batch: Batch, progress: Progress) -> Step:
        made = original(self, batch, progress)
        factor = float("inf") if progress.step == first else 1.0
        return Step({**made.losses, "unsupervised": factor + made.losses["unsupervised"]})

    monkeypatch.setattr(FixMatch, "step", spoiled)
    record = trial.run_trial(spec, TrialFolder(tmp_path / "inf"))
    assert (record["status"], record["kind"]) == ("failed", "diverged")
    for part in ("loss term 'unsupervised'", "method 'fixmatch'", f"step {first}"):
        assert part in record["message"]


def test_what_decodes_and_splits_is_pinned_by_content_not_by_code() -> None:
    used = set(code_hash.hashed_modules("methods.fixmatch", "bench.backbones.shiftnet"))
    assert {"bench.experiment", "bench.train", "datasets.augment", "methods.thresholding"} <= used
    pinned = ("datasets.clip", "datasets.splits", "datasets.video_io", "datasets.synthgym", "bench.trial")
    assert [name for name in used if name.startswith(pinned)] == []


def test_the_record_tells_other_content_and_ignores_where_it_lies(spec: TrialSpec, tmp_path: Path) -> None:
    clips = SynthGymTiny().table().clips()
    keys = [clip.key for clip in clips[:6]]
    cache = ClipCache.open(clips, spec.data, spec.protocol.short_side, progress=False)
    first = cache.content_hash(keys)
    elsewhere = ClipCache.open(clips[:6], spec.data, spec.protocol.short_side, home=tmp_path, progress=False)
    assert elsewhere.content_hash(keys[::-1]) == first
    assert cache.content_hash(keys[:5]) != first
    entry = cache._entries[keys[0]]
    cache._entries = {**cache._entries, keys[0]: entry._replace(sha256="0" * 64)}
    assert cache.content_hash(keys) != first


def test_unfilled_memory_changes_no_bit(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trial.run_trial(spec, TrialFolder(tmp_path / "plain"))
    assert plain["train_cpu_seconds"] > 0 and plain["peak_memory_mib"] > 50 and plain["energy_joules"] is None
    determinism = trial.set_determinism

    def filled(of: TrialSpec) -> None:
        determinism(of)
        monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)

    monkeypatch.setattr(trial, "set_determinism", filled)
    trial.run_trial(spec, TrialFolder(tmp_path / "filled"))
    for name in (store.PREDICTIONS, store.METRICS):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "filled" / name).read_bytes()


def _scalars(folder: TrialFolder) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder.path / event_file.NAME))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_shows_the_log_and_each_step_once_after_a_stop(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TrialFolder(tmp_path / "parts")
    _interrupted(spec, folder, 11, monkeypatch)
    trial.run_trial(spec, folder)
    logged: dict[str, list[tuple[int, float]]] = {}
    for line in map(json.loads, (folder.path / store.METRICS).read_text(encoding="utf-8").splitlines()):
        for name in line.keys() - {"step"}:
            logged.setdefault(name, []).append((line["step"], pytest.approx(line[name], rel=1e-6)))
    assert [step for step, _ in logged["lr"]] == [0, 10]
    assert _scalars(folder) == logged


def test_the_pulse_tells_how_far_a_trial_is_and_goes_with_it(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "EVERY_SECONDS", 0.0)
    folder = TrialFolder(tmp_path / "trial")
    beats: list[pulse.Beat | None] = []
    look = trial._Keeper.look

    def spying(self: trial._Keeper) -> None:
        look(self)
        beats.append(pulse.read_beat(next(folder.path.glob(".attempt-*"))))

    monkeypatch.setattr(trial._Keeper, "look", spying)
    record = trial.run_trial(spec, folder)
    assert [beat.step for beat in beats if beat] == list(range(1, 13))
    last = beats[-1]
    assert last is not None and last.wait_share is not None and 0 < last.wait_share < 1
    assert 0 < record["data_wait_seconds"] < record["train_seconds"]
    assert not (folder.path / pulse.NAME).exists()
