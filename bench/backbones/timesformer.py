"""TimeSformer with divided space-time attention (Bertasius et al., ICML 2021), as SVFormer and SeFAR use it.

All temporal levels share the weights; only the table of time embeddings is a level's own.  Module names are
those of a ViT in timm, so that image weights load by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.backbones.vit_weights import load_weights, resize_places
from datasets.errors import UserError

PATCH = 16
_EPSILON = 1e-6  # of all layer norms, as in ViT


class DropPath(nn.Module):
    """Drops the whole residual branch of a sequence with probability `p` (stochastic depth, ECCV 2016)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(N, length, D) -> the same shape; survivors are scaled by 1 / (1 - p)."""
        if not self.training or self.p == 0:
            return x
        return x * x.new_empty(x.shape[0], 1, 1).bernoulli_(1 - self.p).div_(1 - self.p)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, length, D) -> the same shape."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self._attended(q, k, v)

    def of_first(self, x: Tensor) -> Tensor:
        """(N, length, D) -> (N, 1, D): `forward` of the first token, without the others' queries."""
        dim = x.shape[2]
        weight, bias = self.qkv.weight, self.qkv.bias
        query: Tensor = F.linear(x[:, :1], weight[:dim], bias[:dim])
        both: Tensor = F.linear(x, weight[dim:], bias[dim:])
        n, length = x.shape[:2]
        q = query.view(n, 1, self.heads, -1).transpose(1, 2)
        k, v = both.view(n, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self._attended(q, k, v)

    def _attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (N, heads, m, D / heads), keys and values (N, heads, length, D / heads) -> (N, m, D)."""
        with _kernels(q):
            attended = F.scaled_dot_product_attention(q, k, v)
        return cast(Tensor, self.proj(attended.transpose(1, 2).flatten(2)))


def _kernels(q: Tensor) -> AbstractContextManager[None]:
    """Which kernels may be taken: torch's choice, but where gradients in bfloat16 are wanted of a CPU.

    There the backward pass of the fused kernel takes several times that of the plain products (torch 2.15, 56
    sequences of 50 tokens, 3 heads: 31 ms against 5 ms).
    """
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()
    return sdpa_kernel(SDPBackend.MATH) if slow else nullcontext()


class Mlp(nn.Module):
    """Two linear layers, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> the same shape."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(x))))


class Block(nn.Module):
    """Attention over time at each place, then over space in each frame, then an MLP."""

    def __init__(self, dim: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.temporal_norm1 = nn.LayerNorm(dim, _EPSILON)
        self.temporal_attn = Attention(dim, heads)
        self.temporal_fc = nn.Linear(dim, dim)
        self.norm1 = nn.LayerNorm(dim, _EPSILON)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, _EPSILON)
        self.mlp = Mlp(dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, cls: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class token (N, 1, D) and patch tokens (N, T, S, D) -> the same shapes.

        The class token takes no part in time; in space every frame has a copy of it, and the copies'
        updates are averaged.
        """
        n, frames, places = x.shape[:3]
        x = self._over_time(x)
        update = self.drop_path(self.attn(self._frames_of(cls, x))).unflatten(0, (n, frames))
        cls = cls + update[:, :, :1].mean(1)
        x = x + update[:, :, 1:]
        tokens = torch.cat([cls, x.flatten(1, 2)], 1)
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens[:, :1], tokens[:, 1:].unflatten(1, (frames, places))

    def class_token(self, cls: Tensor, x: Tensor) -> Tensor:
        """The class token of `forward`, (N, 1, D), alone: all that is asked of the last block.

        Patch tokens are needed up to the keys and values of the attention over space.  Their queries and what
        follows, 10 of the block's 17 products of D x D per token, are left out.
        """
        n, frames = x.shape[:2]
        x = self._over_time(x)
        update = self.drop_path(self.attn.of_first(self._frames_of(cls, x))).unflatten(0, (n, frames))
        cls = cls + update.mean(1)
        return cast(Tensor, cls + self.drop_path(self.mlp(self.norm2(cls))))

    def _over_time(self, x: Tensor) -> Tensor:
        """Patch tokens after the attention over time."""
        n, _, places = x.shape[:3]
        over_time = x.transpose(1, 2).flatten(0, 1)
        update = self.temporal_fc(self.drop_path(self.temporal_attn(self.temporal_norm1(over_time))))
        return cast(Tensor, x + update.unflatten(0, (n, places)).transpose(1, 2))

    def _frames_of(self, cls: Tensor, x: Tensor) -> Tensor:
        """(N T, 1 + S, D): the normalized tokens of each frame behind a copy of the class token."""
        copies = cls[:, None].expand(-1, x.shape[1], -1, -1)
        return cast(Tensor, self.norm1(torch.cat([copies, x], 2).flatten(0, 1)))


class PatchEmbed(nn.Module):
    """Non-overlapping 16 x 16 patches of each frame -> tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, D, H / 16, W / 16)."""
        return cast(Tensor, self.proj(x))


class TimeSformer(nn.Module):
    """Divided space-time attention; the feature is the class token.

    The temporal attention starts as a copy of the spatial one and its last projection at zero, so that the
    net starts as an image ViT that looks at frames one by one.

    Args:
        dim: feature width D.
        heads: attention heads.
        depth: blocks.
        frames_per_level: length of each level's time table.
        image: crop side for which the table of positions is made; other sizes are interpolated.
        drop_path: stochastic depth of the last block, growing linearly from 0 at the first.
    """

    patch = (1, PATCH, PATCH)
    whole_patches = True
    """A crop that is no multiple of the patch would lose a rim of pixels; the harness refuses it."""

    def __init__(
        self,
        dim: int,
        heads: int,
        depth: int,
        frames_per_level: Sequence[int] = (8,),
        image: int = 224,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.grid = image // PATCH
        self.patch_embed = PatchEmbed(dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, dim))
        self.time_embed = nn.ParameterList([torch.zeros(1, n, dim) for n in frames_per_level])
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList([Block(dim, heads, rate) for rate in rates])
        self.norm = nn.LayerNorm(dim, _EPSILON)
        self._initialize()

    def _initialize(self) -> None:
        """ViT's initial weights: truncated normal of sd 0.02, biases 0."""
        for table in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.start_as_image_net()

    def start_as_image_net(self) -> None:
        """Copies the spatial attention into the temporal one and zeroes what follows it."""
        for block in cast("list[Block]", list(self.blocks)):
            block.temporal_norm1.load_state_dict(block.norm1.state_dict())
            block.temporal_attn.load_state_dict(block.attn.state_dict())
            nn.init.zeros_(block.temporal_fc.weight)
            nn.init.zeros_(block.temporal_fc.bias)

    def forward(self, x: Tensor, level: int = 0) -> Tensor:
        """(N, 3, T, H, W) -> (N, D), for any T and any H, W from 16 on.

        Raises:
            UserError: for a level without a time table.
        """
        n = x.shape[0]
        tokens = self.patch_embed(x.transpose(1, 2).flatten(0, 1))
        places = self._places(tokens.shape[-2], tokens.shape[-1])
        tokens = tokens.flatten(2).transpose(1, 2) + places
        tokens = tokens.unflatten(0, (n, -1)) + self._times(level, x.shape[2])
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(n, -1, -1)
        *blocks, last = cast("list[Block]", list(self.blocks))
        for block in blocks:
            cls, tokens = block(cls, tokens)
        return cast(Tensor, self.norm(last.class_token(cls, tokens)[:, 0]))

    def _places(self, rows: int, columns: int) -> Tensor:
        """(1, rows columns, D) position embeddings, interpolated where the crop is not the table's."""
        return resize_places(self.pos_embed[:, 1:], rows, columns)

    def _times(self, level: int, frames: int) -> Tensor:
        """(1, T, 1, D) time embeddings of a level, interpolated where T is not the table's length."""
        if level >= len(self.time_embed):
            lengths = [table.shape[1] for table in self.time_embed]
            raise UserError(
                f"this TimeSformer has time tables for levels of {lengths} frames, but clips have a level "
                f"{level + 1}; give the backbone's config field 'frames_per_level' one number per level."
            )
        table: Tensor = self.time_embed[level]
        if table.shape[1] != frames:
            moved = F.interpolate(table.transpose(1, 2), size=frames, mode="linear", align_corners=False)
            table = moved.transpose(1, 2)
        return table[:, :, None]


def _build(
    dim: int, heads: int, depth: int, frames_per_level: Sequence[int], weights: str, image: int
) -> TimeSformer:
    net = TimeSformer(dim, heads, depth, frames_per_level, image)
    if weights != "random":
        load_weights(net, weights)
    return net


def tiny(
    frames_per_level: Sequence[int] = (8,), weights: str = "random", image: int = 224, depth: int = 4
) -> TimeSformer:
    """`timesformer_tiny`: D 192, 3 heads, 4 blocks (12 in ViT-Ti); for tests and for a CPU."""
    return _build(192, 3, depth, frames_per_level, weights, image)


def small(frames_per_level: Sequence[int] = (8,), weights: str = "random", image: int = 224) -> TimeSformer:
    """`timesformer_small`: ViT-S, 30.5 million parameters; SeFAR's and SVFormer's smaller backbone."""
    return _build(384, 6, 12, frames_per_level, weights, image)


def base(frames_per_level: Sequence[int] = (8,), weights: str = "random", image: int = 224) -> TimeSformer:
    """`timesformer_base`: ViT-B, 121 million parameters."""
    return _build(768, 12, 12, frames_per_level, weights, image)
