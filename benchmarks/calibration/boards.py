"""Simulated boards: logistic nets on clips that differ in difficulty, for all methods and for each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

LEVEL = 1.0
"""Mean ability on the logit scale: an accuracy of about two thirds."""
DIFFICULTY, TASTE = 1.5, 0.7
"""Standard deviations over clips: of the difficulty that all methods share, and of each method's own."""
KINSHIP = 0.7
"""Share of a method's own variance, over clips and over seeds, that it has in common with its family."""
DIVERGES, CLASSES = 0.1, 12
"""Probability that a run of shape "diverging" diverges; it then answers one class for all clips."""

SHAPES = ("equal", "noisy baseline", "noisy rival", "two families")
"""Those of the protocol; "diverging" is measured beside them."""

Board = tuple[NDArray[np.bool_], list[int]]
"""(methods, seeds, clips) correctness, and the methods that diverged on some seed."""


@dataclass(frozen=True)
class Setting:
    """One kind of simulated board.

    Attributes:
        shape: one of `SHAPES`: who is as noisy as whom, and who resembles whom.
        methods: number of methods; the first is the baseline, the last the one that may lead.
        seeds: per method.
        clips: of the test set.
        sd: standard deviation over seeds of a pair's true difference, in points.
        lead: by how many points the last method is truly better; 0 for "equal by construction".
        boards: how many are simulated.
    """

    shape: str
    methods: int
    seeds: int
    clips: int
    sd: float
    lead: float
    boards: int

    @property
    def key(self) -> str:
        """Names it in the file of results."""
        return json.dumps(asdict(self), sort_keys=True)


def simulate(setting: Setting, rng: np.random.Generator) -> Board:
    """One board."""
    k, n, m = setting.methods, setting.seeds, setting.clips
    ability = np.full(k, LEVEL)
    ability[-1] += shift(setting.lead)
    noise = np.full(k, setting.sd / 100 / np.sqrt(2) / slope())
    noise[0] *= 3 if setting.shape == "noisy baseline" else 1
    noise[-1] *= 3 if setting.shape == "noisy rival" else 1
    family = np.arange(k) * 2 // k if setting.shape == "two families" else np.arange(k)
    shared = KINSHIP if setting.shape == "two families" else 0.0
    taste = TASTE * _kin(rng, family, shared, (m,))
    luck = noise[:, None] * _kin(rng, family, shared, (n,))
    of_clip = rng.normal(0, DIFFICULTY, m) + taste + ability[:, None]
    odds = -of_clip.astype(np.float32)[:, None, :] - luck.astype(np.float32)[:, :, None]
    np.exp(odds, out=odds)
    odds += 1  # now 1 / probability of a right answer
    odds *= rng.random((k, n, m), dtype=np.float32)
    correct = odds < 1
    if setting.shape != "diverging":
        return correct, []
    lost = rng.random((k, n)) < DIVERGES
    correct[lost] = np.arange(m) % CLASSES == 0
    return correct, np.flatnonzero(lost.any(1)).tolist()


def _kin(
    rng: np.random.Generator, family: NDArray[np.int64], shared: float, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """(methods, *shape) standard normal, members of one family correlated by `shared`."""
    own = rng.normal(size=(len(family), *shape))
    common = rng.normal(size=(len(family), *shape))[family]
    return np.asarray(np.sqrt(shared) * common + np.sqrt(1 - shared) * own, dtype=np.float64)


@cache
def _population() -> NDArray[np.float64]:
    """Latent abilities over very many clips, on a grid of quantiles: no draw, so no error of a draw."""
    total = float(np.hypot(DIFFICULTY, TASTE))
    grid = (np.arange(20_000) + 0.5) / 20_000
    return np.asarray(LEVEL + total * ndtri(grid), dtype=np.float64)


def accuracy(ability: float) -> float:
    """Expected accuracy of a method whose ability exceeds `LEVEL` by this much."""
    return float((1 / (1 + np.exp(-_population() - ability))).mean())


@cache
def slope() -> float:
    """How much accuracy a unit of ability is worth."""
    return (accuracy(1e-4) - accuracy(-1e-4)) / 2e-4


@cache
def true_sd(seen: float, clips: int) -> float:
    """The sd of a pair's true difference, in points, at which its scores on so many clips have sd `seen`.

    Every answer is a coin of its own, which adds 2 mean(p (1 - p)) / clips to the variance over seeds.
    """
    p = 1 / (1 + np.exp(-_population()))
    coins = 1e4 * 2 * float((p * (1 - p)).mean()) / clips
    return round(float(np.sqrt(seen**2 - coins)), 2)


@cache
def shift(points: float) -> float:
    """The ability that is worth so many points of accuracy, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if accuracy(middle) - accuracy(0.0) < points / 100 else (low, middle)
    return high if points else 0.0
