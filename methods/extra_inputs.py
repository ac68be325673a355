"""Files that a method needs beyond the data set: frozen nets, named by config fields."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from datasets.errors import UserError, first_line
from datasets.types import TaskInfo
from methods.base import BuildBackbone, Classifier, Method

M = TypeVar("M", bound=nn.Module)


class ExtraInput(NamedTuple):
    """A file that a method needs: the config `field` that names it, what it is, how to get it.

    Without an `optional` one the method runs in a lesser form.
    """

    field: str
    what: str
    how: str
    optional: bool = False


class Frozen(Generic[M]):
    """A net that training never changes: in evaluation mode, in no checkpoint, on the device of its input.

    It is not a module, so that the method that holds it neither saves it nor switches it to training.
    """

    def __init__(self, net: M) -> None:
        self._net = net.eval().requires_grad_(False)

    def on(self, device: torch.device) -> M:
        """The net on a device."""
        return self._net.to(device)


class NeedsFiles(Method):
    """Base of the methods with extra inputs.

    Subclasses list them in `inputs`, read them in `load_inputs`, and offer random nets of the same shapes in
    `pretend_inputs`, so that the conformance suite and the count of costs run without the files.  A trial
    knows a file by its path alone: other weights belong under another name.
    """

    inputs: ClassVar[tuple[ExtraInput, ...]] = ()

    @classmethod
    def unsupported(cls, config: Method.Config, task: TaskInfo) -> str | None:
        """The first input that is not given, or not there, and how to supply it."""
        for needed in cls.inputs:
            given = str(getattr(config, needed.field))
            if not given and needed.optional:
                continue
            if not given:
                return (
                    f"it needs {needed.what}, which does not come with it; give config field "
                    f"'{needed.field}' the file ({needed.how})"
                )
            if not Path(given).is_file():
                return (
                    f"config field '{needed.field}' names '{given}', and there is no such file, seen from "
                    f"'{Path.cwd()}' (an absolute path is seen from everywhere); it must be {needed.what} "
                    f"({needed.how})"
                )
        return super().unsupported(config, task)

    @classmethod
    def rehearsal(cls) -> type[Method]:
        """The same method on random nets instead of its inputs: its predictions mean nothing."""
        changes: dict[str, Any] = {"inputs": (), "load_inputs": cls.pretend_inputs}
        return cast(type[Method], type(f"{cls.__name__}Rehearsal", (cls,), changes))

    def build_model(self, build_backbone: BuildBackbone) -> Classifier:
        """The student; its first weights are those that it would have without the inputs."""
        with torch.random.fork_rng(devices=[]):
            self.load_inputs(build_backbone)
        return super().build_model(build_backbone)

    def load_inputs(self, build_backbone: BuildBackbone) -> None:
        """Reads the files.

        Raises:
            UserError: for a file that cannot be read or holds another net.
        """
        raise NotImplementedError(f"method '{type(self).__name__}' does not define load_inputs()")

    def pretend_inputs(self, build_backbone: BuildBackbone) -> None:
        """Random nets in the place of the files."""
        raise NotImplementedError(f"method '{type(self).__name__}' does not define pretend_inputs()")


def rehearsed(method: type[Method]) -> type[Method]:
    """A method that runs without its extra inputs; any other method is returned as it is."""
    return method.rehearsal() if issubclass(method, NeedsFiles) else method


def read_state_dict(path: str, where: str) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file, out of the wrappings that training codes put around them.

    Args:
        path: the file.
        where: what names it, for messages (for example "config field 'invariant'").

    Raises:
        UserError: for a missing or unreadable file, or one without named tensors.
    """
    try:
        given: object = (
            load_file(path)
            if path.endswith(".safetensors")
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise UserError(f"{where}: '{path}' cannot be read as a state dict ({first_line(error)}).") from error
    for wrapping in ("state_dict", "model", "model_state"):
        if isinstance(given, Mapping) and isinstance(given.get(wrapping), Mapping):
            given = given[wrapping]
    if not isinstance(given, Mapping) or not all(isinstance(value, Tensor) for value in given.values()):
        raise UserError(f"{where}: '{path}' holds no state dict (tensors by name).")
    return {str(name).removeprefix("module."): value for name, value in given.items()}


def fill(net: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Loads all weights of a net, in place.

    Raises:
        UserError: naming the first weight that is missing, foreign, or of another shape.
    """
    own = net.state_dict()
    for name in sorted(set(own) | set(weights)):
        if name not in weights:
            raise UserError(f"{where}: the file is of another architecture: '{name}' is missing.")
        if name not in own:
            raise UserError(f"{where}: the file is of another architecture: '{name}' has no place here.")
        if weights[name].shape != own[name].shape:
            raise UserError(
                f"{where}: the file is of another architecture: '{name}' has shape "
                f"{tuple(weights[name].shape)}, this net needs {tuple(own[name].shape)}."
            )
    net.load_state_dict(dict(weights))


def pixels(x: Tensor) -> Tensor:
    """Undoes the fixed normalization of clips (`normalize: kinetics`), in [0, 1].

    A suite with `normalize: clip` has taken the still part out of its clips, and nets that were trained on
    images see only what moves: methods that use such nets belong into suites with `normalize: kinetics`.
    """
    return (x.float() * 0.225 + 0.45).clamp(0, 1)
