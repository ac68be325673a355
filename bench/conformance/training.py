"""How a method trains: its seed, its state, interruptions, batches of any size, precision, evaluation."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.checkpoints import Checkpoints
from bench.conformance.setting import (
    CLASSES,
    CLIPS,
    FRAMES,
    LABELED,
    POLICIES,
    SIZE,
    STEPS,
    ConformanceError,
    Setting,
    require,
    small_net,
)
from bench.spec import Batch, Optimizer, Protocol
from bench.train import State, build_optimizer, train
from datasets.draws import derive
from datasets.types import UNKNOWN, Clip
from datasets.views import evaluation_clips
from methods import ema
from methods.base import Head, Method
from methods.config import build

WARMUP = 2
"""Steps of the resumed training that use labels alone."""

SURER = (1.0, 30.0, 200.0, 300.0, 1000.0)
"""Factors of the last layer with which a barely trained net is sure of no, of some, of all predictions."""


def check_hidden_labels(method: type[Method]) -> None:
    """The labels of unlabeled clips change nothing."""
    told, untold = (Setting(method, hidden=label).train(3, STEPS) for label in (0, UNKNOWN))
    require(told == untold, "its losses change with the hidden labels of unlabeled clips")


def check_seed(method: type[Method]) -> None:
    """The same seed gives the same losses, bit for bit; another one does not."""
    first, second, other = (Setting(method, seed=seed).train(3, STEPS) for seed in (5, 5, 6))
    require(first == second, "two runs with one seed differ; take random numbers from progress.draws")
    require(first != other, "two runs with different seeds are equal")


def check_state(method: type[Method]) -> None:
    """What it must remember is in its state: a restored copy predicts and trains on identically."""
    trained, restored = Setting(method), Setting(method)
    trained.train(2, STEPS - 1)
    for parameter in restored.method.parameters():
        nn.init.normal_(parameter)
    restored.method.load_state_dict(trained.method.state_dict())
    same = all(map(torch.equal, trained.predictions(), restored.predictions()))
    require(same, "a copy restored from its state_dict predicts something else")
    last = [setting.train(STEPS - 1, STEPS) for setting in (trained, restored)]
    require(last[0] == last[1], "a copy restored from its state_dict trains on differently")


def check_resume(method: type[Method]) -> None:
    """Stopped at any step and resumed from its checkpoint file, it ends with the bits of no stop."""
    later = WARMUP + 1 + derive(0, f"interrupted/{method.name}") % (STEPS - WARMUP - 1)
    with tempfile.TemporaryDirectory(prefix="sefar-bench-") as folder:
        files = {step: Checkpoints(_made(Path(folder) / str(step)), method.name) for step in (1, later)}
        whole = _Training(method)
        whole.run(files)
        expected = whole.content()
        for step, file in files.items():
            resumed = _Training(method)
            resumed.load(file)
            resumed.run({})
            place = _difference(expected, resumed.content())
            require(
                place is None, f"stopped at step {step} and resumed, it ends with other bits in '{place}'"
            )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


class _Training:
    """The harness's own training loop on random clips, with the checkpoints that it writes."""

    def __init__(self, method: type[Method]) -> None:
        self._setting = Setting(method, warmup=WARMUP, config={"warmup": WARMUP / STEPS})
        self._protocol = Protocol(
            frames=FRAMES,
            short_side=SIZE,
            size=SIZE,
            normalize="clip",
            augmentations=POLICIES,
            steps=STEPS,
            batch=Batch(labeled=3, unlabeled=4, warmup=3),
            optimizer=Optimizer(name="adamw", lr=0.01),
        )
        made = self._setting.method
        parameters = list(made.student.parameters())
        optimizer = build_optimizer(parameters, self._protocol.optimizer)
        self._state = State(made, ema.frozen_copy(made.student), optimizer)

    def run(self, files: Mapping[int, Checkpoints]) -> None:
        """Trains to the end; writes a checkpoint after the steps in `files`."""

        def after(now: State) -> None:
            if now.step in files:
                files[now.step].save(now.step, {"state": now.state_dict()})

        hidden = torch.full((12,), UNKNOWN)
        train(
            self._state,
            self._setting.loader,
            self._protocol,
            seed=self._setting.seed,
            hidden_labels=hidden,
            log=lambda values: None,
            after=after,
        )

    def load(self, file: Checkpoints) -> None:
        """Goes on from a checkpoint; the weights of before are spoilt, so that it must bring all of them."""
        for parameter in self._state.method.parameters():
            nn.init.normal_(parameter)
        saved = file.load()
        if saved is None:
            raise ConformanceError(
                "its checkpoint holds more than tensors and plain data, so it cannot be loaded safely: keep "
                "state in registered buffers"
            )
        self._state.load_state_dict(saved["state"])

    def content(self) -> dict[str, Any]:
        """All that the next step or the evaluation depends on."""
        state = self._state.state_dict()
        del state["seconds"], state["cpu_seconds"]
        return {**state, "predictions": self._setting.predictions()}


def _difference(first: Any, second: Any, place: str = "") -> str | None:
    """Where two nested structures of tensors differ first; None where they are equal bit for bit."""
    if isinstance(first, Tensor):
        return None if torch.equal(first, second) else place
    if isinstance(first, dict | list | tuple):
        if len(first) != len(second):
            return place
        keys = list(first) if isinstance(first, dict) else range(len(first))
        found = (_difference(first[key], second[key], f"{place}.{key}".lstrip(".")) for key in keys)
        return next((where for where in found if where is not None), None)
    return None if first == second else place


def check_views(method: type[Method]) -> None:
    """What a clip looks like depends on (seed, epoch, index, view), not on the clips beside it."""
    fours, twos = (
        Setting(method, labeled=4, unlabeled=4).loader,
        Setting(method, labeled=2, unlabeled=2).loader,
    )
    large, small = fours.batch(0), [twos.batch(0), twos.batch(1)]
    for pool in ("labeled", "unlabeled"):
        for name, clip in getattr(large, pool).items():
            for level, x in enumerate(clip):
                parts = torch.cat([getattr(batch, pool)[name][level] for batch in small])
                require(
                    torch.allclose(x, parts, atol=1e-4), f"view '{name}' depends on the rest of the batch"
                )


def check_workers(method: type[Method]) -> None:
    """Batches made by one worker in order, or by several in any order, are the same bit for bit."""
    loader = Setting(method).loader
    alone = [loader.batch(step) for step in range(STEPS)]
    for workers in (2, 3):
        for own in range(workers):
            torch.manual_seed(own)  # as in processes of their own, where global generators stand elsewhere
            theirs = copy.deepcopy(loader)
            for step in range(own, STEPS, workers):
                made = theirs.batch(step)
                for pool in ("labeled", "unlabeled"):
                    place = _difference(getattr(alone[step], pool), getattr(made, pool))
                    require(place is None, f"with {workers} workers, a batch has another view '{place}'")


def check_separable(method: type[Method]) -> None:
    """If it declares itself `separable`: two half batches give the loss and gradient of the whole one.

    They are compared late in training, where ramps are above 0 and memories are filled, and with predictions
    so confident that pseudo-labels of no, of some and of all clips count.
    """
    plain = {"dropout": 0.0}
    if not method.separable_with(build(method.Config, plain, f"method '{method.name}'")):
        return
    make = partial(Setting, method, config=plain, net=_plain_net)
    whole, parts = make(labeled=4, unlabeled=4), make(labeled=2, unlabeled=2)
    whole.train(0, STEPS - 1, lr=0.0)  # memories fill; a net without batch statistics could not learn
    trained = copy.deepcopy(whole.method.state_dict())
    for factor in SURER:
        for setting in (whole, parts):
            setting.method.load_state_dict(trained)
            for head in (module for module in setting.method.modules() if isinstance(module, Head)):
                head.classify.weight.data *= factor
        found = _gradient(parts, 2)
        for name, value in _gradient(whole, 1).items():
            near = 1e-4 * float(value.abs().max())
            close = torch.allclose(value, found[name], rtol=1e-3, atol=near + 1e-6)
            otherwise = f"two half batches give another {name} than a whole one"
            require(close, f"it is declared separable, but {otherwise}")


def _plain_net() -> nn.Module:
    """The small net without batch statistics, which no accumulation could reproduce."""
    net = small_net()
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(module, name, nn.Identity())
    return net


def _gradient(setting: Setting, parts: int) -> dict[str, Tensor]:
    """Mean loss terms over the micro-batches of the last step, and the gradient that they accumulate."""
    found: dict[str, Tensor] = {}
    setting.method.zero_grad()
    for part in range(parts):
        made = setting.step(STEPS - 1, micro=(STEPS - 1) * parts + part)
        total = torch.stack(list(made.losses.values())).sum() / parts
        total.backward()  # type: ignore[no-untyped-call]
        for name, value in made.losses.items():
            place = f"loss '{name}'"
            found[place] = found.get(place, torch.zeros(())) + value.detach() / parts
    weights = setting.method.student.named_parameters()
    return found | {f"gradient of '{name}'": p.grad for name, p in weights if p.grad is not None}


def check_predictions(method: type[Method]) -> None:
    """`predict` gives one row of finite logits per clip, whichever clips come with it."""
    setting = Setting(method)
    setting.train(3, 5)
    setting.method.eval()
    keys = [clip.key for clip in LABELED]
    sampler, settings = setting.method.sampler(), setting.view_settings
    (clip,) = evaluation_clips(CLIPS, keys, sampler, settings, len(keys), torch.device("cpu"))
    with torch.no_grad():
        for model in (None, ema.frozen_copy(setting.method.student)):
            together = setting.method.predict(clip, model)
            shape = tuple(together.shape)
            require(shape == (len(keys), CLASSES), f"it predicts {shape} logits for {len(keys)} clips")
            require(bool(together.isfinite().all()), "its predictions are not finite")
            apart = [setting.method.predict(_only(clip, i), model) for i in range(len(keys))]
            close = torch.allclose(together, torch.cat(apart), atol=1e-4)
            require(close, "its prediction of a clip depends on the clips that are evaluated with it")


def check_evaluated_model(method: type[Method]) -> None:
    """`predict` asks the model that it is given: the suite decides which weights every row is scored on."""
    setting = Setting(method)
    setting.method.eval()
    clip = setting.loader.batch(0).labeled["labeled"]
    given = ema.frozen_copy(setting.method.student)
    with torch.no_grad():
        before = setting.method.predict(clip, given)
        own = setting.method.predict(clip)
        for parameter in setting.method.parameters():
            parameter.add_(1 + parameter.abs())
        same = torch.equal(before, setting.method.predict(clip, given))
        require(same, "it predicts with weights of its own, not with those of the model that it is given")
        changed = not torch.equal(own, setting.method.predict(clip))
        require(changed, "without a model it does not predict with its student")


def _only(clip: Clip, i: int) -> Clip:
    return tuple(level[i : i + 1] for level in clip)


def check_batch_of_one(method: type[Method]) -> None:
    """One labeled and one unlabeled clip are enough."""
    _finite(Setting(method, labeled=1, unlabeled=1).train(3, STEPS), "with a batch of one")


def check_bfloat16(method: type[Method]) -> None:
    """Losses stay finite under bfloat16 autocast."""
    _finite(Setting(method, bf16=True).train(3, STEPS), "in bfloat16")


def _finite(history: list[dict[str, float]], when: str) -> None:
    for losses in history:
        for name, value in losses.items():
            require(math.isfinite(value), f"its loss '{name}' becomes {value} {when}")
