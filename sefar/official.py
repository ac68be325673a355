"""SeFAR as released (commit d0435a9): where the code departs from the paper, each departure a toggle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from torch import Tensor

from datasets.types import Batch, Clip, TaskInfo
from methods import ema, losses, mixing
from methods.base import BuildBackbone, Progress, Step
from methods.draws import Draws
from sefar.method import SeFAR


def flip_colors(clip: Clip, context_too: bool) -> Clip:
    """(U, C, T, H, W) levels with their colors in reverse order; the last level only with `context_too`."""
    last = len(clip) - 1
    return tuple(x.flip(1) if context_too or level < last else x for level, x in enumerate(clip))


def drop_frame_channels(clip: Clip, p: float, draws: Draws, purpose: str) -> Clip:
    """Drops color channels of single frames with probability p, survivors scaled by 1 / (1 - p).

    What `dropout2d` does when every frame is an image of its own.
    """
    if p == 0:
        return clip
    return tuple(
        x * draws.dropout(tuple(x.shape[:3]), p, f"{purpose}/{level}").to(x)[..., None, None]
        for level, x in enumerate(clip)
    )


class SeFAROfficial(SeFAR):
    """SeFAR's losses with the behavior of the released code.

    The defaults of the toggles are what the release does; the other value is what the paper means.  With
    `reversal: time`, `partners: shared`, `ema_moves: 1` and `ema_warm: true` this is `sefar`, which keeps
    the other three from the release.
    """

    name = "sefar_official"

    @dataclass(frozen=True, kw_only=True)
    class Config(SeFAR.Config):
        """SeFAR's settings, and the departures.

        `reversal`: the flip of the fine-grained levels runs over the color axis (RGB becomes BGR) instead
        of time.  `partners`: each level draws its own mixing partners, while targets and weights follow
        those of the last level.  `channels`: dropout2d on a five-axis tensor drops a color channel in all
        frames of a clip; `frame` drops it in single frames.  `partner_dropout`: whether the partner has
        dropout too.  `mix_prediction`: what is compared with the mixed target.  `ema_moves`: moves of the
        teacher per optimizer step; the release moves it after each of 8 micro-batches, without warm decay.
        """

        reversal: Literal["color", "time"] = "color"
        partners: Literal["per_level", "shared"] = "per_level"
        channels: Literal["clip", "frame"] = "clip"
        partner_dropout: bool = False
        mix_prediction: Literal["logits", "probabilities"] = "logits"
        ema_moves: Annotated[int, Ge(1)] = 8
        ema_warm: bool = False

    config: Config

    def __init__(self, config: Config, task: TaskInfo, build_backbone: BuildBackbone) -> None:
        super().__init__(config, task, build_backbone)
        self._seen = (-1, 0)  # the optimizer step and how many of its micro-batches were seen

    def perturbed(self, strong: Clip, draws: Draws) -> Clip:
        """As in the paper, or with the colors of the levels reversed that should be reversed in time."""
        how = self.config.perturbation
        if self.config.reversal == "color" and how in ("mod_reverse", "all_reverse"):
            return flip_colors(strong, context_too=how == "all_reverse")
        return super().perturbed(strong, draws)

    def drop_channels(self, clip: Clip, draws: Draws) -> Clip:
        """Color channels of whole clips, or of single frames."""
        if self.config.channels == "clip":
            return super().drop_channels(clip, draws)
        return drop_frame_channels(clip, self.config.channel_dropout, draws, "channels")

    def partner(self, perturbed: Clip, strong: Clip, order: Tensor, draws: Draws) -> Clip:
        """The partners of each level; those of the last level are the ones that targets follow."""
        source = strong if self.config.partner_dropout else perturbed
        orders = [order] * len(source)
        if self.config.partners == "per_level":
            others = range(len(source) - 1)
            orders[:-1] = [draws.permutation(len(order), f"mix/{i}").to(order.device) for i in others]
        return tuple(x[own] for x, own in zip(source, orders, strict=True))

    def mix_loss(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Squared error of raw logits, or of probabilities."""
        raw = self.config.mix_prediction == "logits"
        return mixing.mix_loss(logits if raw else losses.probabilities(logits), target, weight)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """SeFAR's step; from the second micro-batch of an optimizer step on, the teacher moves before it."""
        step, parts = self._seen
        again = step == progress.step
        if again and parts < self.config.ema_moves:
            self._move(progress, 1)
        self._seen = (progress.step, parts + 1 if again else 1)
        return super().step(batch, progress)

    def after_step(self, progress: Progress) -> None:
        """The moves of this optimizer step that did not happen between its micro-batches."""
        step, parts = self._seen
        done = min(parts, self.config.ema_moves) - 1 if step == progress.step else 0
        self._move(progress, self.config.ema_moves - done)

    def _move(self, progress: Progress, times: int) -> None:
        """`times` moves towards the same student are one with the decay to that power."""
        if self.config.ema_start == "after_warmup" and progress.step < progress.warmup_steps:
            ema.update(self.teacher, self.student, 0.0)
            return
        decay = ema.decay_at(self.config.ema_decay, progress.step, self.config.ema_warm)
        ema.update(self.teacher, self.student, decay**times)
