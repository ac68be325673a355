"""Boxes of persons: what a file may say, and that masks lie where the view shows the box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datasets.errors import UserError
from datasets.loader import BatchSizes, Loader
from datasets.person_boxes import Boxes, person_masks, read_boxes
from datasets.policy import AugmentPolicy, RandAugmentPolicy
from datasets.sampling import Segments
from datasets.types import ClipRef, Recipe, View
from datasets.views import ViewSettings

KEYS = [str(i) for i in range(6)]


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "boxes.jsonl"
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), "utf-8")
    return path


def test_boxes_hold_for_a_clip_or_for_a_frame_in_pixels_or_shares(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"clip": "0", "boxes": [[0, 0.25, 0.5, 1]]},
        "",
        {"clip": "1", "size": [200, 100], "boxes": [[[20, 10, 100, 50]], [], [[0, 0, 200, 100]]]},
        {"clip": "2", "boxes": []},
    )
    found = read_boxes(path, KEYS)
    assert [boxes.tolist() for boxes in found["0"]] == [[[0, 0.25, 0.5, 1]]]
    assert [len(boxes) for boxes in found["1"]] == [1, 0, 1]
    np.testing.assert_allclose(found["1"][0], [[0.1, 0.1, 0.5, 0.5]], rtol=1e-6)
    assert [boxes.shape for boxes in found["2"]] == [(0, 4)]


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (["{"], [":1", "JSON"]),
        (["[1]"], [":1", "the line"]),
        ([{"clip": "0"}], [":1", "'boxes'"]),
        ([{"clip": "0", "boxes": [[0, 0, 1]]}], [":1", "'boxes'"]),
        ([{"clip": "0", "boxes": [], "scale": 2}], [":1", "'scale'"]),
        ([{"clip": "0", "boxes": [], "size": [0, 5]}], [":1", "'size'"]),
        ([{"clip": "0", "boxes": []}, {"clip": "0", "boxes": []}], [":2", "'0'", "earlier"]),
        ([{"clip": "0", "boxes": [[10, 10, 50, 50]]}], [":1", "[10.0, 10.0, 50.0, 50.0]", "size"]),
        ([{"clip": "0", "boxes": [[0.5, 0, 0.5, 1]]}], [":1", "x1 < x2"]),
        ([{"clip": "elsewhere", "boxes": []}], ["names none", "'0'"]),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path, lines: list[Any], parts: list[str]) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(UserError) as caught:
        read_boxes(path, KEYS)
    assert "\n" not in str(caught.value)
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.jsonl cannot be read"):
        read_boxes(tmp_path / "absent.jsonl", KEYS)


def test_frames_have_their_own_boxes_and_late_ones_the_last() -> None:
    boxes = (np.float32([[0, 0, 0.5, 0.5]]), np.float32([[0.5, 0.5, 1, 1], [0, 0, 0.25, 0.25]]))
    masks = person_masks(boxes, np.array([0, 1, 7]), 4, 8)
    assert masks.shape == (3, 4, 8)
    assert masks[0].sum() == 2 * 4
    assert masks[1].sum() == 2 * 4 + 1 * 2
    assert (masks[2] == masks[1]).all()
    assert masks[0, :2, :4].all()


class Painted:
    """Black clips whose persons are white."""

    def __init__(self, boxes: dict[str, Boxes]) -> None:
        self.boxes = boxes

    def frames(self, key: str) -> NDArray[np.uint8]:
        mask = person_masks(self.boxes[key], np.arange(9), 30, 40)
        return np.repeat(255 * mask[..., None], 3, 3)

    def frame_count(self, key: str) -> int:
        return 9


def loader(boxes: dict[str, Boxes], told: dict[str, Boxes], policy: AugmentPolicy, seed: int) -> Loader:
    sampler = Segments(3)
    clips = [ClipRef(key, Path(key), 0, key) for key in KEYS]
    return Loader(
        store=Painted(boxes),
        labeled=clips[:2],
        unlabeled=clips[2:],
        recipe=Recipe(
            labeled={"labeled": View(sampler, "plain")},
            unlabeled={"weak": View(sampler, "weak", persons=True), "strong": View(sampler, "weak", draw=1)},
        ),
        settings=ViewSettings(
            policies={"weak": policy, "plain": AugmentPolicy()},
            size=24,
            normalize="kinetics",
            mirror=True,
            boxes=told,
        ),
        sizes=BatchSizes(labeled=2, unlabeled=4, warmup=2),
        warmup_steps=0,
        seed=seed,
        device=torch.device("cpu"),
    )


corners = st.tuples(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0.2, 0.4), st.floats(0.2, 0.4))


@settings(max_examples=20)
@given(drawn=st.lists(st.lists(corners, max_size=2), min_size=6, max_size=6), seed=st.integers(0, 999))
def test_a_mask_is_where_the_view_shows_the_person(
    drawn: list[list[tuple[float, float, float, float]]], seed: int
) -> None:
    """Through crop, scale, rotation, flip and the choice of frames: a painted clip is its mask."""
    boxes = {
        key: tuple(np.float32([[x, y, x + w, y + h]]).reshape(-1, 4) for x, y, w, h in each)
        or (np.zeros((0, 4), np.float32),)
        for key, each in zip(KEYS, drawn, strict=True)
    }
    policy = AugmentPolicy(scale=(0.6, 0.9), rotate=20, translate=None, flip=0.5, window=0.3, aspect=0.1)
    batch = loader(boxes, boxes, policy, seed).batch(1)
    (mask,), (view,) = batch.persons["weak"], batch.unlabeled["weak"]
    assert set(batch.persons) == {"weak"}
    assert mask.dtype == torch.bool
    shown = view.mean(1) * 0.225 + 0.45
    clear = (shown < 0.45) | (shown > 0.55)
    assert torch.equal(mask[clear], shown[clear] > 0.5)


def test_a_data_set_without_boxes_and_a_clip_without_a_line_have_none() -> None:
    boxes: dict[str, Boxes] = {key: (np.float32([[0.2, 0.2, 0.8, 0.8]]),) for key in KEYS}
    policy = AugmentPolicy()
    assert loader(boxes, {}, policy, 0).batch(0).persons == {}
    told = {key: boxes[key] for key in KEYS[:3]}
    batch = loader(boxes, told, policy, 0).batch(0)
    some = batch.persons["weak"][0].flatten(1).any(1).tolist()
    assert some == [index == 0 for index in batch.unlabeled_index.tolist()]


def test_asking_for_persons_moves_no_number_of_a_view() -> None:
    boxes: dict[str, Boxes] = {key: (np.float32([[0.2, 0.2, 0.8, 0.8]]),) for key in KEYS}
    policy = AugmentPolicy(scale=(0.6, 0.9), translate=None)
    with_boxes, without = (loader(boxes, told, policy, 3).batch(2) for told in (boxes, {}))
    assert all(torch.equal(with_boxes.unlabeled[v][0], without.unlabeled[v][0]) for v in ("weak", "strong"))


def test_rand_augment_would_lose_the_persons_and_says_so() -> None:
    boxes: dict[str, Boxes] = {key: (np.float32([[0.2, 0.2, 0.8, 0.8]]),) for key in KEYS}
    policy = AugmentPolicy(rand_augment=RandAugmentPolicy())
    with pytest.raises(ValueError, match="RandAugment"):
        loader(boxes, boxes, policy, 0).batch(0)
