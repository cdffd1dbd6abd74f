"""A torch module whose passes and gradients another framework computes.

Arrays cross the border as numpy arrays. Everything that works on a torch module (attacks, attributions, random weights, fingerprints) thus
works on it, except hooks on layers: the module has no layers, only weights.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...api.errors import ModelError
from ..common.encoding import join_arguments, split_arguments
from ..torch.token_ids import find_token_ids

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]
"""Weights by their path, whose parts are separated by dots: ``dense.kernel``."""


class Program:
    """A function of inputs and weights in another framework. A subclass defines all methods.

    Weights are the same object from pass to pass as long as their values are, so that a program may keep a converted copy.
    """

    @abstractmethod
    def read_weights(self) -> Weights:
        """Return the weights that the program was built with."""
        raise NotImplementedError

    @abstractmethod
    def run(self, weights: Weights, inputs: Mapping[str, Array], /) -> Array:
        """Return the scores of a batch. inputs: the arguments by name or position, "0", "1"; one row per sample each."""
        raise NotImplementedError

    @abstractmethod
    def pull_back(self, weights: Weights, inputs: Mapping[str, Array], by: str, cotangents: Array, /) -> Array:
        """Return the gradient of the sum of ``cotangents * scores`` by one input. by: its name. cotangents: of the shape of the scores."""
        raise NotImplementedError

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """Return the program itself: copies of a module differ in their weights only."""
        return self


class BridgedModule(torch.nn.Module):
    """A program as a torch module. Its parameters are the program's weights, in submodules named for their paths."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        for path, values in program.read_weights().items():
            _place_weight(self, path, torch.from_numpy(np.array(values)))
        self._read: tuple[tuple[int, ...], Weights] = ((), {})

    def forward(self, *places: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        """Return the scores of a batch, differentiable by each input of floating-point numbers."""
        inputs = join_arguments(places, named)
        scores: torch.Tensor = _Call.apply(self, tuple(inputs), *inputs.values())
        return scores

    def __deepcopy__(self, memo: dict[int, Any]) -> BridgedModule:
        twin = BridgedModule.__new__(BridgedModule)
        torch.nn.Module.__init__(twin)
        memo[id(self)] = twin
        for name, value in self.__dict__.items():
            twin.__dict__[name] = ((), {}) if name == "_read" else copy.deepcopy(value, memo)
        return twin

    def read_weights(self) -> Weights:
        """Return the weights as arrays; the same object until one of them changes."""
        state = dict(self.state_dict(keep_vars=True))
        versions = tuple(part for weight in state.values() for part in (id(weight), weight.data_ptr(), weight._version))
        if versions != self._read[0]:
            self._read = versions, {path: to_numpy(weight) for path, weight in state.items()}
        return self._read[1]

    def run(self, inputs: Mapping[str, torch.Tensor], /) -> torch.Tensor:
        """Return the scores, in the inputs' precision and on their device."""
        found = self._program.run(self.read_weights(), {name: to_numpy(each) for name, each in inputs.items()})
        first = next(iter(inputs.values()))
        dtype = next((each.dtype for each in inputs.values() if each.is_floating_point()), torch.float32)
        return _to_tensor(found, first.device, dtype)

    def pull_back(self, inputs: Mapping[str, torch.Tensor], by: str, cotangents: torch.Tensor, /) -> torch.Tensor:
        """Return the gradient by one input for these cotangents."""
        arrays = {name: to_numpy(each) for name, each in inputs.items()}
        found = self._program.pull_back(self.read_weights(), arrays, by, to_numpy(cotangents))
        return _to_tensor(found, inputs[by].device, inputs[by].dtype)


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, module: BridgedModule, names: tuple[str, ...], *inputs: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*inputs)
        ctx.module, ctx.names = module, names
        return module.run(dict(zip(names, inputs, strict=True)))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, module = dict(zip(ctx.names, ctx.saved_tensors, strict=True)), ctx.module
        needed = ctx.needs_input_grad[2:]
        slopes = (module.pull_back(inputs, name, cotangents) if need else None for name, need in zip(ctx.names, needed, strict=True))
        return None, None, *slopes


class ChannelsLast(torch.nn.Module):
    """A module that takes pixels [B, H, W, C], called with [B, C, H, W]. scale: multiplies the pixels."""

    def __init__(self, module: torch.nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.inner = module
        self._scale = scale

    def forward(self, pixels_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the scores of a batch."""
        scores: torch.Tensor = self.inner(pixels_BCHW.permute(0, 2, 3, 1) * self._scale)
        return scores


class EmbeddingFirst(torch.nn.Module):
    """A module that takes token embeddings, called with token ids.

    module: the module. table_VD: the embeddings of the tokens.
    extra: name of an argument under which the module takes the embeddings beside the ids; None: in place of the ids.
    """

    def __init__(self, module: torch.nn.Module, table_VD: torch.Tensor, extra: str | None = None) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(table_VD)
        self.inner = module
        self._extra = extra

    def forward(self, *places: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        """Return the scores of a batch."""
        inputs = join_arguments(places, named)
        ids = find_token_ids(inputs)
        if ids is None:
            raise ModelError("the encode function returns no token ids (an array of integers)")
        name = ids if self._extra is None else self._extra
        arguments, options = split_arguments({**inputs, name: self.embedding(inputs[ids])})
        scores: torch.Tensor = self.inner(*arguments, **options)
        return scores


def to_numpy(values: torch.Tensor, /) -> Array:
    """Return a tensor as an array, without a copy on a CPU."""
    array: Array = values.detach().cpu().numpy()
    return array


def _to_tensor(values: Array, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    # A copy, because arrays of other frameworks cannot be written.
    return torch.from_numpy(np.array(values)).to(device, dtype)


def _place_weight(module: torch.nn.Module, path: str, weight: torch.Tensor) -> None:
    """Make a weight a parameter of a submodule, which is created if needed; a buffer if it is not of floating-point numbers.

    Not by ``add_module`` and its like, which refuse the names of a module's own attributes: ``type``, ``half``, ``train``.
    """
    *names, last = path.split(".")
    for name in names:
        inner = module._modules.setdefault(name, torch.nn.Module())
        assert inner is not None
        module = inner
    if weight.is_floating_point():
        module._parameters[last] = torch.nn.Parameter(weight, requires_grad=False)
    else:
        module._buffers[last] = weight
