"""From frames to views: pixels of clips gathered in memory, augmented on the training device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets import augment, person_boxes
from datasets.person_boxes import Boxes, person_masks
from datasets.policy import AugmentPolicy
from datasets.rand_augment import rand_augment
from datasets.read_ahead import in_order
from datasets.types import Clip, ClipSampler, Indices


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


class Pixels(NamedTuple):
    """Frames of clips of one size: the places of the clips in their batch, (n, T, H, W, 3) uint8."""

    members: list[int]
    pixels: Tensor


@dataclass(frozen=True)
class GatheredView:
    """A view, its pixels read and not augmented yet: blocks by size, frames per level, random numbers."""

    blocks: tuple[Pixels, ...]
    levels: list[int]
    numbers: augment.Draw


def evaluation_clips(
    store: FrameStore,
    keys: Sequence[str],
    sampler: ClipSampler,
    settings: ViewSettings,
    batch: int,
    device: torch.device,
) -> Iterator[Clip]:
    """Deterministic views of the given clips under the policy `test`, in order, `batch` at a time."""

    def read(start: int) -> GatheredView:
        chosen = keys[start : start + batch]
        frames = [sampler.indices(store.frame_count(key), None) for key in chosen]
        return gather_view(store, chosen, frames, augment.central(len(chosen)))

    reads = (partial(read, start) for start in range(0, len(keys), batch))
    return show_all(reads, settings.policies["test"], settings, device)


def show_all(
    reads: Iterable[Callable[[], GatheredView]],
    policy: AugmentPolicy,
    settings: ViewSettings,
    device: torch.device,
) -> Iterator[Clip]:
    """Views, each read by a function, in order; for a GPU, threads read the coming ones ahead."""
    if device.type == "cpu":
        gathered: Iterable[GatheredView] = (read() for read in reads)
    else:
        gathered = in_order(reads, torch.get_num_threads())
    for each in gathered:
        yield show(each, policy, settings, device)


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
    return show(gather_view(store, keys, frames, numbers), policy, settings, device)


def gather_view(
    store: FrameStore, keys: Sequence[str], frames: Sequence[Indices], numbers: augment.Draw
) -> GatheredView:
    """The pixels of one view of a batch of clips, see `render`."""
    return GatheredView(gather(store, keys, frames), [len(level) for level in frames[0]], numbers)


def gather(
    store: FrameStore, keys: Sequence[str], frames: Sequence[Indices], pin: bool = False
) -> tuple[Pixels, ...]:
    """The given frames of the given clips, those of one size in one block.

    Args:
        store: decoded frames.
        keys: of N clips.
        frames: of each clip the positions of each level.
        pin: whether into page-locked memory.
    """
    raw = [store.frames(key)[np.concatenate(each)] for key, each in zip(keys, frames, strict=True)]
    blocks = []
    for shape in sorted({clip.shape for clip in raw}):
        members = [i for i, clip in enumerate(raw) if clip.shape == shape]
        pixels = torch.empty(len(members), *shape, dtype=torch.uint8, pin_memory=pin)
        np.stack([raw[i] for i in members], out=pixels.numpy())
        blocks.append(Pixels(members, pixels))
    return tuple(blocks)


def show(read: GatheredView, policy: AugmentPolicy, settings: ViewSettings, device: torch.device) -> Clip:
    """Augments the pixels of a view on `device` and splits the levels, see `render`."""
    if len(read.blocks) == 1:
        pixels = read.blocks[0].pixels.to(device, non_blocking=True)
        out = _augment(pixels, policy, read.numbers, settings).contiguous()
        return _levels(out, read.levels, settings)
    count = sum(len(block.members) for block in read.blocks)
    out = torch.empty(count, sum(read.levels), 3, settings.size, settings.size, device=device)
    for block in read.blocks:
        pixels = block.pixels.to(device, non_blocking=True)
        out[block.members] = _augment(pixels, policy, read.numbers.of(block.members), settings)
    return _levels(out, read.levels, settings)


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
