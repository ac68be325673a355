"""From a recipe to batches: which clips at which step, their frames, their views.

A batch is made in two halves, because they have their places: `Loader.read` gathers pixels in memory, and may
run in any thread and ahead of time (`datasets.read_ahead`); `Loader.show` makes views of them on the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datasets import augment, draws
from datasets.policy import AugmentPolicy
from datasets.sampling import windowed
from datasets.types import Batch, Clip, ClipRef, Indices, Recipe, View
from datasets.views import FrameStore, GatheredView, Pixels, ViewSettings, gather, render_persons, show


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
class BatchSizes:
    """Clips per step: labeled and unlabeled, and labeled ones while there is no unlabeled loss yet."""

    labeled: int
    unlabeled: int
    warmup: int


@dataclass(frozen=True)
class Gathered:
    """A batch whose pixels are read: views by name, positions of both lists, epochs of the unlabeled one."""

    labeled: Mapping[str, GatheredView]
    positions: NDArray[np.int64]
    unlabeled: Mapping[str, GatheredView]
    others: NDArray[np.int64]
    epochs: NDArray[np.int64]


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
        return self.show(self.read(step))

    def read(self, step: int, pin: bool = False) -> Gathered:
        """The pixels of a batch, as bytes in memory.  Threads may call this at once.

        Args:
            step: of the trial, 0-based.
            pin: whether into page-locked memory, from where a GPU fetches them by itself.
        """
        positions, epochs = self._labeled_places(step)
        labeled = self._gathered(self._recipe.labeled, self._labeled, positions, epochs, "labeled", pin)
        unlabeled: dict[str, GatheredView] = {}
        others, epochs_u = np.empty(0, np.int64), np.empty(0, np.int64)
        if step >= self._warmup and self._recipe.unlabeled:
            count = self._sizes.unlabeled
            others, epochs_u = self._unlabeled_stream.take((step - self._warmup) * count, count)
            unlabeled = self._gathered(
                self._recipe.unlabeled, self._unlabeled, others, epochs_u, "unlabeled", pin
            )
        return Gathered(labeled, positions, unlabeled, others, epochs_u)

    def show(self, read: Gathered) -> Batch:
        """The views of a batch, made on the device."""
        index = torch.from_numpy(read.positions)
        persons = self._persons(read.others, read.epochs) if read.unlabeled else {}
        return Batch(
            labeled=self._views(self._recipe.labeled, read.labeled),
            label=self._labels[index].to(self._device),
            labeled_index=index.to(self._device),
            unlabeled=self._views(self._recipe.unlabeled, read.unlabeled),
            unlabeled_index=torch.from_numpy(read.others).to(self._device),
            persons=persons,
        )

    def close(self) -> None:
        """Nothing is open: this is for those who may have a loader that reads ahead."""

    def _labeled_places(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        warm = min(step, self._warmup) * self._sizes.warmup
        start = warm + max(0, step - self._warmup) * self._sizes.labeled
        count = self._sizes.warmup if step < self._warmup else self._sizes.labeled
        return self._labeled_stream.take(start, count)

    def _gathered(
        self,
        views: Mapping[str, View],
        clips: Sequence[ClipRef],
        positions: NDArray[np.int64],
        epochs: NDArray[np.int64],
        pool: str,
        pin: bool,
    ) -> dict[str, GatheredView]:
        keys = [clips[i].key for i in positions]
        made: dict[str, GatheredView] = {}
        same: dict[bytes, tuple[Pixels, ...]] = {}  # views that show equal frames share their pixels
        for name, view in views.items():
            frames, numbers = self._drawn(name, view, keys, positions, epochs, pool)
            shown = b"".join(level.tobytes() for each in frames for level in each)
            if shown not in same:
                same[shown] = gather(self._store, keys, frames, pin)
            made[name] = GatheredView(same[shown], [len(level) for level in frames[0]], numbers)
        return made

    def _views(self, views: Mapping[str, View], read: Mapping[str, GatheredView]) -> dict[str, Clip]:
        policies = self._settings.policies
        return {
            name: show(each, policies[views[name].augment], self._settings, self._device)
            for name, each in read.items()
        }

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
