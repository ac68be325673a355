"""A straightforward transcription of the published SeFAR step, which `sefar_step.py` times ours against.

Written the way the procedure reads: the student sees labeled, strong and mixed clips one after the other,
the teacher makes K passes through the whole net with its dropout on, attention is a softmax of a product,
the last block computes tokens that nothing reads, and the average moves tensor by tensor.  Nothing else
differs, so the losses are those of `sefar`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.backbones.timesformer import Attention, Block
from datasets.types import Batch, Clip
from methods import mixing, ramps
from methods.base import Progress
from methods.draws import Draws
from sefar.method import SeFAR
from sefar.regulation import adaptive_weight


def explicit_attention(layer: Attention, x: Tensor) -> Tensor:
    """Multi-head self-attention with its (N, heads, length, length) weights written out."""
    n, length, dim = x.shape
    qkv = layer.qkv(x).reshape(n, length, 3, layer.heads, dim // layer.heads).permute(2, 0, 3, 1, 4)
    q, k, v = qkv[0], qkv[1], qkv[2]
    weights = (q @ k.transpose(-2, -1)) * (dim // layer.heads) ** -0.5
    attended = weights.softmax(dim=-1) @ v
    out: Tensor = layer.proj(attended.transpose(1, 2).reshape(n, length, dim))
    return out


def whole_block(block: Block, cls: Tensor, x: Tensor) -> Tensor:
    """The class token of a block that computes all of its tokens."""
    made, _ = block(cls, x)
    return made


class Transcript:
    """The published step on the student and teacher of a method, which it takes over.

    Args:
        method: SeFAR with a TimeSformer; its attention and its last block are replaced.
    """

    def __init__(self, method: SeFAR) -> None:
        self.student, self.teacher, self._config = method.student, method.teacher, method.config
        self._patch = method.patch
        for model in (self.student, self.teacher):
            for module in model.modules():
                if isinstance(module, Attention):
                    module.forward = explicit_attention.__get__(module)  # type: ignore[method-assign]
                elif isinstance(module, Block):
                    module.class_token = whole_block.__get__(module)  # type: ignore[method-assign]

    def losses(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """The weighted terms of one step."""
        config, draws = self._config, progress.draws
        mean, deviation = self._teach(batch.unlabeled["weak"])
        confidence, label = mean.max(1)
        weight = adaptive_weight(confidence, deviation.gather(1, label[:, None])[:, 0])

        strong = self._reversed(batch.unlabeled["strong"])
        dropped = self._without_channels(strong, draws)
        share, order = draws.beta(config.beta, config.beta), draws.permutation(len(label)).to(label.device)
        mixed = mixing.tube_mix(dropped, tuple(x[order] for x in strong), share, self._patch, draws)

        labeled_z = self.student(batch.labeled["labeled"])
        strong_z = self.student(dropped)
        mixed_z = self.student(mixed)
        target = share * mean + (1 - share) * mean[order]
        mixed_weight = share * weight + (1 - share) * weight[order]
        ramp = ramps.sine(progress.semi_step + 1, progress.total_steps - progress.warmup_steps)
        unsupervised = (weight * F.cross_entropy(strong_z, label, reduction="none")).mean()
        mix = (mixed_weight * ((mixed_z - target) ** 2).mean(1)).mean()
        return {
            "supervised": F.cross_entropy(labeled_z, batch.label),
            "unsupervised": ramp * config.unlabeled_weight * unsupervised,
            "mix": ramp * config.mix_weight * mix,
        }

    @torch.no_grad()
    def _teach(self, weak: Clip) -> tuple[Tensor, Tensor]:
        """Mean and deviation of K full passes with nothing but dropout active."""
        self.teacher.eval()
        for module in self.teacher.modules():
            if isinstance(module, nn.Dropout):
                module.train()
        passes = [self.teacher(weak).float().softmax(1) for _ in range(self._config.teacher_passes)]
        together = torch.stack(passes)
        return together.mean(0), together.std(0)

    @staticmethod
    def _reversed(clip: Clip) -> Clip:
        return (*(level.flip(2) for level in clip[:-1]), clip[-1])

    def _without_channels(self, clip: Clip, draws: Draws) -> Clip:
        return mixing.drop_channels(clip, self._config.channel_dropout, draws, "channels")

    @torch.no_grad()
    def move_teacher(self, decay: float) -> None:
        """The average of the weights, one tensor after the other, buffers included."""
        theirs = self.student.state_dict()
        for name, value in self.teacher.state_dict().items():
            if value.is_floating_point():
                value.copy_(decay * value + (1 - decay) * theirs[name])
            else:
                value.copy_(theirs[name])
