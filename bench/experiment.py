"""What computes a trial: scene, model, training, predictions.  It opens no file.

Everything here can change a number, and what cannot change one is elsewhere, so that `code_hash` stands for
the numbers alone.
"""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bench import evaluate, plugins
from bench.spec import Net, TrialSpec
from bench.train import State, build_optimizer, train, warmup_steps
from datasets.draws import generator
from datasets.errors import UserError
from datasets.loader import BatchSizes, Loader
from datasets.read_ahead import ReadAhead
from datasets.splits import Split
from datasets.types import ClipRef, ClipTable, TaskInfo
from datasets.views import FrameStore, ViewSettings
from methods import ema
from methods.base import Method
from methods.config import build


class Frames(FrameStore, Protocol):
    """Decoded frames, and why some clips have none; the clip cache is one."""

    errors: dict[str, str]


@dataclass(frozen=True)
class Scene:
    """Everything that a trial trains and evaluates on."""

    split: Split
    scored: tuple[ClipRef, ...]
    cache: Frames
    task: TaskInfo
    settings: ViewSettings
    device: torch.device


class Experiment:
    """A trial between its data and its predictions.

    Args:
        spec: the trial.
        scene: its data.

    Raises:
        UserError: for a config that is out of range or a method that this task cannot serve.
    """

    def __init__(self, spec: TrialSpec, scene: Scene) -> None:
        self._spec, self.scene = spec, scene
        self.state = build_state(spec, scene)
        self._loader = _build_loader(spec, scene, self.state.method)
        self.best = Best(spec, scene)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain data: all that training has changed so far."""
        return {"state": self.state.state_dict(), "best": self.best.state_dict()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The opposite of `state_dict`."""
        self.state.load_state_dict(saved["state"])
        self.best.load_state_dict(saved["best"])

    def train(self, log: Callable[[dict[str, Any]], None], after: Callable[[], None]) -> None:
        """Trains to the end of the budget; `after` is called after every step."""
        hidden = torch.tensor([clip.label for clip in self.scene.split.unlabeled] or [0])

        def step_done(state: State) -> None:
            self.best.look(state)
            after()

        spec = self._spec
        try:
            train(
                self.state,
                self._loader,
                spec.protocol,
                seed=spec.seed,
                hidden_labels=hidden,
                log=log,
                after=step_done,
            )
        finally:
            self._loader.close()

    def predictions(self) -> pd.DataFrame:
        """Predictions of the chosen weights on the clips that are scored, see `evaluate.prediction_table`."""
        self.best.restore(self.state)
        return _predict(self._spec, self.scene, self.state)

    @property
    def checkpoint_step(self) -> int:
        """The step whose weights are evaluated."""
        return self.best.step if self.best.step is not None else self.state.step


def set_determinism(spec: TrialSpec) -> None:
    """Threads, seeds, kernels: set by the trial itself, so that every executor gives the same bits."""
    torch.set_num_threads(spec.protocol.threads)
    torch.manual_seed(spec.seed)
    random.seed(spec.seed)
    np.random.seed(spec.seed)  # a plugin may use the global generator
    if spec.protocol.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Set both ways: a worker runs many trials, and the last one may have asked for the opposite.
    torch.use_deterministic_algorithms(spec.protocol.deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # The deterministic mode fills every fresh tensor, which costs 12 % of a step and guards only against
    # reading what nobody wrote; no operation of ours does that.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def make_scene(spec: TrialSpec, table: ClipTable, split: Split, cache: Frames) -> Scene:
    """What a trial sees of a data set.

    Raises:
        UserError: when no labeled clip can be decoded, or there is nothing to score.
    """
    usable = _decodable(split, cache, spec.seed)
    protocol = spec.protocol
    task = TaskInfo(
        classes=len(table.classes),
        labeled=len(usable.labeled),
        unlabeled=len(usable.unlabeled),
        class_counts=tuple(
            np.bincount([c.label for c in usable.labeled], minlength=len(table.classes)).tolist()
        ),
        frames=protocol.frames,
        mirror=table.mirror,
        boxes=bool(table.boxes),
    )
    settings = ViewSettings(
        policies=protocol.augmentations,
        size=protocol.size,
        normalize=protocol.normalize,
        mirror=table.mirror,
        boxes=table.boxes,
    )
    scored = split.test if spec.scored_on == "test" else split.validation
    if not scored:
        raise UserError(
            f"{spec.cell} has no {spec.scored_on} clips to score; give the data set a {spec.scored_on} list"
            + (", or at least 20 labels per class." if spec.scored_on == "validation" else ".")
        )
    return Scene(usable, scored, cache, task, settings, torch.device(spec.device))


def _decodable(split: Split, cache: Frames, seed: int) -> Split:
    """The split without undecodable clips in training and validation; test keeps its list.

    Unlabeled clips change their order: splits are sorted by name, names often tell the class, and a
    method sees each clip's position.
    """
    kept = {
        role: tuple(clip for clip in getattr(split, role) if clip.key not in cache.errors)
        for role in ("labeled", "unlabeled", "validation")
    }
    order = generator(seed, "unlabeled positions").permutation(len(kept["unlabeled"]))
    kept["unlabeled"] = tuple(kept["unlabeled"][i] for i in order)
    if not kept["labeled"]:
        raise UserError("not one labeled clip can be decoded; look at them with: bench data verify NAME")
    return Split(test=split.test, hash=split.hash, **kept)


def build_state(spec: TrialSpec, scene: Scene) -> State:
    """Method, average and optimizer at step 0.

    Raises:
        UserError: for a config that is out of range or a method that this task cannot serve.
    """
    cls = plugins.method_class(spec.method)
    config = build(cls.Config, spec.config, f"method '{spec.method}'")
    refused = cls.unsupported(config, scene.task)
    if refused:
        raise UserError(f"method '{spec.method}' cannot run on {spec.cell}: {refused}.")
    method = cls(config, scene.task, partial(build_backbone, spec.backbone)).to(scene.device)
    refuse_views(method, spec, f"method '{spec.method}'")
    average = ema.frozen_copy(method.student)
    return State(method, average, build_optimizer(list(method.student.parameters()), spec.protocol.optimizer))


def refuse_views(method: Method, spec: TrialSpec, where: str) -> None:
    """That the suite defines the augmentation of every view, and that there are clips to show.

    Raises:
        UserError: it does not, or there are none; the sentence begins with `where`.
    """
    recipe, known = method.recipe(), spec.protocol.augmentations
    if recipe.unlabeled and not method.task.unlabeled:
        raise UserError(f"{where}: it learns from unlabeled clips, and {spec.cell} has none to learn from.")
    for view in (*recipe.labeled.values(), *recipe.unlabeled.values()):
        if view.augment not in known:
            raise UserError(
                f"{where}: it asks for a view with the augmentation '{view.augment}', which the suite lacks "
                f"(it has {', '.join(sorted(known))}); define it under protocol.augmentations."
            )
        if view.persons and known[view.augment].rand_augment is not None:
            raise UserError(
                f"{where}: it asks where persons are in a view augmented as '{view.augment}', and nobody "
                "follows them through rand_augment; take that out of the policy or give detector weights."
            )


def build_backbone(net: Net) -> nn.Module:
    """The net of a trial with its initial weights.

    Raises:
        UserError: for a setting that the backbone does not have, or weights where it takes none.
    """
    builder = plugins.backbone_builder(net.name)
    plugins.check_backbone_config(net.name, net.config)
    if net.weights == "random":
        return builder(**net.config)
    if "weights" not in inspect.signature(builder).parameters:
        raise UserError(
            f"backbone '{net.name}' has no ready-made weights to start from, but the suite gives it "
            f"'{net.weights}'; write 'weights: random'."
        )
    return builder(weights=net.weights, **net.config)


def _build_loader(spec: TrialSpec, scene: Scene, method: Method) -> Loader | ReadAhead:
    """Batches by (micro) step; for a GPU, the trial's processor threads read them ahead."""
    sizes, steps = spec.protocol.batch, spec.protocol.steps
    loader = Loader(
        store=scene.cache,
        labeled=scene.split.labeled,
        unlabeled=scene.split.unlabeled,
        recipe=method.recipe(),
        settings=scene.settings,
        sizes=BatchSizes(labeled=sizes.labeled, unlabeled=sizes.unlabeled, warmup=sizes.warmup),
        warmup_steps=warmup_steps(method, steps) * sizes.accumulate,
        seed=spec.seed,
        device=scene.device,
    )
    if scene.device.type == "cpu":  # its threads are those that train
        return loader
    return ReadAhead(loader, steps=steps * sizes.accumulate, workers=spec.protocol.threads, pin=True)


def evaluated_model(spec: TrialSpec, state: State) -> nn.Module:
    """The weights that the suite evaluates."""
    return state.average if spec.protocol.evaluation.model == "ema" else state.method.student


def _predict(spec: TrialSpec, scene: Scene, state: State) -> pd.DataFrame:
    keys = [clip.key for clip in scene.scored if clip.key not in scene.cache.errors]
    logits = evaluate.logits_of(
        state.method,
        evaluated_model(spec, state),
        scene.cache,
        keys,
        scene.settings,
        spec.protocol.evaluation.batch,
        scene.device,
    )
    return evaluate.prediction_table(scene.scored, logits, keys, scene.cache.errors)


class Best:
    """Keeps the weights that were best on validation clips, where the suite's rule asks for it."""

    def __init__(self, spec: TrialSpec, scene: Scene) -> None:
        self._spec, self._scene = spec, scene
        self._on = spec.protocol.checkpoint == "best_validation"
        self._accuracy = -1.0
        self._weights: dict[str, Tensor] = {}
        self.step: int | None = None
        if self._on and not scene.split.validation:
            raise UserError(
                f"checkpoint rule 'best_validation' needs validation clips, and {spec.cell} has none; "
                "use 'final', or at least 20 labels per class."
            )

    def look(self, state: State) -> None:
        """Validates when it is time."""
        every = self._spec.protocol.validate_every
        if not self._on or (state.step % every and state.step < self._spec.protocol.steps):
            return
        scene, model = self._scene, evaluated_model(self._spec, state)
        keys = [clip.key for clip in scene.split.validation]
        batch = self._spec.protocol.evaluation.batch
        logits = evaluate.logits_of(
            state.method, model, scene.cache, keys, scene.settings, batch, scene.device
        )
        labels = np.array([clip.label for clip in scene.split.validation])
        accuracy = float((logits.argmax(1) == labels).mean())
        if accuracy > self._accuracy:
            self._accuracy, self.step = accuracy, state.step
            self._weights = {name: value.clone() for name, value in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs to know of the best weights so far."""
        return {"accuracy": self._accuracy, "step": self.step, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The opposite of `state_dict`."""
        self._accuracy, self.step, self._weights = state["accuracy"], state["step"], state["weights"]

    def restore(self, state: State) -> None:
        """Puts the best weights into the evaluated model."""
        if self._weights:
            evaluated_model(self._spec, state).load_state_dict(self._weights)
