"""From a recipe to batches: which clips at which step, their frames, their views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets import augment, draws, person_boxes
from datasets.person_boxes import Boxes, person_masks
from datasets.policy import AugmentPolicy
from datasets.rand_augment import rand_augment
from datasets.sampling import windowed
from datasets.types import Batch, Clip, ClipRef, ClipSampler, Indices, Recipe, View


class Frames(Protocol):
    """The frames of a clip: a (T, H, W, 3) uint8 array, or what gives those that are asked for."""

    def __getitem__(self, positions: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """The frames at the given positions, (len(positions), H, W, 3)."""


class FrameStore(Protocol):
    """Decoded frames by clip key; the clip cache is one."""

    def frames(self, key: str) -> Frames:
        """The frames of a clip; all views that show some of them read them here."""

    def frame_count(self, key: str) -> int:
        """Number of frames of a clip."""


@dataclass(frozen=True)
class Stream:
    """An endless stream of positions 0..size-1: a new seeded permutation per epoch.

    It has no state: what stands at a place of the stream follows from the place alone, so a resumed
    trial needs only its step number.
    """

    size: int
    seed: int
    purpose: str

    def take(self, start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions and their epochs at the places start .. start + count - 1, each of shape (count,)."""
        places = np.arange(start, start + count)
        epochs, offsets = places // self.size, places % self.size
        positions = np.empty(count, np.int64)
        for epoch in np.unique(epochs):
            order = draws.generator(self.seed, f"order/{self.purpose}", int(epoch)).permutation(self.size)
            chosen = epochs == epoch
            positions[chosen] = order[offsets[chosen]]
        return positions, epochs


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How views look: named policies, crop side in pixels, pixel normalization; what the data set allows.

    `mirror`: left-right flips keep the label.  `boxes`: where persons are, by clip.
    """

    policies: Mapping[str, AugmentPolicy]
    size: int
    normalize: str
    mirror: bool
    boxes: Mapping[str, Boxes] = field(default_factory=lambda: person_boxes.NONE)


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """Clips per step: labeled and unlabeled, and labeled ones while there is no unlabeled loss yet."""

    labeled: int
    unlabeled: int
    warmup: int


class Loader:
    """Makes the batch of any step of a trial, in any order, always the same.

    Args:
        store: decoded frames.
        labeled: labeled clips, in the order of their split.
        unlabeled: unlabeled clips, in the order of their split.
        recipe: the views that the method needs.
        settings: what the named augmentations mean.
        sizes: batch sizes.
        warmup_steps: steps at the start that use labels alone.
        seed: the trial's seed.
        device: where views are made.
    """

    def __init__(
        self,
        *,
        store: FrameStore,
        labeled: Sequence[ClipRef],
        unlabeled: Sequence[ClipRef],
        recipe: Recipe,
        settings: ViewSettings,
        sizes: BatchSizes,
        warmup_steps: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self._store = store
        self._labeled = labeled
        self._unlabeled = unlabeled
        self._recipe = recipe
        self._settings = settings
        self._sizes = sizes
        self._warmup = warmup_steps
        self._seed = seed
        self._device = device
        self._labeled_stream = Stream(len(labeled), seed, "labeled")
        self._unlabeled_stream = Stream(max(1, len(unlabeled)), seed, "unlabeled")
        self._labels = torch.tensor([clip.label for clip in labeled])

    def batch(self, step: int) -> Batch:
        """The batch of a step (0-based); in warm-up steps it has no unlabeled views."""
        positions, epochs = self._labeled_places(step)
        labeled = self._views(self._recipe.labeled, self._labeled, positions, epochs, "labeled")
        unlabeled: dict[str, Clip] = {}
        persons: dict[str, Clip] = {}
        others = np.empty(0, np.int64)
        if step >= self._warmup and self._recipe.unlabeled:
            count = self._sizes.unlabeled
            others, epochs_u = self._unlabeled_stream.take((step - self._warmup) * count, count)
            unlabeled = self._views(self._recipe.unlabeled, self._unlabeled, others, epochs_u, "unlabeled")
            persons = self._persons(others, epochs_u)
        index = torch.from_numpy(positions)
        return Batch(
            labeled=labeled,
            label=self._labels[index].to(self._device),
            labeled_index=index.to(self._device),
            unlabeled=unlabeled,
            unlabeled_index=torch.from_numpy(others).to(self._device),
            persons=persons,
        )

    def _labeled_places(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        warm = min(step, self._warmup) * self._sizes.warmup
        start = warm + max(0, step - self._warmup) * self._sizes.labeled
        count = self._sizes.warmup if step < self._warmup else self._sizes.labeled
        return self._labeled_stream.take(start, count)

    def _views(
        self,
        views: Mapping[str, View],
        clips: Sequence[ClipRef],
        positions: NDArray[np.int64],
        epochs: NDArray[np.int64],
        pool: str,
    ) -> dict[str, Clip]:
        chosen = [clips[i].key for i in positions]
        made: dict[str, Clip] = {}
        for name, view in views.items():
            policy = self._settings.policies[view.augment]
            frames, numbers = self._drawn(name, view, chosen, positions, epochs, pool)
            made[name] = render(self._store, chosen, frames, policy, numbers, self._settings, self._device)
        return made

    def _drawn(
        self,
        name: str,
        view: View,
        keys: Sequence[str],
        positions: NDArray[np.int64],
        epochs: NDArray[np.int64],
        pool: str,
    ) -> tuple[list[Indices], augment.Draw]:
        """Frames and random numbers of one view of the given clips."""
        policy = self._settings.policies[view.augment]
        places = list(zip(epochs.tolist(), positions.tolist(), strict=True))
        frames = [
            self._indices(key, view, policy, draws.generator(self._seed, f"frames/{pool}/{view.draw}", e, i))
            for key, (e, i) in zip(keys, places, strict=True)
        ]
        purpose = f"augment/{pool}/{name}"
        return frames, augment.draw([draws.generator(self._seed, purpose, e, i) for e, i in places])

    def _persons(self, positions: NDArray[np.int64], epochs: NDArray[np.int64]) -> dict[str, Clip]:
        """Where persons are in the unlabeled views that ask for it."""
        if not self._settings.boxes:
            return {}
        keys = [self._unlabeled[i].key for i in positions]
        made: dict[str, Clip] = {}
        for name, view in self._recipe.unlabeled.items():
            if view.persons:
                policy = self._settings.policies[view.augment]
                frames, numbers = self._drawn(name, view, keys, positions, epochs, "unlabeled")
                made[name] = render_persons(
                    self._store, keys, frames, policy, numbers, self._settings, self._device
                )
        return made

    def _indices(self, key: str, view: View, policy: AugmentPolicy, rng: np.random.Generator) -> Indices:
        count = self._store.frame_count(key)
        if policy.window:
            return windowed(view.sampler, count, policy.window, rng)
        return view.sampler.indices(count, rng)


def evaluation_clips(
    store: FrameStore,
    keys: Sequence[str],
    sampler: ClipSampler,
    settings: ViewSettings,
    batch: int,
    device: torch.device,
) -> Iterator[Clip]:
    """Deterministic views of the given clips under the policy `test`, in order, `batch` at a time."""
    policy = settings.policies["test"]
    for start in range(0, len(keys), batch):
        chosen = keys[start : start + batch]
        frames = [sampler.indices(store.frame_count(key), None) for key in chosen]
        yield render(store, chosen, frames, policy, augment.central(len(chosen)), settings, device)


def render(
    store: FrameStore,
    keys: Sequence[str],
    frames: Sequence[Indices],
    policy: AugmentPolicy,
    numbers: augment.Draw,
    settings: ViewSettings,
    device: torch.device,
) -> Clip:
    """One view of a batch of clips: gathers frames, augments on `device`, splits the levels.

    Clips may differ in size: those of one size go through the augmentation together.

    Returns:
        One (N, 3, T_level, size, size) tensor per level.
    """
    levels = [len(level) for level in frames[0]]
    raw = [store.frames(key)[np.concatenate(each)] for key, each in zip(keys, frames, strict=True)]
    shapes = sorted({clip.shape for clip in raw})
    if len(shapes) == 1:
        pixels = torch.from_numpy(np.stack(raw)).to(device)
        out = _augment(pixels, policy, numbers, settings).contiguous()
        return _levels(out, levels, settings)
    out = torch.empty(len(raw), sum(levels), 3, settings.size, settings.size, device=device)
    for shape in shapes:
        members = [i for i, clip in enumerate(raw) if clip.shape == shape]
        pixels = torch.from_numpy(np.stack([raw[i] for i in members])).to(device)
        out[members] = _augment(pixels, policy, numbers.of(members), settings)
    return _levels(out, levels, settings)


def _levels(frames: Tensor, levels: list[int], settings: ViewSettings) -> Clip:
    """(N, T, 3, S, S) in [0, 1] -> normalized, one (N, 3, T_level, S, S) per level."""
    split = torch.split(augment.normalize(frames, settings.normalize).transpose(1, 2), levels, dim=2)
    return tuple(level.contiguous() for level in split)


def render_persons(
    store: FrameStore,
    keys: Sequence[str],
    frames: Sequence[Indices],
    policy: AugmentPolicy,
    numbers: augment.Draw,
    settings: ViewSettings,
    device: torch.device,
) -> Clip:
    """Where persons are in the view that `render` makes of the same arguments.

    Operations of RandAugment are not followed: they move pixels as well, so a view under such a policy has
    no masks.

    Returns:
        One bool (N, T_level, size, size) tensor per level.

    Raises:
        ValueError: for a policy with `rand_augment`.
    """
    if policy.rand_augment is not None:
        raise ValueError("persons are not followed through RandAugment; ask for them in another view")
    made = []
    for i, (key, each) in enumerate(zip(keys, frames, strict=True)):
        positions = np.concatenate(each)
        height, width = store.frames(key)[positions[:1]].shape[1:3]
        mask = person_masks(settings.boxes.get(key, _NOBODY), positions, height, width)
        pixels = torch.from_numpy(mask).to(device)[None, :, None].float()
        made.append(augment.crop(pixels, policy, numbers.of([i]), settings.size, settings.mirror)[0, :, 0])
    return tuple(torch.split(torch.stack(made) >= 0.5, [len(level) for level in frames[0]], dim=1))


_NOBODY: Boxes = (np.zeros((0, 4), np.float32),)


def _augment(pixels: Tensor, policy: AugmentPolicy, numbers: augment.Draw, settings: ViewSettings) -> Tensor:
    """(N, T, H, W, 3) uint8 -> (N, T, 3, size, size) float in about [0, 1]."""
    # Axes move while a pixel is one byte; the float copy is then contiguous, as `crop` needs it.
    frames = pixels.permute(0, 1, 4, 2, 3).contiguous().float().div_(255)
    frames = augment.crop(frames, policy, numbers, settings.size, settings.mirror)
    if policy.rand_augment is not None:
        frames = rand_augment(frames, policy.rand_augment, numbers.operation)
    return augment.recolor(frames, policy, numbers) if policy.photometric else frames
