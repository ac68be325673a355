"""A test protocol of several views and crops: what it shows, what it averages, what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from bench import evaluate, looks, store, trial
from bench.looks import Look, look_clips
from bench.plan import Choice, plan_section
from bench.spec import Evaluation, TrialSpec
from bench.store import TrialFolder
from bench.suite import load_suite
from datasets.policy import AugmentPolicy
from datasets.sampling import Segments
from datasets.synthgym import SynthGymTiny
from datasets.views import ViewSettings, evaluation_clips

CPU = torch.device("cpu")


class Wide:
    """A clip whose red is the column, green the row and blue the frame of each pixel."""

    def __init__(self, height: int, width: int) -> None:
        self._frames = np.zeros((30, height, width, 3), np.uint8)
        self._frames[..., 0] = np.arange(width)[None, None]
        self._frames[..., 1] = np.arange(height)[None, :, None]
        self._frames[..., 2] = np.arange(30)[:, None, None]

    def frames(self, key: str) -> NDArray[np.uint8]:
        return self._frames

    def frame_count(self, key: str) -> int:
        return len(self._frames)


def _settings(**policy: object) -> ViewSettings:
    test = AugmentPolicy(**policy)  # type: ignore[arg-type]
    return ViewSettings(policies={"test": test}, size=32, normalize="kinetics", mirror=True)


def _shown(store_: Wide, look: Look, settings: ViewSettings | None = None) -> NDArray[np.float32]:
    """(3, frames, 32, 32) bytes that a look shows."""
    keys = ["a", "b", "c"]
    parts = list(look_clips(store_, keys, Segments(4), settings or _settings(), 2, CPU, look))
    whole = torch.cat([part[0] for part in parts])
    assert torch.equal(whole[0], whole[2])  # no clip's look depends on the batch
    return ((whole[0] * 0.225 + 0.45) * 255).numpy()


@pytest.mark.parametrize(("place", "first"), [(0.0, 0), (0.5, 32), (1.0, 64)])
def test_crops_lie_along_the_long_side(place: float, first: int) -> None:
    wide = _shown(Wide(32, 96), Look(0, place))
    np.testing.assert_allclose(wide[0, 0, 0], np.arange(first, first + 32), atol=1e-2)
    np.testing.assert_allclose(wide[1, 0, :, 0], np.arange(32), atol=1e-2)
    tall = _shown(Wide(96, 32), Look(0, place))
    np.testing.assert_allclose(tall[1, 0, :, 0], np.arange(first, first + 32), atol=1e-2)


def test_a_crop_smaller_than_the_short_side_stays_centered_across() -> None:
    shown = _shown(Wide(64, 96), Look(0, 0.0), _settings(scale=(0.5, 0.5)))
    np.testing.assert_allclose(shown[0, 0, 0], np.arange(32), atol=1e-2)
    np.testing.assert_allclose(shown[1, 0, :, 0], np.arange(16, 48), atol=1e-2)


def test_the_first_look_is_that_of_the_plain_protocol() -> None:
    assert looks.looks(Evaluation()) == (Look(0, 0.5),)
    plain = list(evaluation_clips(Wide(48, 64), ["a"], Segments(4), _settings(), 1, CPU))
    ours = list(look_clips(Wide(48, 64), ["a"], Segments(4), _settings(), 1, CPU, Look()))
    assert torch.equal(plain[0][0], ours[0][0])


def test_views_show_other_frames_and_always_the_same() -> None:
    found = looks.looks(Evaluation(views=3, crops=3))
    assert len(set(found)) == 9
    assert {look.place for look in found} == {0.0, 0.5, 1.0}
    frames = [_shown(Wide(32, 32), Look(view))[2, :, 0, 0].round().astype(int) for view in range(3)]
    again = [_shown(Wide(32, 32), Look(view))[2, :, 0, 0].round().astype(int) for view in range(3)]
    assert len({tuple(each) for each in frames}) == 3
    assert all((a == b).all() for a, b in zip(frames, again, strict=True))
    assert all((np.diff(each) > 0).all() for each in frames)


@pytest.fixture
def spec(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> TrialSpec:
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(shared_home))
    SynthGymTiny().prepare()
    planned = plan_section(load_suite("smoke"), "embedded", Choice(methods=["supervised"], seeds=(3,)))
    found = planned[0].spec
    return found.model_copy(update={"protocol": found.protocol.model_copy(update={"steps": 2})})


def _with(spec: TrialSpec, **evaluation: int) -> TrialSpec:
    protocol = spec.protocol.model_copy(
        update={"evaluation": spec.protocol.evaluation.model_copy(update=evaluation)}
    )
    return spec.model_copy(update={"protocol": protocol})


def test_a_single_look_keeps_the_trial_and_its_code(spec: TrialSpec) -> None:
    assert "views" not in spec.canonical()
    assert _with(spec, views=1, crops=1).id == spec.id
    assert trial.trial_code_hash(_with(spec, views=1)) == trial.trial_code_hash(spec)
    more = _with(spec, views=2, crops=3)
    assert more.id != spec.id
    assert trial.trial_code_hash(more) != trial.trial_code_hash(spec)
    assert TrialSpec.model_validate_json(more.canonical()) == more
    assert TrialSpec.model_validate(json.loads(spec.canonical())) == spec
    with pytest.raises(ValidationError):
        Evaluation(views=0)


def test_a_trial_averages_the_probabilities_of_its_looks(
    spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    log_softmax = torch.Tensor.log_softmax

    def spy(self: torch.Tensor, dim: int) -> torch.Tensor:
        seen.append(log_softmax(self, dim))
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "log_softmax", spy)
        record = trial.run_trial(_with(spec, views=2, crops=2, batch=1000), TrialFolder(tmp_path / "more"))
    assert record["status"] == "done", record
    assert len(seen) == 4
    expected = torch.stack(seen).exp().mean(0)
    table = evaluate.read_predictions(tmp_path / "more" / store.PREDICTIONS)
    np.testing.assert_allclose(table["confidence"], expected.amax(1), rtol=1e-5)
    assert (table["predicted"].to_numpy() == expected.argmax(1).numpy()).all()
    assert list(table["clip"]) == [clip.key for clip in trial.prepare_scene(spec)[0].scored]
