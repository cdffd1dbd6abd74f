"""A torch module whose passes and gradients another framework computes.

Arrays cross the border as numpy arrays. Everything that works on a torch module (attacks, attributions, random weights, fingerprints) thus
works on it, except hooks on layers: the module has no layers, only weights.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...api.errors import ModelError

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
    def run(self, weights: Weights, inputs: Sequence[Array], /) -> Array:
        """Return the scores of a batch. inputs: the arguments of the function, one row per sample each."""
        raise NotImplementedError

    @abstractmethod
    def pull_back(self, weights: Weights, inputs: Sequence[Array], cotangents: Array, /) -> Array:
        """Return the gradient of the sum of ``cotangents * scores`` by the first input. cotangents: of the shape of the scores."""
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
            owner, name = _find_owner(self, path)
            weight = torch.from_numpy(np.array(values))
            if weight.is_floating_point():
                owner.register_parameter(name, torch.nn.Parameter(weight, requires_grad=False))
            else:
                owner.register_buffer(name, weight)
        self._read: tuple[tuple[int, ...], Weights] = ((), {})

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the scores of a batch, differentiable by the first input."""
        scores: torch.Tensor = _Call.apply(self, *inputs)
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
        versions = tuple(part for weight in state.values() for part in (id(weight), weight._version))
        if versions != self._read[0]:
            self._read = versions, {path: to_numpy(weight) for path, weight in state.items()}
        return self._read[1]

    def run(self, inputs: Sequence[torch.Tensor], cotangents: torch.Tensor | None = None, /) -> torch.Tensor:
        """Run the program, or its gradient by the first input for these cotangents, in the inputs' precision and on their device."""
        arrays, weights = [to_numpy(each) for each in inputs], self.read_weights()
        found = self._program.run(weights, arrays) if cotangents is None else self._program.pull_back(weights, arrays, to_numpy(cotangents))
        like = next((each for each in inputs if each.is_floating_point()), None)
        # A copy, because arrays of other frameworks cannot be written.
        return torch.from_numpy(np.array(found)).to(inputs[0].device, torch.float32 if like is None else like.dtype)


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, module: BridgedModule, *inputs: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*inputs)
        ctx.module = module
        return module.run(inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, ctx.module.run(ctx.saved_tensors, cotangents), *(None for _ in ctx.saved_tensors[1:])


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
    """A program of token embeddings, called with token ids [B, L]. path: that of the weight [V, D] with the embeddings."""

    def __init__(self, module: BridgedModule, path: str) -> None:
        super().__init__()
        weights = module.read_weights()
        if path not in weights or weights[path].ndim != 2:
            raise ModelError(f"no parameter {path!r} holds token embeddings [V, D]; there are {', '.join(sorted(weights)) or 'none'}")
        self.embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(np.array(weights[path])))
        self.inner = module

    def forward(self, ids_BL: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Return the scores of a batch."""
        scores: torch.Tensor = self.inner(self.embedding(ids_BL), *others)
        return scores


def to_numpy(values: torch.Tensor, /) -> Array:
    """Return a tensor as an array, without a copy on a CPU."""
    array: Array = values.detach().cpu().numpy()
    return array


def _find_owner(module: torch.nn.Module, path: str) -> tuple[torch.nn.Module, str]:
    """Return the submodule of a weight, which is created if needed, and the weight's name in it."""
    *names, last = path.split(".")
    for name in names:
        if name not in module._modules:
            module.add_module(name, torch.nn.Module())
        module = module.get_submodule(name)
    return module, last
