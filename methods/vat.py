"""VAT: the prediction must not change in the direction in which it changes most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from datasets.types import Batch, Clip, Recipe
from methods import losses, ramps, recipes, soft_losses
from methods.base import Method, Progress, Source, Step
from methods.config import Choices, Count, Positive, Share, Weight
from methods.draws import Draws
from methods.passes import repeatable


def gaussian(clip: Clip, draws: Draws) -> Clip:
    """Standard normal numbers in the shapes of `clip`, on its device."""
    return tuple(draws.normal(tuple(x.shape), f"direction/{i}").to(x) for i, x in enumerate(clip))


def unit(clip: Clip) -> Clip:
    """Every sample divided by its Euclidean norm over all axes but the batch's, and over all levels.

    Args:
        clip: (N, ...) per level, of any number of axes; a sample of zeros stays zero.
    """
    peak = torch.stack([x.flatten(1).abs().amax(1) for x in clip]).amax(0)
    # Squares of a saturated net's gradients underflow; times a power of two, which is exact, they do not.
    power = torch.exp2(-torch.frexp(peak).exponent.clamp(-120, 120).to(peak.dtype))
    clip = tuple(x * power.view(-1, *[1] * (x.dim() - 1)) for x in clip)
    squares = torch.stack([x.flatten(1).square().sum(1) for x in clip]).sum(0)
    norm = squares.sqrt().clamp(min=torch.finfo(squares.dtype).tiny)
    return tuple(x / norm.view(-1, *[1] * (x.dim() - 1)) for x in clip)


def adversarial(
    model: Callable[[Clip], Tensor],
    clip: Clip,
    clean: Tensor,
    start: Clip,
    *,
    epsilon: float,
    xi: float,
    iterations: int = 1,
) -> Clip:
    """The perturbation of norm `epsilon` that changes the prediction most, by power iteration.

    d <- unit(∇_d KL(softmax(clean) ‖ softmax z(x + ξ d))), from d = unit(start) (VAT, section 3.3).  No
    gradient of the model's weights is touched.

    Args:
        model: logits of a clip; two calls with one clip must agree, or the gradient shows their difference.
        clip: (U, C, T, H, W) per level.
        clean: (U, C) logits of `clip` by `model`.
        start: d_0, in the shapes of `clip`.
        epsilon: norm of the result, per sample over all levels.
        xi: norm of the probe.
        iterations: of the power method.

    Returns:
        Constants in the shapes of `clip`.
    """
    direction = unit(start)
    for _ in range(iterations):
        probe = tuple(d.detach().requires_grad_() for d in direction)
        logits = model(tuple(x + xi * d for x, d in zip(clip, probe, strict=True)))
        change = soft_losses.divergence(clean.detach(), logits)
        direction = unit(torch.autograd.grad(change, probe))
    return tuple(epsilon * d for d in direction)


class VAT(Method):
    """L = L_s + λ w(t) mean_U KL(sg p ‖ softmax z(x + r)) + λ_H mean_U H(p), r adversarial of norm ε.

    r is a constant; of the two distributions of the divergence only the perturbed one learns.  Directions
    are normalised over all axes of a clip (a public code base knows arrays of up to four axes alone).

    The three passes of unlabeled clips (clean, probe, perturbed) share their dropout masks, so that they
    differ by the perturbation alone, and move no running statistics: those come from the labeled pass, as
    in the authors' code.  Clean pass and probe run in full precision even under autocast: the probe is
    smaller than what bfloat16 resolves.
    """

    name = "vat"
    source = Source(
        "Virtual Adversarial Training: A Regularization Method for Supervised and Semi-Supervised Learning",
        "TPAMI",
        2018,
        "https://arxiv.org/abs/1704.03976",
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Method.Config):
        """ε = 6, λ_H = 0.06, λ = 1 and the ramp over 0.4 of training are USB's, for images of 32 x 32 pixels.

        (The paper's ε for CIFAR-10 is 8: default to be confirmed.)  ξ is 1e-6 there, which float32 loses: in
        a clip of 8 x 32 x 32 pixels a direction of norm 1 has components of about 0.006, and pixels near 1
        are 1e-7 apart, so that x + ξ d = x.  Ours is 0.1, still far below ε.
        """

        epsilon: Annotated[Positive, Choices((1.0, 3.0, 6.0, 12.0))] = 6.0
        xi: Positive = 0.1
        iterations: Count = 1
        unlabeled_weight: Annotated[Weight, Choices((0.3, 1.0, 3.0))] = 1.0
        entropy_weight: Annotated[Weight, Choices((0.0, 0.06))] = 0.06
        ramp: Share = 0.4

    config: Config

    def recipe(self) -> Recipe:
        """One weak view of each unlabeled clip."""
        return recipes.one_weak(self.sampler())

    def step(self, batch: Batch, progress: Progress) -> Step:
        """A labeled pass, and three of the weak view."""
        config, weak = self.config, batch.unlabeled["weak"]
        labeled = self.student(batch.labeled["labeled"])
        model = repeatable(self.student)
        with torch.autocast(weak[0].device.type, enabled=False):
            clean = model(weak)
            start = gaussian(weak, progress.draws)
            shift = adversarial(
                model, weak, clean, start, epsilon=config.epsilon, xi=config.xi, iterations=config.iterations
            )
        perturbed = model(tuple(x + r for x, r in zip(weak, shift, strict=True)))
        weight = config.unlabeled_weight * ramps.linear(progress.semi_fraction, config.ramp)
        probs = losses.probabilities(clean.detach())
        return Step(
            {
                "supervised": losses.supervised(labeled, batch.label),
                "unsupervised": weight * soft_losses.divergence(clean.detach(), perturbed),
                "entropy": config.entropy_weight * soft_losses.entropy(clean),
            },
            pseudo_label=probs.argmax(1),
            weight=torch.ones_like(probs[:, 0]),
        )
