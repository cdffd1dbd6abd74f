"""A JAX function, or a flax module, of inputs and parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...api.errors import ModelError
from .bridged_module import Array, Program, Weights

Apply = Callable[..., Any]
"""``apply(parameters, *inputs)``."""


class JaxProgram(Program):
    """A function ``apply(parameters, *inputs)`` that JAX can trace.

    apply: the function. parameters: nested dicts, lists and tuples of arrays.
    """

    def __init__(self, apply: Apply, parameters: Any) -> None:
        import jax

        leaves, self._tree = jax.tree_util.tree_flatten_with_path(parameters)
        self._paths = [".".join(_name(part) for part in path) or "value" for path, _ in leaves]
        self._initial = {path: np.asarray(leaf) for path, (_, leaf) in zip(self._paths, leaves, strict=True)}
        self._apply = apply
        # Weak, because compiled functions and copies on the device are no part of what the program is.
        self._compiled: WeakKeyDictionary[Apply, Any] = WeakKeyDictionary()
        self._converted: tuple[Weights, Any] = ({}, None)

    def set_weights(self, given: Weights, name: str, /) -> None:
        """Replace the parameters. Raises `ModelError` if their paths or shapes differ. name: the model's name."""
        short = {path.removeprefix("params."): path for path in self._paths}
        found = {short.get(path, path): values for path, values in given.items()}
        wrong = sorted(set(found) ^ set(self._paths)) or [p for p in self._paths if np.shape(found[p]) != self._initial[p].shape]
        if wrong:
            raise ModelError(
                f"the parameters given for {name!r} differ from its own in {', '.join(wrong[:5])}; save those of the same module"
            )
        self._initial = {path: np.asarray(found[path]) for path in self._paths}

    def read_weights(self) -> Weights:
        return self._initial

    def run(self, weights: Weights, inputs: Sequence[Array], /) -> Array:
        forward, _ = self._compile()
        return np.asarray(forward(self._convert(weights), *map(_pad, inputs)))[: len(inputs[0])]

    def pull_back(self, weights: Weights, inputs: Sequence[Array], cotangents: Array, /) -> Array:
        _, backward = self._compile()
        found = backward(self._convert(weights), _pad(cotangents, zeros=True), *map(_pad, inputs))
        return np.asarray(found)[: len(inputs[0])]

    def _compile(self) -> tuple[Any, Any]:
        import jax

        if self._apply not in self._compiled:
            apply = self._apply

            def pull_back(parameters: Any, cotangents: Any, first: Any, *others: Any) -> Any:
                return jax.vjp(lambda given: apply(parameters, given, *others), first)[1](cotangents)[0]

            self._compiled[self._apply] = jax.jit(apply), jax.jit(pull_back)
        return self._compiled[self._apply]

    def _convert(self, weights: Weights) -> Any:
        import jax

        if weights is not self._converted[0]:
            parameters = jax.tree_util.tree_unflatten(self._tree, [jax.numpy.asarray(weights[path]) for path in self._paths])
            self._converted = weights, parameters
        return self._converted[1]


def make_jax_program(made: Any, given: Weights | None, name: str, /) -> JaxProgram:
    """Return the program of what a user's function returned.

    made: a function ``apply(inputs)``; a pair of ``apply(parameters, inputs)``, or a flax linen module, and its parameters; or a flax nnx
        module, which has its own.
    given: parameters by path, in place of those of ``made``; None for those.
    name: the model's name in errors.
    """
    apply, own = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    is_linen = False
    if _is_nnx(apply):
        from flax import nnx

        graph, state = nnx.split(apply)
        apply, own = partial(_apply_nnx, graph), nnx.to_pure_dict(state)
    elif not isinstance(apply, type) and callable(getattr(apply, "apply", None)):
        apply, is_linen = apply.apply, True
    if not callable(apply):
        raise ModelError(f"{name!r} returned a {type(made).__name__}; return a function of the inputs, or (function, parameters)")
    if given is not None and own is None:
        nested = nest(given)
        own = {"params": nested} if is_linen and "params" not in nested else nested
        given = None
    if own is None:
        return JaxProgram(partial(_apply_alone, apply), {})
    program = JaxProgram(apply, own)
    if given is not None:
        program.set_weights(given, name)
    return program


def read_parameters(path: Path, /) -> Weights:
    """Read parameters by path from a safetensors file. Raises `ModelError` if it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the parameters in {path} cannot be read: {error}; save them with safetensors.numpy.save_file") from error


def nest(flat: Weights, /) -> dict[str, Any]:
    """Return nested dicts; the dots of names separate their keys."""
    nested: dict[str, Any] = {}
    for name, values in flat.items():
        *outer, last = name.split(".")
        inside = nested
        for key in outer:
            inside = inside.setdefault(key, {})
        inside[last] = values
    return nested


def _is_nnx(made: Any) -> bool:
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(made, nnx.Module)


def _apply_nnx(graph: Any, parameters: Any, *inputs: Any) -> Any:
    from flax import nnx

    return nnx.merge(graph, nnx.State(parameters))(*inputs)


def _apply_alone(apply: Callable[..., Any], parameters: Any, *inputs: Any) -> Any:
    return apply(*inputs)


def _name(key: Any) -> str:
    """Return a part of a path in a tree, without dots. key: with the name of a dict's key, an attribute or a place in a list."""
    names = (getattr(key, attribute, None) for attribute in ("key", "name", "idx"))
    return str(next((name for name in names if name is not None), key)).replace(".", "_")


def _pad(batch: Array, /, zeros: bool = False) -> Array:
    """Repeat the first row up to a power of two, because JAX compiles a function again for each size. zeros: add zeros instead."""
    more = (1 << (len(batch) - 1).bit_length()) - len(batch)
    row = np.zeros_like(batch[:1]) if zeros else batch[:1]
    return np.concatenate([batch, np.repeat(row, more, 0)]) if more else batch
